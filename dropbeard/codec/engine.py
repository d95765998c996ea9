"""Messages between a node and its engine (schemas/engine.capnp)."""

from __future__ import annotations

import struct
from itertools import pairwise
from typing import Any, assert_never

from dropbeard.codec.guard import at_most, close_message, exactly, open_message, schema
from dropbeard.errors import MessageInvalid
from dropbeard.types import limits
from dropbeard.types.engine_messages import (
    DETAIL_BYTES_MAX,
    MODEL_NAME_BYTES_MAX,
    SIZES_MAX,
    TICKETS_AT_ONCE_MAX,
    TICKETS_MAX,
    EngineAnswers,
    EngineFailure,
    EngineFigures,
    EngineReady,
    FailReason,
    FromEngine,
    InferTicket,
    InferTickets,
    LoadFailure,
    LoadModel,
    NodeHello,
    ToEngine,
    UnloadModel,
)
from dropbeard.types.ids import Digest, TimeUs, Version
from dropbeard.types.task import InputKind

ANSWER_BYTES = 40
"""Room that one answer takes beside its output."""

SIZE_BYTES = 16
"""Room that the count of one size of batches takes."""

_COUNTS = ("queued", "batches", "inputs", "busy_us", "copied_us", "refused", "shed", "bad_input", "failed")
_KINDS = {int(kind): kind for kind in InputKind}
_TICKET = struct.Struct("<QQIBIII32s")


def encode_to_engine(message: ToEngine) -> bytes:
    """One header frame for the engine; the inputs of InferTickets are the caller's next frames."""
    size = 128 + (_TICKET.size * len(message.tickets) if isinstance(message, InferTickets) else 0)
    return close_message(lambda m: _put_to_engine(m, message), schema("engine").ToEngine, size)


def _put_to_engine(frame: Any, message: ToEngine) -> None:
    match message:
        case NodeHello():
            frame.hello = None
        case InferTickets(tickets):
            frame.infer = b"".join(map(_ticket_row, tickets))
        case LoadModel(version, digest):
            model = frame.init("load")
            model.version, model.digest = version, digest
        case UnloadModel(version):
            frame.unload = version
        case _:
            assert_never(message)


def _ticket_row(row: InferTicket) -> bytes:
    return _TICKET.pack(row.ticket, row.deadline, row.version, row.kind, *row.shape, row.input_digest)


def decode_to_engine(data: bytes) -> ToEngine:
    """Read a header frame from the node; MessageInvalid unless it is one."""
    return open_message(schema("engine").ToEngine, data, limits.MESSAGE_BYTES_MAX, _take_to_engine)


def _take_to_engine(frame: Any) -> ToEngine:
    which = str(frame.which())
    if which == "hello":
        return NodeHello()
    if which == "infer":
        return _take_tickets(frame.infer)
    if which == "load":
        return LoadModel(Version(frame.load.version), Digest(exactly(frame.load.digest, 32, "a digest")))
    if which == "unload":
        return UnloadModel(Version(frame.unload))
    raise MessageInvalid(f"an engine frame holds {which!r}")


def _take_tickets(rows: bytes) -> InferTickets:
    count, rest = divmod(len(rows), _TICKET.size)
    if rest or not 1 <= count <= TICKETS_AT_ONCE_MAX:
        raise MessageInvalid(f"{len(rows)} bytes are not 1 to {TICKETS_AT_ONCE_MAX} tickets")
    return InferTickets(tuple(map(_take_ticket, _TICKET.iter_unpack(rows))))


def _take_ticket(row: tuple[Any, ...]) -> InferTicket:
    ticket, deadline, version, kind, height, width, channels, found = row
    shape = (height, width, channels)
    return InferTicket(ticket, TimeUs(deadline), Version(version), take_input_kind(kind), shape, Digest(found))


def take_input_kind(number: int) -> InputKind:
    """The input kind of this number."""
    kind = _KINDS.get(number)
    if kind is None:
        raise MessageInvalid(f"input kind {number} is unknown")
    return kind


def encode_from_engine(message: FromEngine) -> bytes:
    """One frame for the node."""
    size = 1024
    if isinstance(message, EngineAnswers):
        size += sum(ANSWER_BYTES + len(output) for _, output in message.answers)
    if isinstance(message, EngineFigures):
        size += SIZE_BYTES * len(message.sizes)
    return close_message(lambda m: _put_from_engine(m, message), schema("engine").FromEngine, size)


