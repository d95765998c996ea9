"""The guard's own rules."""

from __future__ import annotations

import pytest

from dropbeard.codec.engine import encode_to_engine
from dropbeard.codec.guard import at_most, exactly, open_message, schema
from dropbeard.errors import MessageInvalid
from dropbeard.types.engine_messages import NodeHello

HELLO = encode_to_engine(NodeHello())
FORM = schema("engine").ToEngine


def test_a_message_is_read_once_into_plain_values() -> None:
    assert open_message(FORM, HELLO, 1 << 20, lambda reader: str(reader.which())) == "hello"


@pytest.mark.parametrize("data", [bytearray(HELLO), memoryview(HELLO)])
def test_mutable_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(MessageInvalid, match="immutable"):
        open_message(FORM, data, 1 << 20, lambda reader: None)


def test_a_message_over_the_cap_is_refused() -> None:
    with pytest.raises(MessageInvalid, match="bytes"):
        open_message(FORM, HELLO, len(HELLO) - 8, lambda reader: None)


def test_an_error_while_reading_is_the_senders_fault() -> None:
    with pytest.raises(MessageInvalid, match="not a readable message"):
        open_message(FORM, HELLO, 1 << 20, lambda reader: reader.infer.ticket)


def test_counts_and_lengths_are_checked() -> None:
    assert exactly(b"ab", 2, "it") == b"ab"
    with pytest.raises(MessageInvalid, match="it has 3 bytes, expected 2"):
        exactly(b"abc", 2, "it")
    with pytest.raises(MessageInvalid, match="3 pages, at most 2"):
        at_most([1, 2, 3], 2, "pages")
