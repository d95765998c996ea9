"""The ``--group`` and ``--successions`` of commands: from a genesis to the groups of later epochs (rule 8.4)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from dropbeard.types.group import Group
    from dropbeard.verification.lineage import Lineage

GENESIS = click.option(
    "--group", "genesis", type=click.Path(path_type=Path), required=True, help="The group's genesis file."
)
SUCCESSIONS = click.option(
    "--successions",
    type=click.Path(path_type=Path),
    help="What ended earlier epochs: `successions` of a node's state directory, or from dropbeard ledger successions.",
)
UNREADABLE = 2
"""Exit code when a file is not what it should be."""


@contextmanager
def unreadable() -> Iterator[None]:
    """A genesis, key or input that cannot be used says nothing about the certificate: exit 2, not 1."""
    from dropbeard.errors import ConfigInvalid, InputInvalid, KeyInvalid

    try:
        yield
    except (ConfigInvalid, InputInvalid, KeyInvalid) as wrong:
        wrong.exit_code = UNREADABLE
        raise


def read_lineage(group: Group, path: Path | None) -> Lineage:
    """The groups of all epochs that the file proves; without one the genesis' alone.

    Raises ConfigInvalid, with exit code 2, for a file that cannot be read or proves nothing, or a key that is no point.
    """
    from dropbeard.errors import ConfigInvalid, KeyInvalid, LedgerInvalid
    from dropbeard.signing.signer import NodeKeyChecker
    from dropbeard.storage.files import read_successions
    from dropbeard.verification.lineage import lineage_of

    try:
        # A key that is no point is found here, not only once its signature is met.
        NodeKeyChecker(group)
        lineage = lineage_of(group, () if path is None else read_successions(path, group.id))
        NodeKeyChecker(lineage.groups[-1])
        return lineage
    except KeyInvalid as wrong:
        refused = ConfigInvalid(f"a node_key of group {group.name} is none: {wrong}")
    except ConfigInvalid as wrong:
        refused = wrong
    except LedgerInvalid as wrong:
        refused = ConfigInvalid(f"{path}: {wrong}")
    refused.exit_code = UNREADABLE
    raise refused
