"""What a session wants sent becomes frames: requests share messages within the bounds, and nothing overtakes."""

from __future__ import annotations

from dropbeard.client.sending import Outgoing, frames_of
from dropbeard.codec.client import decode_to_node
from dropbeard.types.ids import GroupId, Nonce, OwnerId, RequestId, TimeUs
from dropbeard.types.limits import SUBMITS_BYTES_MAX, SUBMITS_MAX
from dropbeard.types.messages import FetchOutcome, Hello, Submit, Submits
from dropbeard.types.task import Input, InputKind

GROUP = GroupId(b"g" * 32)
A, B = OwnerId(0), OwnerId(1)


def request(number: int) -> Submit:
    return Submit(GROUP, Nonce(number), TimeUs(9), 5, b"", InputKind.ENCODED_IMAGE, (0, 0, 0))


def given(size: int = 3) -> Input:
    return Input(InputKind.ENCODED_IMAGE, (0, 0, 0), b"i" * size)


def test_requests_to_one_node_share_a_message_and_their_inputs_follow_in_order() -> None:
    requests = [request(number) for number in range(3)]
    inputs = [given(size) for size in (1, 2, 3)]
    sent = list(frames_of((owner, r, g) for r, g in zip(requests, inputs, strict=True) for owner in (A, B)))
    assert [owner for owner, _ in sent] == [A, B]
    for _, (header, *rest) in sent:
        assert decode_to_node(header) == Submits(tuple(requests))
        assert rest == [b"i", b"ii", b"iii"]


def test_a_header_is_encoded_once_for_all_nodes() -> None:
    one, data = request(1), given()
    (_, first), (_, second) = frames_of([(A, one, data), (B, one, data)])
    assert first[0] is second[0]


def test_no_message_holds_more_requests_than_one_may() -> None:
    rows = [(A, request(number), given()) for number in range(2 * SUBMITS_MAX + 1)]
    assert [len(frames) - 1 for _, frames in frames_of(rows)] == [SUBMITS_MAX, SUBMITS_MAX, 1]


def test_no_message_of_several_requests_holds_more_bytes_than_one_may() -> None:
    half, large = SUBMITS_BYTES_MAX // 2, 2 * SUBMITS_BYTES_MAX
    rows = [(A, request(number), given(size)) for number, size in enumerate((half, half, 1, large, 1))]
    assert [[len(f) for f in frames[1:]] for _, frames in frames_of(rows)] == [[half, half], [1], [large], [1]]


def test_other_messages_go_alone_and_nothing_overtakes_them() -> None:
    rows: list[Outgoing] = [
        (A, Hello(GROUP), None),
        (A, request(1), given()),
        (A, FetchOutcome(RequestId(b"r" * 32)), None),
        (A, request(2), given()),
    ]
    kinds = [type(decode_to_node(frames[0])) for _, frames in frames_of(rows)]
    assert kinds == [Hello, Submits, FetchOutcome, Submits]
