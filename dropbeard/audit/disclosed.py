"""How often an owner agreed with the group, as far as clients disclosed their certificates to it (rule 5.6).

A node never sees its clients' certificates: who answered what is opened to the client alone. What clients hand over is
put as files into one directory, and only valid certificates of the group count.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dropbeard.errors import CertificateInvalid, CertificateUnreadable
from dropbeard.storage.files import read_certificate
from dropbeard.types.certificates import Certificate, decode_certificate
from dropbeard.types.group import Group
from dropbeard.types.succession import Succession
from dropbeard.verification.aggregate import plurality
from dropbeard.verification.certificate import Verified
from dropbeard.verification.lineage import lineage_of

FILES_MAX: Final = 1_000
"""The newest of them are read."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """Of ``certificates`` that check, ``decided`` name a class and hold this owner's answer; in ``agreed`` it is that
    class. Where the task does not classify, none is decided. ``refused`` files are no valid certificate of the group.
    """

    certificates: int
    decided: int
    agreed: int
    refused: int

    @property
    def rate(self) -> float | None:
        """None: not known."""
        return self.agreed / self.decided if self.decided else None


def agreement_of(owner: str, group: Group, directory: Path, successions: Sequence[Succession] = ()) -> Agreement:
    """Read every ``*.dbcert`` in ``directory``, the newest FILES_MAX; a directory that is not there holds none.

    ``group`` is the genesis; ``successions``: what ended its earlier epochs, whose certificates then count, too (rule
    8.4). LedgerInvalid when they do not check.
    """
    lineage = lineage_of(group, successions)
    certificates = decided = agreed = refused = 0
    seen: set[bytes] = set()
    for path in newest(directory):
        verified = read_disclosed(path, lineage.verify)
        if verified is None:
            refused += 1
            continue
        if verified.request in seen:  # a second copy would count twice
            continue
        seen.add(verified.request)
        certificates += 1
        label = plurality(verified).label if group.task.form is None else None
        own = next((row for row in verified.answers if row.name == owner), None)
        if label is not None and own is not None:
            decided += 1
            agreed += own.classification.choices[0][0] == label
    return Agreement(certificates, decided, agreed, refused)


def newest(directory: Path) -> list[Path]:
    """The certificate files that count, the newest first; a directory that is not there holds none."""
    return sorted(directory.glob("*.dbcert"), key=_age)[:FILES_MAX]


def read_disclosed(path: Path, check: Callable[[Certificate], Verified]) -> Verified | None:
    """What a file says; None when it cannot be read or ``check`` refuses it."""
    try:
        return check(decode_certificate(read_certificate(path)))
    except (OSError, CertificateInvalid, CertificateUnreadable):
        return None


def _age(path: Path) -> float:
    try:
        return -path.stat().st_mtime
    except OSError:
        return 0.0
