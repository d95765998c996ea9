"""Bodies of inference calls by HTTP: JSON alone, JSON with raw tensors after it, or one bare image file.

Every maximum is checked before anything is made of the bytes; what a body says of itself is never believed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from dropbeard.gateway.calls import Answered, Call, Parameter, Wanted, check_sizes
from dropbeard.gateway.faults import Fault, Reason
from dropbeard.gateway.rows import INPUT
from dropbeard.gateway.tensors import Given, Output, given_raw, given_values, shown

JSON_BYTES_MAX: Final = 8 << 20
"""Of a body: its JSON becomes objects of many times its size."""

SIZE: Final = "binary_data_size"
BINARY: Final = "binary_data"
BINARY_ALL: Final = "binary_data_output"
CLASSES: Final = "classification"
ABSENT: Final = msgspec.Raw(b"")

Parameters = dict[str, bool | int | float | str | None]


class InputJson(msgspec.Struct, frozen=True):
    """An input tensor; ``data`` is absent where its bytes follow the JSON."""

    name: str
    shape: list[int]
    datatype: str
    parameters: Parameters | None = None
    data: msgspec.Raw = ABSENT


class OutputJson(msgspec.Struct, frozen=True):
    """An output that is asked for."""

    name: str
    parameters: Parameters | None = None


class InferJson(msgspec.Struct, frozen=True):
    """The whole call."""

    inputs: list[InputJson]
    id: str | None = None
    parameters: Parameters | None = None
    outputs: list[OutputJson] | None = None


def call_from(model: str, version: str, body: bytes, json_bytes: int | None, unasked: str) -> Call:
    """Read a body; ``json_bytes`` as the header Inference-Header-Content-Length says, None without it. ``unasked``: the
    output that is wanted when none is named. Raises Fault.
    """
    if json_bytes == 0:
        return Call(model, version, "", {}, (Given(INPUT, "BYTES", (1,), (body,)),), ())
    size = len(body) if json_bytes is None else json_bytes
    if not 0 < size <= len(body):
        raise Fault(Reason.INVALID, f"the JSON is said to have {size} bytes, the body has {len(body)}")
    if size > JSON_BYTES_MAX:
        text = f"the JSON has {size} bytes, at most {JSON_BYTES_MAX} are taken; send tensors in binary form"
        raise Fault(Reason.TOO_LARGE, text)
    view = memoryview(body)
    said = _decode(view[:size], InferJson, "the body")
    parameters, outputs = _known(said.parameters), said.outputs or []
    check_sizes(said.id or "", len(said.inputs), len(outputs), len(parameters))
    is_binary = parameters.pop(BINARY_ALL, False) is True
    inputs = _inputs(said.inputs, view[size:])
    wanted = tuple(_wanted(one, is_binary) for one in outputs)
    return Call(model, version, said.id or "", parameters, inputs, wanted or (Wanted(unasked, is_binary),))


def _decode(data: memoryview | msgspec.Raw, form: Any, what: str) -> Any:
    try:
        return msgspec.json.decode(data, type=form)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as wrong:
        raise Fault(Reason.INVALID, f"{what} is not what the protocol asks for: {wrong}") from None


def _known(parameters: Parameters | None) -> dict[str, Parameter]:
    return {name: value for name, value in (parameters or {}).items() if value is not None}


def _inputs(said: Sequence[InputJson], rest: memoryview) -> tuple[Given, ...]:
    inputs = []
    for one in said:
        size = (one.parameters or {}).get(SIZE)
        if size is None:
            if not bytes(one.data):
                raise Fault(Reason.INVALID, f"input {shown(one.name)} has no data")
            values = _decode(one.data, Any, f"input {shown(one.name)}")
            inputs.append(given_values(one.name, one.datatype, one.shape, values))
            continue
        if isinstance(size, bool) or not isinstance(size, int) or not 0 <= size <= len(rest):
            text = f"input {shown(one.name)} is said to have {size} bytes, the body has {len(rest)} more"
            raise Fault(Reason.INVALID, text)
        inputs.append(given_raw(one.name, one.datatype, one.shape, rest[:size]))
        rest = rest[size:]
    if len(rest):
        raise Fault(Reason.INVALID, f"the body has {len(rest)} bytes that belong to no input")
    return tuple(inputs)


def _wanted(said: OutputJson, is_binary: bool) -> Wanted:
    parameters = _known(said.parameters)
    classes = parameters.get(CLASSES, 0)
    if isinstance(classes, bool) or not isinstance(classes, int):
        raise Fault(Reason.INVALID, f"the parameter {CLASSES} is a whole number")
    return Wanted(said.name, parameters.get(BINARY, is_binary) is True, classes)


def body_of(answered: Answered, wanted: Sequence[Wanted]) -> tuple[bytes, int | None]:
    """A response's body, and the size of its JSON where raw tensors follow it."""
    binary = {one.name for one in wanted if one.binary}
    rows, tails = [], []
    for output in answered.outputs:
        row = _row(output)
        if output.name in binary:
            raw = output.raw()
            tails.append(raw)
            row["parameters"] = {SIZE: len(raw)}
        else:
            row["data"] = output.values()
        rows.append(row)
    head = msgspec.json.encode(_head(answered, rows))
    return head + b"".join(tails), len(head) if tails else None


def _row(output: Output) -> dict[str, Any]:
    return {"name": output.name, "datatype": output.datatype, "shape": list(output.shape)}


def _head(answered: Answered, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    named = {"id": answered.id} if answered.id else {}
    about = {"model_name": answered.model, "model_version": answered.version}
    return {**named, **about, "parameters": answered.parameters, "outputs": rows}
