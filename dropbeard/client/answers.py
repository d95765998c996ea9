"""What a client gets for a request: the agreed answer, each owner's own, and the certificate (rules 5.5 to 5.7)."""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from dropbeard.aggregate import outcome
from dropbeard.client.outcomes import Measured, measured
from dropbeard.errors import AnswerBelowRequired, DropbeardError
from dropbeard.types.certificates import Certificate
from dropbeard.types.group import Group
from dropbeard.types.task import PROBABILITY_ONE
from dropbeard.verification.aggregate import Assurance, plurality
from dropbeard.verification.certificate import OwnerAnswer, Verified


class Decided(Protocol):
    """What an aggregate makes of a verified certificate: at least a margin and what it promises (rule 5.6).

    A ``label`` (class id or None) and a ``shown`` (class id), where it has them, are named in the answer.
    """

    @property
    def margin(self) -> Any:
        """How far ahead the decision is."""

    @property
    def assurance(self) -> Assurance:
        """What that says when f owners lie."""


Aggregate = Callable[[Verified], Decided]
"""A pure function of a verified certificate."""


class Grade(enum.Enum):
    """How settled an answer is (rule 5.7). What a call returns is FINAL; PROVISIONAL is told to a callback alone."""

    PROVISIONAL = "provisional"
    FINAL = "final"


@dataclass(frozen=True, slots=True)
class OwnerResult:
    """One owner's answer. ``choices``: (class id, label, probability 0..1), best first."""

    owner: str
    model: str
    """The model's digest, 64 hex digits: a name would prove nothing."""
    version: int
    label: str
    class_id: int
    probability: float
    choices: tuple[tuple[int, str, float], ...]


@dataclass(frozen=True, slots=True)
class Provisional:
    """What owners have said so far (rule 2.9): nothing is ordered or agreed, and any of it may be missing in the end.

    ``owners`` by owner. ``elapsed_ms`` since the call.
    """

    request_id: str
    owners: tuple[OwnerResult, ...]
    elapsed_ms: float
    grade: Literal[Grade.PROVISIONAL] = Grade.PROVISIONAL

    @property
    def leading(self) -> str:
        """The label that most of these owners put first, for display; a tie goes to the higher probability."""
        votes = Counter(owner.label for owner in self.owners)
        return max(self.owners, key=lambda owner: (votes[owner.label], owner.probability)).label


@dataclass(frozen=True, slots=True)
class SavedCertificate:
    """The inference certificate of an answer."""

    certificate: Certificate

    @property
    def data(self) -> bytes:
        """The file's bytes."""
        return self.certificate.encode()

    def save(self, path: str | Path) -> Path:
        """Write the certificate file; DropbeardError when it cannot be written."""
        target = Path(path)
        try:
            target.write_bytes(self.data)
        except OSError as wrong:
            raise DropbeardError(f"cannot write the certificate to {target}: {wrong.strerror}") from wrong
        return target


@dataclass(frozen=True, slots=True)
class Answer:
    """A verified, final answer. ``label`` and ``class_id`` are None when the group is undecided (margin <= 0);
    ``shown`` is then the leading label for display. ``latency_ms`` from submission to verified certificate.
    ``decision`` is what the aggregate returned.
    """

    label: str | None
    class_id: int | None
    shown: str
    margin: Any
    assurance: Assurance
    grade: Grade
    owners: tuple[OwnerResult, ...]
    height: int
    request_id: str
    latency_ms: float
    certificate: SavedCertificate
    decision: Decided
    measured: Measured | None = None
    """What the group says where the task does not classify; there is no label then, and no row in ``owners``."""


def answer_of(
    group: Group, certificate: Certificate, verified: Verified, latency_ms: float, aggregate: Aggregate = plurality
) -> Answer:
    """Aggregate a verified certificate."""
    if group.task.form is not None:
        return _measured_answer(certificate, verified, latency_ms, aggregate)
    decision = aggregate(verified)
    class_id, shown = getattr(decision, "label", None), getattr(decision, "shown", None)
    labels = group.task.labels
    return Answer(
        label=None if class_id is None else labels[class_id],
        class_id=class_id,
        shown="" if shown is None else labels[shown],
        margin=decision.margin,
        assurance=decision.assurance,
        grade=Grade.FINAL,
        owners=tuple([owner_result(group, given) for given in verified.answers]),
        height=verified.height,
        request_id=verified.request.hex(),
        latency_ms=latency_ms,
        certificate=SavedCertificate(certificate),
        decision=decision,
    )


def owner_result(group: Group, given: OwnerAnswer) -> OwnerResult:
    """One owner's answer with the task's labels."""
    labels = group.task.labels
    choices = tuple((c, labels[c], p / PROBABILITY_ONE) for c, p in given.classification.choices)
    class_id, label, probability = choices[0]
    return OwnerResult(given.name, given.model.hex(), given.version, label, class_id, probability, choices)


def below_required(answer: Answer, required: Assurance) -> AnswerBelowRequired | None:
    """The error of an answer that is worth less than what was required; None when it is worth as much."""
    if required is Assurance.NONE or answer.assurance.covers(required):
        return None
    got = f"its assurance is {answer.assurance.value} (margin {answer.margin}), required is {required.value}"
    return AnswerBelowRequired(f"the group answered, but {got}", answer)


def _measured_answer(certificate: Certificate, verified: Verified, latency_ms: float, aggregate: Aggregate) -> Answer:
    """Plurality means nothing here: unless its caller chose another aggregate, the task's own outcome decides."""
    decision = outcome(verified) if aggregate is plurality else aggregate(verified)
    return Answer(
        label=None,
        class_id=None,
        shown="",
        margin=0 if decision.margin is None else decision.margin,
        assurance=decision.assurance,
        grade=Grade.FINAL,
        owners=(),
        height=verified.height,
        request_id=verified.request.hex(),
        latency_ms=latency_ms,
        certificate=SavedCertificate(certificate),
        decision=decision,
        measured=measured(verified),
    )
