"""What ``dropbeard audit`` shows: one JSON object, or lines for people. The same certificates give the same bytes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, Final

from dropbeard.audit.blaming import Blame
from dropbeard.audit.certificates import BadFile, Seen
from dropbeard.audit.findings import Audit
from dropbeard.audit.history import Gap, History, OwnerRecord
from dropbeard.types.entries import EntryKind
from dropbeard.types.group import Group
from dropbeard.verification.lineage import Lineage

ROWS_SHOWN_MAX: Final = 20
"""Lines of one kind for people; --json has all."""

MODEL_HEX: Final = 12
RATE_DIGITS: Final = 6

Judged = Sequence[tuple[Group, Blame]]


def figures_of(lineage: Lineage, history: History, judged: Judged, ledger: Audit | None) -> dict[str, Any]:
    """All of it as JSON values: heights and counts are numbers, times microseconds since 1970, digests hex."""
    group = lineage.groups[0]
    return {
        "group": {"id": group.id.hex(), "name": group.name, "kind": _kind(group), "epochs": len(lineage.groups)},
        "files": _files(history),
        "requests": _outcomes(history),
        "bad": [_bad(row) for row in history.bad],
        "order": [_request(row, group) for row in history.order],
        "duplicates": [{"request": of.hex(), "files": list(map(str, files))} for of, files in history.duplicates],
        "gaps": [
            {"from": gap.first, "to": gap.last, "entries": gap.entries, "without": gap.without} for gap in history.gaps
        ],
        "versions": [
            {"owner": s.owner, "version": s.version, "model": s.model.hex(), "from": s.first, "to": s.last}
            for s in history.versions
        ],
        "owners": [_owner(record) for record in history.owners],
        "contradictions": [
            {"what": row.what, "height": row.height, "files": list(map(str, row.files))}
            for row in history.contradictions
        ],
        "convicted": [
            {"owner": owner, "name": group.member(owner).name, "offence": _words(offence.name), "epoch": group.epoch}
            for group, found in judged
            for owner, offence in sorted(found.convicted)
        ],
        "ledger": None if ledger is None else _ledger(ledger, history),
    }


def _files(history: History) -> dict[str, int]:
    invalid = sum(row.step is not None for row in history.bad)
    return {"valid": history.valid, "invalid": invalid, "unreadable": len(history.bad) - invalid}


def _outcomes(history: History) -> dict[str, int]:
    """Requests by what became of them; a margin of none is either undecided or led by a liar at worst."""
    agreed = [row for row in history.order if row.kind is EntryKind.AGREED]
    grades = Counter(row.assurance.value for row in agreed)
    return {
        "agreed": len(agreed),
        "expired": len(history.order) - len(agreed),
        "undecided": sum(not row.agreements for row in agreed),
        "robust": grades["robust"],
        "honest-plurality": grades["honest-plurality"],
        "none": grades["none"],
    }


def _bad(row: BadFile) -> dict[str, Any]:
    return {"file": str(row.path), "failed_step": row.step, "step_name": row.name, "reason": row.reason}


def _request(row: Seen, group: Group) -> dict[str, Any]:
    return {
        "height": row.block.height,
        "index": row.index,
        "epoch": row.block.epoch,
        "time_us": row.block.time,
        "request": row.request.hex(),
        "outcome": row.kind.name.lower(),
        "label": None if row.label is None else group.task.labels[row.label],
        "margin": row.margin,
        "assurance": None if row.kind is EntryKind.EXPIRED else row.assurance.value,
        "openings": len(row.opened),
        "file": str(row.path),
    }


def _owner(record: OwnerRecord) -> dict[str, Any]:
    rate = record.disagreement
    names = ("owner", "name", "requests", "in_time", "late", "absent", "late_blocks_max", "opened", "decided")
    row = {name: getattr(record, name) for name in names}
    return row | {
        "disagreed": record.disagreed,
        "disagreement": None if rate is None else round(rate, RATE_DIGITS),
    }


def _ledger(ledger: Audit, history: History) -> dict[str, Any]:
    return {
        "requests_without_certificate": history.uncertified,
        "start": ledger.start,
        "height": ledger.blocks[-1].height if ledger.blocks else ledger.start,
        "agreed": sum(row.agreed for row in ledger.blocks),
        "expired": sum(row.expired for row in ledger.blocks),
        "supplements": sum(row.supplements for row in ledger.blocks),
        "models": [
            {"height": row.height, "owner": row.owner, "version": row.version, "model": row.model.hex()}
            for row in ledger.models
        ],
        "marked": [
            {"owner": owner, "offence": _words(offence.name), "height": height}
            for (owner, offence), height in sorted(ledger.marks.items())
        ],
    }


def lines_of(lineage: Lineage, history: History, judged: Judged, ledger: Audit | None) -> Iterator[str]:
    """The same for people, the longest lists cut short."""
    group, files, outcomes = lineage.groups[0], _files(history), _outcomes(history)
    yield f"group {group.name} ({group.id.hex()[:MODEL_HEX]}), {_kind(group)}, epochs 0 to {len(lineage.groups) - 1}"
    yield f"files: {files['valid']} valid, {files['invalid']} invalid, {files['unreadable']} unreadable"
    yield (
        f"requests: {outcomes['agreed']} agreed ({outcomes['robust']} robust, {outcomes['honest-plurality']} "
        f"honest-plurality, {outcomes['none']} without assurance, of these {outcomes['undecided']} undecided), "
        f"{outcomes['expired']} expired"
    )
    if history.order:
        first, last = history.order[0], history.order[-1]
        yield f"order: height {first.block.height} to {last.block.height}"
    if ledger is not None:
        figures = _ledger(ledger, history)
        yield (
            f"ledger: replayed from height {figures['start']} to {figures['height']}, {figures['agreed']} agreed, "
            f"{figures['expired']} expired, {figures['supplements']} supplements; "
            f"{history.uncertified} of its requests have no certificate here"
        )
    yield from _cut([_bad_line(row) for row in history.bad])
    yield from _cut([f"{len(paths)} files of request {of.hex()[:16]}" for of, paths in history.duplicates])
    yield from _cut([_gap_line(gap) for gap in history.gaps])
    yield from _cut([_request_line(row, group) for row in history.order])
    names = {record.owner: record.name for record in history.owners}
    yield from _cut(
        [
            f"{names[s.owner]}: version {s.version} ({s.model.hex()[:MODEL_HEX]}) at heights {s.first} to {s.last}"
            for s in history.versions
        ]
    )
    yield from map(_owner_line, history.owners)
    yield from _cut(
        [
            f"CONTRADICTION  {c.what} at height {c.height}: {', '.join(map(str, c.files))}"
            for c in history.contradictions
        ]
    )
    for of, found in judged:
        for owner, offence in sorted(found.convicted):
            yield f"CONVICTED  {of.member(owner).name} of {_words(offence.name)}, epoch {of.epoch} (dropbeard blame -o)"


def _cut(lines: Sequence[str]) -> list[str]:
    more = len(lines) - ROWS_SHOWN_MAX
    return [*lines[:ROWS_SHOWN_MAX], *([f"... and {more} more (--json)"] if more > 0 else [])]


def _bad_line(row: BadFile) -> str:
    if row.step is None:
        return f"UNREADABLE  {row.path}: {row.reason}"
    return f"INVALID  {row.path}: step {row.step} ({row.name}): {row.reason}"


def _gap_line(gap: Gap) -> str:
    where = f"height {gap.first}" if gap.first == gap.last else f"heights {gap.first} to {gap.last}"
    if gap.entries is None:
        return f"gap: no certificate of {where}, which may be empty (--ledger tells)"
    return f"gap: {gap.without} of {gap.entries} entries at {where} (supplements, too) are in no certificate here"


def _request_line(row: Seen, group: Group) -> str:
    shown = _request(row, group)
    place = f"height {shown['height']}, entry {row.index}: request {shown['request'][:16]}"
    if row.kind is EntryKind.EXPIRED:
        return f"{place} expired"
    said = shown["label"] or (_kind(group) if row.agreements else "undecided")
    margin = "" if row.margin is None else f"margin {row.margin}, "
    return f"{place} {said}, {margin}{row.assurance.value}"


def _owner_line(record: OwnerRecord) -> str:
    rate = "unknown" if record.disagreement is None else f"{record.disagreement:.1%}"
    return (
        f"{record.name}: {record.in_time} in time, {record.late} late (by {record.late_blocks_max} blocks at most), "
        f"{record.absent} absent of {record.requests}; disagreed in {record.disagreed} of {record.decided} ({rate})"
    )


def _kind(group: Group) -> str:
    return group.task.kind.name.lower()


def _words(name: str) -> str:
    return name.lower().replace("_", " ")
