"""What is known of each owner from a ledger and from certificates that clients disclosed (rules 5.6, 8.2).

Counts and whole shares of a thousand, and no score made of them: whoever reads the table weighs it. The same ledger and
the same certificates give the same table, in whatever order the files are read.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from dropbeard.audit.disclosed import read_disclosed
from dropbeard.audit.findings import Audit
from dropbeard.types.blocks import Header
from dropbeard.types.entries import Entry, EntryKind
from dropbeard.types.group import Group
from dropbeard.types.ids import OwnerId, RequestId
from dropbeard.verification.aggregate import plurality
from dropbeard.verification.certificate import Verified
from dropbeard.verification.lineage import Lineage, lineage_of

FORMAT: Final = 1
KIND: Final = "dropbeard reputation"
SUFFIX: Final = ".dbcert"


@dataclass(slots=True)
class Record:
    """One owner's answers in entries: in ``agreed`` ones, ``late`` in supplements, of requests that ``expired``."""

    agreed: int = 0
    late: int = 0
    expired: int = 0


@dataclass(slots=True)
class Attendance:
    """Counts while a ledger is replayed: ``see`` is a witness for ``audit_ledger``. ``agreed``: requests by epoch that
    were agreed in the blocks that were replayed.
    """

    owners: dict[OwnerId, Record] = field(default_factory=dict)
    agreed: dict[int, int] = field(default_factory=dict)

    def see(self, header: Header, entries: tuple[Entry, ...] | None) -> None:
        """Take the next block."""
        for entry in entries or ():
            if entry.kind is EntryKind.AGREED:
                self.agreed[header.epoch] = self.agreed.get(header.epoch, 0) + 1
            for promise in entry.promises:
                record = self.owners.setdefault(promise.owner, Record())
                if entry.kind is EntryKind.AGREED:
                    record.agreed += 1
                elif entry.kind is EntryKind.SUPPLEMENT:
                    record.late += 1
                else:
                    record.expired += 1


@dataclass(slots=True)
class Disclosed:
    """What disclosed certificates say together. ``labels``: the class that each request decided, where some certificate
    of it decides; ``firsts``: the class that each owner put first in it. ``refused``: files that are no valid
    certificates of the group.
    """

    labels: dict[RequestId, int] = field(default_factory=dict)
    firsts: dict[RequestId, dict[OwnerId, int]] = field(default_factory=dict)
    refused: int = 0

    def take(self, verified: Verified) -> None:
        """Add a valid certificate. No two of one request decide differently, nor open different answers (rule 5.6), so
        the order does not matter and a copy changes nothing."""
        firsts = self.firsts.setdefault(verified.request, {})
        firsts.update({row.owner: row.classification.choices[0][0] for row in verified.answers})
        label = plurality(verified).label
        if label is not None:
            self.labels[verified.request] = label

    def agreement(self, owner: OwnerId) -> tuple[int, int]:
        """(requests that were decided and hold this owner's answer, those in which it is the decided class)."""
        held = [(self.labels[request], self.firsts[request].get(owner)) for request in self.labels]
        return sum(first is not None for _, first in held), sum(first == label for label, first in held)


def disclosed_in(directory: Path, lineage: Lineage) -> Disclosed:
    """Every ``*.dbcert`` of a directory; one that is not there holds none."""
    found = Disclosed()
    for path in sorted(directory.glob(f"*{SUFFIX}")):
        verified = read_disclosed(path, lineage.verify)
        if verified is None:
            found.refused += 1
        else:
            found.take(verified)
    return found


def lineage_from(group: Group, audit: Audit) -> Lineage:
    """The epochs whose certificates can be checked; the genesis' alone for a ledger that starts in a later one."""
    whole = [given.epoch for given in audit.successions] == list(range(len(audit.successions)))
    return lineage_of(group, audit.successions if whole else ())


def reputation(
    group: Group, audit: Audit, attendance: Attendance, disclosed: Disclosed, members: Mapping[OwnerId, Iterable[int]]
) -> dict[str, Any]:
    """The table, as values for JSON. ``members``: the epochs that each owner served."""
    owners = [
        _owner_row(owner, name, audit, attendance, disclosed, members.get(owner, ()))
        for owner, name in sorted(audit.names.items())
    ]
    return {
        "format": FORMAT,
        "kind": KIND,
        "group": {"id": group.id.hex(), "name": group.name},
        "start": audit.start,
        "height": audit.blocks[-1].height if audit.blocks else audit.start,
        "blocks": len(audit.blocks),
        "headers_only": audit.headers,
        "complete": audit.start == 0 and audit.headers == 0,
        "agreed_requests": sum(attendance.agreed.values()),
        "certificates": len(disclosed.firsts),
        "decided": len(disclosed.labels),
        "refused": disclosed.refused,
        "owners": owners,
    }


def _owner_row(
    owner: OwnerId, name: str, audit: Audit, attendance: Attendance, disclosed: Disclosed, epochs: Iterable[int]
) -> dict[str, Any]:
    record = attendance.owners.get(owner, Record())
    answers = record.agreed + record.late
    asked = sum(attendance.agreed.get(epoch, 0) for epoch in epochs)
    decided, same = disclosed.agreement(owner)
    marks = [
        {"offence": offence.name.lower(), "height": height}
        for (accused, offence), height in sorted(audit.marks.items())
        if accused == owner
    ]
    return {
        "owner_id": owner,
        "owner": name,
        "agreed": record.agreed,
        "late": record.late,
        "late_permille": permille(record.late, answers),
        "absent": max(0, asked - answers),
        "absent_permille": permille(max(0, asked - answers), asked),
        "expired": record.expired,
        "disclosed_decided": decided,
        "disclosed_same": same,
        "agreement_permille": permille(same, decided),
        "evidence": marks,
    }


def permille(part: int, whole: int) -> int | None:
    """A share in thousandths, rounded down; None of nothing."""
    return part * 1000 // whole if whole else None


def to_json(table: Mapping[str, Any]) -> bytes:
    """Canonical JSON: sorted keys, no spaces, ASCII, one newline at its end."""
    return (json.dumps(table, sort_keys=True, separators=(",", ":")) + "\n").encode("ascii")
