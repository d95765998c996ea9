"""The ``--successions`` of commands: from a genesis to the groups of later epochs (rule 8.4)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dropbeard.types.group import Group
    from dropbeard.verification.lineage import Lineage

UNREADABLE = 2
"""Exit code when a file is not what it should be."""


def read_lineage(group: Group, path: Path | None) -> Lineage:
    """The groups of all epochs that the file proves; without one the genesis' alone.

    Raises ConfigInvalid, with exit code 2, for a file that cannot be read or proves nothing.
    """
    from dropbeard.errors import ConfigInvalid, LedgerInvalid
    from dropbeard.storage.files import read_successions
    from dropbeard.verification.lineage import lineage_of

    if path is None:
        return lineage_of(group, ())
    try:
        return lineage_of(group, read_successions(path, group.id))
    except ConfigInvalid as wrong:
        unreadable = wrong
    except LedgerInvalid as wrong:
        unreadable = ConfigInvalid(f"{path}: {wrong}")
    unreadable.exit_code = UNREADABLE
    raise unreadable
