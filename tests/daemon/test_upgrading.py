"""Who counts when a node asks whether it may be stopped; each reason against it."""

from __future__ import annotations

import msgspec
import pytest

from dropbeard.agreement.summary import chain_part
from dropbeard.daemon.upgrading import BEHIND_MAX, check_upgrade
from dropbeard.daemon.vitals import IN_SIGHT_INTERVALS
from dropbeard.errors import NodeUnreachable
from dropbeard.types.status import ChainPart, NodeStatus, PeerPart
from tests.agreement.pieces import GROUP, replica
from tests.daemon.test_metrics import sample

INTERVAL_US = GROUP.parameters.status_interval_us
PEER = PeerPart(
    "", True, 5, 5, 1, 1, epoch=0, behind=BEHIND_MAX, said_us_ago=IN_SIGHT_INTERVALS * INTERVAL_US, presence="serves"
)


def chain(*changed: dict[str, object]) -> ChainPart:
    """Three others, of which the first ones are changed."""
    rows = [*changed, *[{}] * (3 - len(changed))]
    peers = [msgspec.structs.replace(PEER, owner=f"owner {n}", **row) for n, row in enumerate(rows, 1)]
    return chain_part(replica(), peers, {})


def status(*changed: dict[str, object]) -> NodeStatus:
    return msgspec.structs.replace(sample(), owner="owner 0", chain=chain(*changed))


def test_three_ready_others_of_four_let_a_node_stop() -> None:
    found = check_upgrade(status(), INTERVAL_US)
    assert found.may_stop
    assert found.text() == "3 others are ready, 3 are needed while owner 0 is down"


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"said_us_ago": None}, "is not heard"),
        ({"said_us_ago": IN_SIGHT_INTERVALS * INTERVAL_US + 1}, "is not heard"),
        ({"epoch": 1}, "is in epoch 1, this node in 0"),
        ({"behind": BEHIND_MAX + 1}, f"is {BEHIND_MAX + 1} blocks behind"),
        ({"presence": "drains"}, "drains"),
        ({"presence": "leaves"}, "leaves"),
        ({"presence": "waits"}, "waits for its engine"),
        ({"understood": False, "wire": "2"}, "speaks wire version 2, which this node does not understand"),
    ],
)
def test_one_that_is_not_ready_keeps_a_node_of_four_up(changed: dict[str, object], why: str) -> None:
    found = check_upgrade(status(changed), INTERVAL_US)
    assert not found.may_stop
    assert found.not_ready == {"owner 1": why}
    assert found.text() == f"2 others are ready, 3 are needed while owner 0 is down: owner 1 {why}"


def test_a_node_of_an_older_release_counts_by_what_it_does_say() -> None:
    assert check_upgrade(status({"presence": "untold"}), INTERVAL_US).may_stop


def test_a_running_node_that_does_not_tell_what_is_needed_is_not_guessed_about() -> None:
    older = msgspec.structs.replace(chain(), needed=None)
    with pytest.raises(NodeUnreachable, match="does not tell"):
        check_upgrade(msgspec.structs.replace(sample(), chain=older), INTERVAL_US)
