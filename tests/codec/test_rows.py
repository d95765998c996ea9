"""Rows of fixed layout inside messages: requests, tickets, openings. Only whole rows within the bounds are read."""

from __future__ import annotations

import pytest

from dropbeard.codec.client import decode_to_node, encode_to_node
from dropbeard.codec.engine import decode_to_engine, encode_to_engine
from dropbeard.codec.guard import close_message, schema
from dropbeard.errors import MessageInvalid
from dropbeard.types.engine_messages import TICKETS_AT_ONCE_MAX, InferTicket, InferTickets
from dropbeard.types.ids import Digest, GroupId, Nonce, OwnerId, RequestId, TimeUs, Version
from dropbeard.types.limits import OPTIONS_BYTES_MAX, OUTPUT_BYTES_MAX, SUBMITS_MAX
from dropbeard.types.messages import Submit, Submits
from dropbeard.types.requests import Opening, decode_openings, encode_openings
from dropbeard.types.task import InputKind

D = b"d" * 32
ROW_BYTES = 31 + 4


def submit(options: bytes = b"") -> Submit:
    return Submit(GroupId(D), Nonce(7), TimeUs(9), 5, options, InputKind.RAW_RGB8, (1, 2, 3))


def submitted(rows: bytes) -> bytes:
    def put(frame: object) -> None:
        into = frame.init("submit")  # type: ignore[attr-defined]
        into.group, into.rows = D, rows

    return close_message(put, schema("client").ToNode, len(rows) + 256)


def rows_of(*requests: Submit) -> bytes:
    data = encode_to_node(Submits(requests))
    return bytes(data[data.index(b"\x07" + bytes(7)) :][: sum(ROW_BYTES + len(r.options) for r in requests)])


def test_as_many_requests_as_a_message_may_hold_are_read() -> None:
    whole = Submits(tuple(submit(b"o" * (number % 3)) for number in range(SUBMITS_MAX)))
    assert decode_to_node(encode_to_node(whole)) == whole


@pytest.mark.parametrize(
    "rows",
    [
        b"",
        rows_of(submit())[:-1],
        rows_of(submit()) + b"x",
        rows_of(submit(b"o" * 4))[:-1],
        rows_of(submit()) * (SUBMITS_MAX + 1),
        rows_of(submit(b"o" * (OPTIONS_BYTES_MAX + 1))),
        rows_of(submit())[:20] + b"\x09" + rows_of(submit())[21:],
    ],
    ids=["none", "cut", "left over", "options cut", "too many", "options too long", "unknown kind"],
)
def test_rows_that_are_no_requests_are_refused(rows: bytes) -> None:
    with pytest.raises(MessageInvalid):
        decode_to_node(submitted(rows))


def test_more_tickets_than_a_message_may_hold_are_refused() -> None:
    one = InferTicket(1, TimeUs(2), Version(1), InputKind.ENCODED_IMAGE, (0, 0, 0), Digest(D))
    most = InferTickets((one,) * TICKETS_AT_ONCE_MAX)
    assert decode_to_engine(encode_to_engine(most)) == most
    with pytest.raises(MessageInvalid, match="tickets"):
        decode_to_engine(encode_to_engine(InferTickets((one,) * (TICKETS_AT_ONCE_MAX + 1))))
    with pytest.raises(MessageInvalid, match="tickets"):
        decode_to_engine(encode_to_engine(InferTickets(())))


def opening(output: bytes) -> Opening:
    return Opening(RequestId(D), OwnerId(3), Version(2), Digest(D), output, D)


def test_openings_are_read_as_they_were_written() -> None:
    made = (opening(b""), opening(b"x" * 99))
    assert decode_openings(encode_openings(made), 2) == made
    assert decode_openings(b"", 0) == ()


@pytest.mark.parametrize(
    ("data", "most"),
    [
        (encode_openings([opening(b"x")])[:-1], 1),
        (encode_openings([opening(b"x")]) + b"x", 2),
        (encode_openings([opening(b"x")] * 2), 1),
        (encode_openings([opening(bytes(OUTPUT_BYTES_MAX + 1))]), 1),
    ],
    ids=["cut", "left over", "too many", "output too long"],
)
def test_rows_that_are_no_openings_are_refused(data: bytes, most: int) -> None:
    with pytest.raises(MessageInvalid):
        decode_openings(data, most)
