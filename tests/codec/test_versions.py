"""Two versions of the wire: a later minor one is read, another major one is refused by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import capnp
import pytest

from dropbeard.codec import peer
from dropbeard.codec.client import decode_to_client, decode_to_node, encode_to_client, encode_to_node
from dropbeard.codec.peer import decode_votes, encode_votes
from dropbeard.errors import MessageInvalid, VersionRefused
from dropbeard.types import versions
from dropbeard.types.ids import Epoch, Height, OwnerId, View
from dropbeard.types.messages import Hello, Presence, Status, Welcome
from tests.agreement.pieces import GENESIS, GROUP

PEER = Path(peer.__file__).parents[1] / "schemas" / "peer.capnp"
OWN_ID, LATER_ID = "@0xd3f1b0c6a7e24d01", "@0xd3f1b0c6a7e24d02"
STATUS = Status(GROUP.epoch, View(3), Height(2), None, None, GENESIS.cut, presence=Presence.DRAINS, minor=1)


Later = Callable[[str], Any]


@pytest.fixture(scope="module")
def later(tmp_path_factory: pytest.TempPathFactory) -> Later:
    """The schema as a later minor version may have it; a process loads a schema once."""
    text = PEER.read_text().replace(OWN_ID, LATER_ID)
    text = text.replace("minor @9 :UInt16;", "minor @9 :UInt16;\n  mood @10 :Text;\n  figure @11 :UInt64;")
    text = text.replace("succession @13 :Data;", "succession @13 :Data;\n    news @14 :Text;")
    path = tmp_path_factory.mktemp("later") / "peer.capnp"
    path.write_text(text)
    loaded = capnp.load(str(path))
    return lambda name: {"peer": loaded}[name]


def test_what_a_later_minor_version_adds_is_not_minded(later: Later, monkeypatch: pytest.MonkeyPatch) -> None:
    put = peer._put_status

    def put_more(into: Any, status: Status) -> None:
        put(into, status)
        into.mood, into.figure, into.presence, into.minor = "cheerful", 7, 200, 9

    monkeypatch.setattr(peer, "schema", later)
    monkeypatch.setattr(peer, "_put_status", put_more)
    sent = encode_votes(STATUS)
    monkeypatch.undo()
    found = decode_votes(sent, GROUP)
    assert isinstance(found, Status)
    assert (found.view, found.final_height, found.presence, found.minor) == (3, 2, Presence.UNTOLD, 9)


def test_a_later_version_reads_what_this_one_sends(later: Later, monkeypatch: pytest.MonkeyPatch) -> None:
    sent = encode_votes(STATUS)
    monkeypatch.setattr(peer, "schema", later)
    assert decode_votes(sent, GROUP) == STATUS


def test_a_message_of_a_later_minor_version_is_the_senders_fault_and_no_other_version(later: Later) -> None:
    frame = later("peer").VotesFrame.new_message(version=versions.WIRE_VERSION, news="late")
    whole = b"".join(frame.to_segments())
    with pytest.raises(MessageInvalid) as wrong:
        decode_votes((0).to_bytes(4, "little") + (len(whole) // 8).to_bytes(4, "little") + whole, GROUP)
    assert not isinstance(wrong.value, VersionRefused)


def test_another_major_version_is_refused_by_name_on_both_sides(monkeypatch: pytest.MonkeyPatch) -> None:
    hello, welcome = Hello(GROUP.id, 1), Welcome(OwnerId(1), Epoch(0), 5, 1)
    monkeypatch.setattr(versions, "WIRE_VERSION", 2)
    theirs = encode_votes(STATUS), encode_to_node(hello), encode_to_client(welcome)
    monkeypatch.undo()
    reads: list[Callable[[bytes], object]] = [
        lambda data: decode_votes(data, GROUP),
        decode_to_node,
        lambda data: decode_to_client(data, GROUP),
    ]
    for data, read in zip(theirs, reads, strict=True):
        with pytest.raises(VersionRefused, match="it speaks wire version 2, this program 1"):
            read(data)
    ours = encode_votes(STATUS), encode_to_node(hello), encode_to_client(welcome)
    monkeypatch.setattr(versions, "WIRE_VERSION", 2)
    for data, read in zip(ours, reads, strict=True):
        with pytest.raises(VersionRefused, match="it speaks wire version 1, this program 2"):
            read(data)


def test_client_and_node_tell_each_other_their_minor_versions() -> None:
    assert decode_to_node(encode_to_node(Hello(GROUP.id, 7))) == Hello(GROUP.id, 7)
    welcome = Welcome(OwnerId(1), Epoch(0), 5, 9)
    assert decode_to_client(encode_to_client(welcome), GROUP) == welcome
