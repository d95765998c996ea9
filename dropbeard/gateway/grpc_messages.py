"""Messages of the protocol's gRPC service, which tritonclient brings, to calls and back.

The process holds one copy of them: two packages' copies clash in one interpreter.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from google.protobuf import json_format
from tritonclient.grpc import service_pb2 as messages

from dropbeard.gateway.calls import Answered, Call, Parameter, Wanted, check_sizes
from dropbeard.gateway.faults import Fault, Reason
from dropbeard.gateway.tensors import Given, check_datatype, count_of, given_raw, shown

CLASSES: Final = "classification"
SHARED_MEMORY: Final = "shared_memory_region"


def message_of(form: Any, fields: Mapping[str, Any]) -> Any:
    """A message of the protocol from its JSON."""
    return json_format.ParseDict(fields, form())


def call_from(request: Any, remaining_s: float | None) -> Call:
    """A ModelInferRequest; Fault when its parts do not fit."""
    check_sizes(request.id, len(request.inputs), len(request.outputs), len(request.parameters))
    return Call(
        request.model_name,
        request.model_version,
        request.id,
        _parameters(request.parameters),
        _inputs(request),
        tuple(_wanted(one) for one in request.outputs),
        remaining_s,
    )


def _parameters(said: Mapping[str, Any]) -> dict[str, Parameter]:
    found: dict[str, Parameter] = {}
    for name, value in said.items():
        kind = value.WhichOneof("parameter_choice")
        if kind is not None:
            found[name] = getattr(value, kind)
    return found


def _inputs(request: Any) -> tuple[Given, ...]:
    raw: Sequence[bytes] = request.raw_input_contents
    for one in request.inputs:
        if SHARED_MEMORY in one.parameters:
            raise Fault(Reason.UNSUPPORTED, "the gateway shares no memory with clients: send the tensors")
    if not raw:
        return tuple(_typed(one) for one in request.inputs)
    if len(raw) != len(request.inputs):
        raise Fault(Reason.INVALID, f"{len(request.inputs)} inputs and {len(raw)} raw contents do not fit")
    pairs = zip(request.inputs, raw, strict=True)
    return tuple(given_raw(one.name, one.datatype, tuple(one.shape), memoryview(data)) for one, data in pairs)


def _typed(one: Any) -> Given:
    """An input whose values stand in the message itself."""
    check_datatype(one.name, one.datatype)
    count = count_of(one.name, one.shape)
    is_bytes = one.datatype == "BYTES"
    values = one.contents.bytes_contents if is_bytes else one.contents.uint_contents
    if len(values) != count:
        text = f"input {shown(one.name)} of shape {list(one.shape)} needs {count} values, got {len(values)}"
        raise Fault(Reason.INVALID, text)
    if is_bytes:
        return Given(one.name, one.datatype, tuple(one.shape), tuple(values))
    try:
        return Given(one.name, one.datatype, tuple(one.shape), memoryview(bytes(values)))
    except ValueError:
        raise Fault(Reason.INVALID, f"input {shown(one.name)} is UINT8: its values are 0 to 255") from None


def _wanted(one: Any) -> Wanted:
    parameters = _parameters(one.parameters)
    if SHARED_MEMORY in parameters:
        raise Fault(Reason.UNSUPPORTED, "the gateway shares no memory with clients: take the tensors")
    classes = parameters.get(CLASSES, 0)
    if isinstance(classes, bool) or not isinstance(classes, int):
        raise Fault(Reason.INVALID, f"the parameter {CLASSES} is a whole number")
    return Wanted(one.name, class_count=classes)


def response_of(answered: Answered) -> Any:
    """A ModelInferResponse with raw contents."""
    response = messages.ModelInferResponse(model_name=answered.model, model_version=answered.version, id=answered.id)
    for name, value in answered.parameters.items():
        _set(response.parameters[name], value)
    for output in answered.outputs:
        response.outputs.add(name=output.name, datatype=output.datatype, shape=output.shape)
        response.raw_output_contents.append(output.raw())
    return response


def _set(parameter: Any, value: Parameter) -> None:
    match value:
        case bool():
            parameter.bool_param = value
        case int():
            parameter.int64_param = value
        case float():
            parameter.double_param = value
        case str():
            parameter.string_param = value