def _put_from_engine(frame: Any, message: FromEngine) -> None:
    match message:
        case EngineReady():
            into = frame.init("ready")
            into.model, into.digest = message.model, message.digest
            into.version, into.credits = message.version, message.credits
        case EngineAnswers(answers):
            rows = frame.init("answers", len(answers))
            for row, (ticket, output) in zip(rows, answers, strict=True):
                row.ticket, row.output = ticket, output
        case EngineFailure():
            into = frame.init("failed")
            into.ticket, into.reason = message.ticket, int(message.reason)
            into.detail = cut_text(message.detail, DETAIL_BYTES_MAX)
        case LoadFailure():
            into = frame.init("notLoaded")
            into.version, into.digest = message.version, message.digest
            into.detail = cut_text(message.detail, DETAIL_BYTES_MAX)
        case EngineFigures():
            _put_figures(frame.init("figures"), message)
        case _:
            assert_never(message)


def _put_figures(into: Any, figures: EngineFigures) -> None:
    into.version = figures.version
    for name in _COUNTS:
        setattr(into, _camel(name), getattr(figures, name))
    for row, (inputs, batches) in zip(into.init("sizes", len(figures.sizes)), figures.sizes, strict=True):
        row.inputs, row.batches = inputs, batches


def _take_figures(row: Any) -> EngineFigures:
    rows = at_most(row.sizes, SIZES_MAX, "sizes of batches")
    sizes = tuple((size.inputs, size.batches) for size in rows)
    if any(a[0] >= b[0] for a, b in pairwise(sizes)):
        raise MessageInvalid("sizes of batches do not ascend")
    counts: dict[str, Any] = {name: getattr(row, _camel(name)) for name in _COUNTS}
    return EngineFigures(version=Version(row.version), sizes=sizes, **counts)


def _camel(name: str) -> str:
    """A field's name in the schema."""
    first, *rest = name.split("_")
    return first + "".join(word.title() for word in rest)


def cut_text(text: str, bytes_max: int) -> str:
    """The longest beginning of ``text`` that fits in ``bytes_max`` bytes of UTF-8."""
    return text.encode()[:bytes_max].decode(errors="ignore")


def take_text(text: str, bytes_max: int, what: str) -> str:
    """``text`` if it fits."""
    if len(text.encode()) > bytes_max:
        raise MessageInvalid(f"{what} is longer than {bytes_max} bytes")
    return text


def decode_from_engine(data: bytes) -> FromEngine:
    """Read a frame from the engine; MessageInvalid unless it is one."""
    return open_message(schema("engine").FromEngine, data, limits.MESSAGE_BYTES_MAX, _take_from_engine)


def _take_from_engine(frame: Any) -> FromEngine:
    which = str(frame.which())
    if which == "ready":
        row = frame.ready
        model = take_text(row.model, MODEL_NAME_BYTES_MAX, "a model's name")
        digest = Digest(exactly(row.digest, 32, "a digest"))
        if not 1 <= row.credits <= TICKETS_MAX:
            raise MessageInvalid(f"an engine grants {row.credits} credits, 1 to {TICKETS_MAX} are possible")
        return EngineReady(model, digest, Version(row.version), row.credits)
    if which == "answers":
        rows = at_most(frame.answers, TICKETS_MAX, "answers")
        return EngineAnswers(tuple((row.ticket, _output(row.output)) for row in rows))
    if which == "failed":
        row = frame.failed
        if row.reason not in FailReason._value2member_map_:
            raise MessageInvalid(f"fail reason {row.reason} is unknown")
        return EngineFailure(row.ticket, FailReason(row.reason), take_text(row.detail, DETAIL_BYTES_MAX, "a detail"))
    if which == "notLoaded":
        row = frame.notLoaded
        digest = Digest(exactly(row.digest, 32, "a digest"))
        return LoadFailure(Version(row.version), digest, take_text(row.detail, DETAIL_BYTES_MAX, "a detail"))
    if which == "figures":
        return _take_figures(frame.figures)
    raise MessageInvalid(f"an engine frame holds {which!r}")


def _output(data: bytes) -> bytes:
    if len(data) > limits.OUTPUT_BYTES_MAX:
        raise MessageInvalid(f"an output has {len(data)} bytes, at most {limits.OUTPUT_BYTES_MAX} are possible")
    return data
