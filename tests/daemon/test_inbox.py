"""What a node makes of frames before the core sees them."""

from __future__ import annotations

import pytest

from dropbeard.codec.peer import encode_votes
from dropbeard.daemon.inbox import Inbox
from dropbeard.types import versions
from dropbeard.types.ids import Epoch
from dropbeard.types.messages import FetchSuccession
from tests.agreement.epoch_pieces import close_epoch
from tests.agreement.pieces import owner, replica


@pytest.mark.parametrize("sender", [0, 2])
def test_another_wire_version_ends_no_node_whoever_speaks_it(sender: int, monkeypatch: pytest.MonkeyPatch) -> None:
    state = replica(1)
    close_epoch(state)
    assert (state.group.owner(owner(0)), state.group.owner(owner(2)) is None) == (None, False)
    monkeypatch.setattr(versions, "WIRE_VERSION", versions.WIRE_VERSION + 1)
    frame = encode_votes(FetchSuccession(Epoch(0)))
    monkeypatch.undo()
    inbox = Inbox(state)
    assert inbox.from_votes(owner(sender), frame) == []
    assert inbox.refused == {owner(sender): versions.WIRE_VERSION + 1}
