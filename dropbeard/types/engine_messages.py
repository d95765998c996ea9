"""What a node and its engine say to each other over their ipc socket."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from dropbeard.types.ids import Digest, TimeUs, Version
from dropbeard.types.task import InputKind


class FailReason(enum.IntEnum):
    """Why the engine did not answer a ticket."""

    BAD_INPUT = 1
    TOO_LATE = 2
    """It could not have finished by the deadline (rule 2.4)."""
    BUSY = 3
    BROKEN = 4


@dataclass(frozen=True, slots=True)
class NodeHello:
    """The node is there: the engine answers EngineReady as soon as it is warm."""


@dataclass(frozen=True, slots=True)
class InferTicket:
    """One input to run. ``ticket`` is the node's name for it, u64."""

    ticket: int
    deadline: TimeUs
    version: Version
    kind: InputKind
    shape: tuple[int, int, int]
    input_digest: Digest


@dataclass(frozen=True, slots=True)
class InferTickets:
    """1 to TICKETS_AT_ONCE_MAX inputs to run; their bytes are the next frames, in this order."""

    tickets: tuple[InferTicket, ...]


@dataclass(frozen=True, slots=True)
class LoadModel:
    """Load and warm this model beside what runs (rule 4.3); EngineReady or LoadFailure answers, however late."""

    version: Version
    digest: Digest


@dataclass(frozen=True, slots=True)
class UnloadModel:
    """Nothing needs this version any more."""

    version: Version


@dataclass(frozen=True, slots=True)
class LoadFailure:
    """A model that was to be loaded is not; what ran before goes on. ``detail`` is one line for people."""

    version: Version
    digest: Digest
    detail: str


@dataclass(frozen=True, slots=True)
class EngineReady:
    """The engine runs this model and takes up to ``credits`` tickets at once; one message for each loaded model."""

    model: str
    digest: Digest
    version: Version
    credits: int


@dataclass(frozen=True, slots=True)
class EngineAnswers:
    """A finished batch: (ticket, output as task-schema bytes)."""

    answers: tuple[tuple[int, bytes], ...]


@dataclass(frozen=True, slots=True)
class EngineFailure:
    """One ticket without an answer; ``detail`` is one line for people."""

    ticket: int
    reason: FailReason
    detail: str


@dataclass(frozen=True, slots=True)
class EngineFigures:
    """What was done with one version since it was loaded. ``sizes``: (inputs in a batch, such batches), ascending;
    ``busy_us``: microseconds inside the model, ``copied_us``: of them for copies to and from it; ``shed``: too late.
    """

    version: Version
    queued: int
    batches: int
    inputs: int
    busy_us: int
    copied_us: int
    refused: int
    shed: int
    bad_input: int
    failed: int
    sizes: tuple[tuple[int, int], ...]


ToEngine = NodeHello | InferTickets | LoadModel | UnloadModel
FromEngine = EngineReady | EngineAnswers | EngineFailure | LoadFailure | EngineFigures

TICKETS_MAX = 4_096
"""Answers in one message, and the most credits an engine may grant."""

SIZES_MAX = 4_096
"""Different sizes of batches."""

TICKETS_AT_ONCE_MAX = 256
"""Tickets in one message."""

MODEL_NAME_BYTES_MAX = 128
DETAIL_BYTES_MAX = 500
