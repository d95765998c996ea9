"""What a client gets for a request: the agreed answer, each owner's own, and the certificate (rules 5.5 to 5.7)."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from pathlib import Path

from dropbeard.client.outcomes import Measured, measured
from dropbeard.errors import DropbeardError
from dropbeard.types.certificates import Certificate
from dropbeard.types.group import Group
from dropbeard.types.task import PROBABILITY_ONE
from dropbeard.verification.aggregate import Assurance, plurality
from dropbeard.verification.certificate import Verified


class Grade(enum.Enum):
    """How settled an answer is (rule 5.7); this binding returns FINAL ones only."""

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
    """

    label: str | None
    class_id: int | None
    shown: str
    margin: int
    assurance: Assurance
    grade: Grade
    owners: tuple[OwnerResult, ...]
    height: int
    request_id: str
    latency_ms: float
    certificate: SavedCertificate
    measured: Measured | None = None
    """What the group says where the task does not classify; there is no label then, and no row in ``owners``."""


def answer_of(group: Group, certificate: Certificate, verified: Verified, latency_ms: float) -> Answer:
    """Aggregate a verified certificate: by plurality where the task classifies."""
    if group.task.form is not None:
        return _measured_answer(certificate, verified, latency_ms)
    decision = plurality(verified)
    labels = group.task.labels
    owners = []
    for given in verified.answers:
        choices = tuple((c, labels[c], p / PROBABILITY_ONE) for c, p in given.classification.choices)
        class_id, label, probability = choices[0]
        owners.append(OwnerResult(given.name, given.model.hex(), given.version, label, class_id, probability, choices))
    return Answer(
        label=None if decision.label is None else labels[decision.label],
        class_id=decision.label,
        shown="" if decision.shown is None else labels[decision.shown],
        margin=decision.margin,
        assurance=decision.assurance,
        grade=Grade.FINAL,
        owners=tuple(owners),
        height=verified.height,
        request_id=verified.request.hex(),
        latency_ms=latency_ms,
        certificate=SavedCertificate(certificate),
    )


def _measured_answer(certificate: Certificate, verified: Verified, latency_ms: float) -> Answer:
    found = measured(verified)
    return Answer(
        label=None,
        class_id=None,
        shown="",
        margin=0 if found is None or found.margin is None else found.margin,
        assurance=Assurance.NONE if found is None else found.assurance,
        grade=Grade.FINAL,
        owners=(),
        height=verified.height,
        request_id=verified.request.hex(),
        latency_ms=latency_ms,
        certificate=SavedCertificate(certificate),
        measured=found,
    )
