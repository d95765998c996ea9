"""One inference call, whichever way it came, and its reply; what its parameters ask for."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, get_args

from dropbeard.gateway.config import GatewayConfig, Require
from dropbeard.gateway.faults import Fault, Reason
from dropbeard.gateway.tensors import Given, Output, shown

Parameter = bool | int | float | str

ID_CHARACTERS_MAX: Final = 1_024
OUTPUTS_MAX: Final = 32
INPUTS_MAX: Final = 8
PARAMETERS_MAX: Final = 64

OURS: Final = "dropbeard_"
PATIENCE: Final = "dropbeard_patience_us"
REQUIRE: Final = "dropbeard_require"
CERTIFICATE: Final = "dropbeard_certificate"
KNOWN: Final = (PATIENCE, REQUIRE, CERTIFICATE)
SEQUENCE: Final = "sequence_id"
TIMEOUT: Final = "timeout"
LEVELS: Final[tuple[str, ...]] = get_args(Require)


@dataclass(frozen=True, slots=True)
class Wanted:
    """An output that the client asks for. ``binary`` means something by HTTP alone."""

    name: str
    binary: bool = False
    class_count: int = 0
    """Of the classification extension: so many best classes as text; 0: the tensor itself."""


@dataclass(frozen=True, slots=True)
class Call:
    """What a client asks. No ``outputs``: what the metadata names."""

    model: str
    version: str
    id: str
    parameters: Mapping[str, Parameter]
    inputs: tuple[Given, ...]
    outputs: tuple[Wanted, ...]
    remaining_s: float | None = None
    """Until the deadline of gRPC."""


@dataclass(frozen=True, slots=True)
class Answered:
    """What the client gets."""

    model: str
    version: str
    id: str
    parameters: Mapping[str, Parameter]
    outputs: tuple[Output, ...]


@dataclass(frozen=True, slots=True)
class Options:
    """What a call asks of the group."""

    timeout_s: float
    patience_s: float
    require: str
    certificate: bool


def check_sizes(id_: str, inputs: int, outputs: int, parameters: int) -> None:
    """Fault when a call has more parts than any client needs."""
    if len(id_) > ID_CHARACTERS_MAX:
        raise Fault(Reason.INVALID, f"the id has more than {ID_CHARACTERS_MAX} characters")
    most = (
        ("inputs", inputs, INPUTS_MAX),
        ("outputs", outputs, OUTPUTS_MAX),
        ("parameters", parameters, PARAMETERS_MAX),
    )
    for what, count, limit in most:
        if count > limit:
            raise Fault(Reason.INVALID, f"the call has {count} {what}, at most {limit} are taken")


def options_of(call: Call, config: GatewayConfig) -> Options:
    """The call's own wishes within the configuration's bounds; Fault for what means nothing here."""
    parameters = call.parameters
    _check_known(parameters)
    timeout_s = config.timeout_ms / 1e3
    asked_us = _whole(parameters, TIMEOUT)
    if asked_us:  # as in Triton, 0 is no wish
        timeout_s = min(timeout_s, asked_us / 1e6)
    if call.remaining_s is not None:
        timeout_s = min(timeout_s, call.remaining_s)
    if timeout_s <= 0:
        raise Fault(Reason.LATE, "the call's deadline has passed")
    patience_us = _whole(parameters, PATIENCE)
    patience_s = config.patience_ms / 1e3 if patience_us is None else patience_us / 1e6
    # Half of the time at most: with an owner that is down, the group waits for it, and then needs time to agree.
    return Options(timeout_s, min(patience_s, timeout_s / 2), _require(parameters, config), _certificate(call, config))


def _check_known(parameters: Mapping[str, Parameter]) -> None:
    if parameters.get(SEQUENCE):
        raise Fault(Reason.UNSUPPORTED, "this model keeps no sequences: send no sequence_id")
    for name in parameters:
        if name.startswith(OURS) and name not in KNOWN:
            near = difflib.get_close_matches(name, KNOWN, n=1)
            hint = f"; did you mean {near[0]}?" if near else f"; known are {', '.join(KNOWN)}"
            raise Fault(Reason.INVALID, f"the parameter {shown(name)} means nothing{hint}")


def _whole(parameters: Mapping[str, Parameter], name: str) -> int | None:
    value = parameters.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 1 << 63:
        raise Fault(Reason.INVALID, f"the parameter {name} is a whole number of microseconds")
    return value


def _require(parameters: Mapping[str, Parameter], config: GatewayConfig) -> str:
    asked = parameters.get(REQUIRE, "none")
    if asked not in LEVELS:
        raise Fault(Reason.INVALID, f"the parameter {REQUIRE} is one of {', '.join(LEVELS)}")
    return max(str(asked), config.require, key=LEVELS.index)


def _certificate(call: Call, config: GatewayConfig) -> bool:
    asked = call.parameters.get(CERTIFICATE, config.certificates)
    if not isinstance(asked, bool):
        raise Fault(Reason.INVALID, f"the parameter {CERTIFICATE} is true or false")
    return asked
