"""One certificate, checked and explained (rules 5.4 to 5.6)."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import Final

from dropbeard.errors import CertificateInvalid, CertificateUnreadable
from dropbeard.types.certificates import decode_certificate
from dropbeard.types.entries import EntryKind
from dropbeard.types.task import PROBABILITY_ONE
from dropbeard.verification.aggregate import Assurance, Decision, plurality
from dropbeard.verification.certificate import Verified
from dropbeard.verification.lineage import Lineage

DIGEST_SHOWN: Final = 12
"""Hex digits of a model's digest that are shown."""

PROMISES: Final = {
    Assurance.NONE: "too few for a promise about honest owners",
    Assurance.HONEST_PLURALITY: "it leads among the honest owners, whoever lied",
    Assurance.ROBUST: "no f owners could have changed it",
}


@dataclass(frozen=True, slots=True)
class AnswerRow:
    """One owner's answer. ``stands``: agrees, dissents, or nothing where the group is undecided."""

    owner: str
    model: str
    version: int
    label: str
    probability: str
    stands: str


@dataclass(frozen=True, slots=True)
class Report:
    """``state`` is good, bad or unknown and always said in words by ``headline``, too."""

    state: str
    headline: str
    detail: str
    facts: tuple[tuple[str, str], ...] = ()
    answers: tuple[AnswerRow, ...] = ()


def report_on(data: bytes, lineage: Lineage) -> Report:
    """Check the bytes of a certificate file with the group's own keys."""
    try:
        certificate = decode_certificate(data)
    except CertificateUnreadable as wrong:
        return Report("bad", "Not a certificate", str(wrong))
    try:
        return explained(lineage.verify(certificate), lineage)
    except CertificateInvalid as wrong:
        return Report("bad", "Invalid", f"It fails verification step {wrong.step}, {wrong.name}: {wrong.detail}.")


def explained(verified: Verified, lineage: Lineage) -> Report:
    """What a valid certificate says, and no more."""
    facts = (
        ("Request", verified.request.hex()),
        ("Agreed at", f"height {verified.height}, {time_of(verified)}"),
        ("Owners", f"{len(verified.answers)} of {verified.n} opened their answers, f = {verified.f}"),
    )
    if verified.kind is EntryKind.EXPIRED:
        return Report("good", "Valid: the request expired", "Too few owners answered by its deadline.", facts)
    decision = plurality(verified)
    said = label_of(decision, lineage)
    assurance = (
        ("Margin", str(decision.margin)),
        ("Assurance", f"{decision.assurance.value}: {PROMISES[decision.assurance]}"),
    )
    detail = "Agreed on by the group" if decision.label is not None else "The group is undecided"
    rows = tuple(_rows(verified, decision, lineage))
    return Report("good", f"Valid: {said}", f"{detail}. That is all that is claimed.", (*facts, *assurance), rows)


def label_of(decision: Decision, lineage: Lineage) -> str:
    """What was agreed, as people read it."""
    return "undecided" if decision.label is None else lineage.groups[0].task.labels[decision.label]


def _rows(verified: Verified, decision: Decision, lineage: Lineage) -> list[AnswerRow]:
    rows = []
    for answer in verified.answers:
        class_id, probability = answer.classification.choices[0]
        stands = "" if decision.label is None else "agrees" if class_id == decision.label else "dissents"
        label = lineage.groups[0].task.labels[class_id]
        share = f"{probability / PROBABILITY_ONE:.0%}"
        model = answer.model.hex()[:DIGEST_SHOWN]
        rows.append(AnswerRow(answer.name, model, int(answer.version), label, share, stands))
    return rows


def time_of(verified: Verified) -> str:
    """By the owners' clocks, in UTC."""
    try:
        moment = datetime.datetime.fromtimestamp(verified.time // 1_000_000, datetime.UTC)
    except (OverflowError, ValueError, OSError):
        return f"{verified.time // 1_000_000} s after 1970"
    return moment.strftime("%Y-%m-%d %H:%M:%S UTC")
