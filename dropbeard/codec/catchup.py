"""Bulk messages between replicas (schemas/peer.capnp, CatchupFrame): a header frame and, for some, one bulk frame."""

from __future__ import annotations

from typing import Any, assert_never

from dropbeard.codec.engine import take_input_kind
from dropbeard.codec.guard import close_message, exactly, open_message, schema
from dropbeard.errors import MessageInvalid
from dropbeard.types import limits, wire
from dropbeard.types.ids import ClientKey, Digest, Height, Nonce, RequestId, TimeUs
from dropbeard.types.messages import (
    BucketNotice,
    CatchupMessage,
    FetchBucket,
    FetchInput,
    FetchSnapshot,
    InputNotice,
    SnapshotNotice,
)
from dropbeard.types.task import Input


def encode_catchup(message: CatchupMessage) -> list[bytes]:
    """The header frame and the bulk frame, if there is one."""
    payload = len(message.small) if isinstance(message, SnapshotNotice) else limits.OPTIONS_BYTES_MAX
    head = close_message(lambda m: _put(m, message), schema("peer").CatchupFrame, payload + 256)
    match message:
        case InputNotice(given=given):
            return [head, given.data]
        case SnapshotNotice(buckets=buckets):
            return [head, b"".join(wire.u64(number) + digest for number, digest in buckets)]
        case BucketNotice(rows):
            return [head, rows]
        case FetchInput() | FetchSnapshot() | FetchBucket():
            return [head]
        case _:
            assert_never(message)


def _put(frame: Any, message: CatchupMessage) -> None:
    match message:
        case FetchInput(request):
            frame.fetchInput = request
        case InputNotice():
            _put_input(frame.init("input"), message)
        case FetchSnapshot(height):
            frame.fetchSnapshot = height
        case SnapshotNotice():
            into = frame.init("snapshot")
            into.height, into.root, into.small = message.height, message.root, message.small
        case FetchBucket(height, digest):
            asked = frame.init("fetchBucket")
            asked.height, asked.digest = height, digest
        case BucketNotice():
            frame.bucket = None
        case _:
            assert_never(message)


def _put_input(into: Any, notice: InputNotice) -> None:
    into.client, into.nonce, into.deadline = notice.client, notice.nonce, notice.deadline
    into.patience, into.options, into.kind = notice.patience_us, notice.options, int(notice.given.kind)
    into.height, into.width, into.channels = notice.given.shape


def decode_catchup(head: bytes, bulk: bytes | None) -> CatchupMessage:
    """Read the frames of one message of the catchup socket; MessageInvalid unless they are one. Nothing is proved."""
    return open_message(schema("peer").CatchupFrame, head, limits.MESSAGE_BYTES_MAX, lambda frame: _take(frame, bulk))


def _take(frame: Any, bulk: bytes | None) -> CatchupMessage:
    which = str(frame.which())
    if (bulk is not None) != (which in ("input", "snapshot", "bucket")):
        raise MessageInvalid(f"a catchup message {which!r} has the wrong number of frames")
    if which == "fetchInput":
        return FetchInput(RequestId(exactly(frame.fetchInput, 32, "a request id")))
    if which == "fetchSnapshot":
        return FetchSnapshot(Height(frame.fetchSnapshot))
    if which == "fetchBucket":
        asked = frame.fetchBucket
        return FetchBucket(Height(asked.height), Digest(exactly(asked.digest, 32, "a digest")))
    if which == "input" and bulk is not None:
        return _take_input(frame.input, bulk)
    if which == "snapshot" and bulk is not None:
        return _take_snapshot(frame.snapshot, bulk)
    if which == "bucket" and bulk is not None:
        return BucketNotice(bulk)
    raise MessageInvalid(f"a catchup frame holds {which!r}")


def _take_input(row: Any, data: bytes) -> InputNotice:
    options = row.options
    if len(options) > limits.OPTIONS_BYTES_MAX or len(data) > limits.INPUT_BYTES_MAX:
        raise MessageInvalid("options or input are larger than any request may have")
    client = ClientKey(exactly(row.client, 32, "a client key"))
    given = Input(take_input_kind(row.kind), (row.height, row.width, row.channels), data)
    return InputNotice(client, Nonce(row.nonce), TimeUs(row.deadline), row.patience, options, given)


def _take_snapshot(row: Any, data: bytes) -> SnapshotNotice:
    if len(data) > 40 * limits.SNAPSHOT_BUCKETS_MAX:
        raise MessageInvalid(f"a snapshot has at most {limits.SNAPSHOT_BUCKETS_MAX} buckets")
    reader, buckets = wire.Reader(data), []
    while reader.remaining:
        buckets.append((reader.u64(), Digest(reader.take(32))))
    root = Digest(exactly(row.root, 32, "a digest"))
    return SnapshotNotice(Height(row.height), root, row.small, tuple(buckets))
