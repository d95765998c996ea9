"""What a session wants sent, as frames: requests to one node share a message (types.limits bounds it)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from dropbeard.codec.client import encode_to_node
from dropbeard.types.ids import OwnerId
from dropbeard.types.limits import SUBMITS_BYTES_MAX, SUBMITS_MAX
from dropbeard.types.messages import Submit, Submits, ToNode
from dropbeard.types.task import Input

Outgoing = tuple[OwnerId, Submit | ToNode, Input | None]


def frames_of(outgoing: Iterable[Outgoing]) -> Iterator[tuple[OwnerId, list[bytes]]]:
    """Each message as (node, frames), in an order in which nothing overtakes another message to the same node."""
    by_owner: dict[OwnerId, list[tuple[Submit | ToNode, Input | None]]] = {}
    for owner, message, given in outgoing:
        by_owner.setdefault(owner, []).append((message, given))
    # A request goes to every node: what was encoded for one serves the others.
    encoded: dict[tuple[int, ...], bytes] = {}
    for owner, rows in by_owner.items():
        for part in _parts(rows):
            names = tuple(id(message) for message, _ in part)
            header = encoded.get(names)
            if header is None:
                header = encoded[names] = encode_to_node(_joined([message for message, _ in part]))
            yield owner, [header, *(given.data for _, given in part if given is not None)]


def flush(outgoing: list[Outgoing], send: Callable[[OwnerId, list[bytes]], object]) -> None:
    """Send what a session wants sent; ``outgoing`` is empty afterwards."""
    taken = list(outgoing)
    outgoing.clear()
    for owner, frames in frames_of(taken):
        send(owner, frames)


def _parts(
    rows: Sequence[tuple[Submit | ToNode, Input | None]],
) -> Iterator[list[tuple[Submit | ToNode, Input | None]]]:
    part: list[tuple[Submit | ToNode, Input | None]] = []
    size = 0
    for message, given in rows:
        alone = not isinstance(message, Submit)
        more = 0 if given is None else len(given.data)
        if part and (alone or len(part) == SUBMITS_MAX or size + more > SUBMITS_BYTES_MAX):
            yield part
            part, size = [], 0
        part.append((message, given))
        size += more
        if alone:
            yield part
            part, size = [], 0
    if part:
        yield part


def _joined(messages: Sequence[Submit | ToNode]) -> ToNode:
    if not isinstance(messages[0], Submit):
        return messages[0]
    return Submits(tuple(message for message in messages if isinstance(message, Submit)))
