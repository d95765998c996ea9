"""What ended the epochs of a node's group, in its state directory, and how a node that lacks it asks for it (rule 8.4).

A node writes the file at each step into an epoch. It proves itself from the genesis on: auditors and clients may have
it, too (``--successions``).
"""

from __future__ import annotations

import errno
import logging
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from dropbeard.codec.client import decode_to_client, encode_to_node
from dropbeard.errors import ConfigInvalid, DiskFull, LedgerInvalid, MessageInvalid, StorageFailed
from dropbeard.signing.curve import CurveSecret
from dropbeard.storage.files import read_successions
from dropbeard.transport.client_link import ClientLink
from dropbeard.types.group import Group
from dropbeard.types.messages import FetchSuccession, SuccessionNotice
from dropbeard.types.succession import Succession, encode_successions
from dropbeard.verification.lineage import Lineage, lineage_of

log = logging.getLogger("dropbeard.node")

SUCCESSIONS: Final = "successions"
ASK_S: Final = 8.0
ASK_EVERY_S: Final = 1.0


def read_epochs(group: Group, directory: Path) -> tuple[Lineage, list[Succession]]:
    """The epochs that a state directory knows of, and their proof; the genesis alone when it says nothing."""
    path = directory / SUCCESSIONS
    if not path.exists():
        return lineage_of(group, ()), []
    try:
        given = read_successions(path, group.id)
        return lineage_of(group, given), given
    except (ConfigInvalid, LedgerInvalid) as wrong:
        raise StorageFailed(f"{wrong}; remove {path}, the node makes it anew") from wrong


def write_epochs(group: Group, directory: Path, given: Iterable[Succession]) -> None:
    """Replace the file, whole or not at all; StorageFailed when that cannot be done, DiskFull for want of room."""
    rows = sorted(given, key=lambda succession: succession.epoch)
    path = directory / SUCCESSIONS
    scratch = path.with_name(f"{SUCCESSIONS}.new")
    try:
        directory.mkdir(parents=True, exist_ok=True)
        scratch.write_bytes(encode_successions(group.id, rows))
        scratch.replace(path)
    except OSError as wrong:
        kind = DiskFull if wrong.errno in (errno.ENOSPC, errno.EDQUOT) else StorageFailed
        raise kind(f"cannot write {path}: {wrong.strerror}") from wrong


class EpochsFile:
    """The file of a node that runs: on a full disk it is written later, as the journal holds the same."""

    def __init__(self, group: Group, directory: Path) -> None:
        self._group, self._directory = group, directory
        self._due: list[Succession] = []

    def keep(self, given: Iterable[Succession]) -> None:
        """Write these; StorageFailed for any failure but want of room."""
        self._due = list(given)
        if not self.settle():
            log.warning("epochs-not-written the disk is full; it is tried again")

    def settle(self) -> bool:
        """Try again what is not written yet; is everything?"""
        try:
            if self._due:
                write_epochs(self._group, self._directory, self._due)
        except DiskFull:
            return False
        self._due = []
        return True


def ask_epochs(
    lineage: Lineage, given: list[Succession], enough: Callable[[Lineage], bool], timeout_s: float = ASK_S
) -> tuple[Lineage, list[Succession]]:
    """Ask the nodes of the latest epoch known what ended it, and theirs of the next, until there is ``enough`` or
    ``timeout_s`` seconds have passed. As a client does, with a key made for it: who joins is let in nowhere else yet.
    """
    link = ClientLink(lineage.groups[-1], CurveSecret.generate())
    until, next_ask = time.monotonic() + timeout_s, 0.0
    try:
        while not enough(lineage) and time.monotonic() < until:
            link.connected()
            if time.monotonic() >= next_ask:
                next_ask = time.monotonic() + ASK_EVERY_S
                question = encode_to_node(FetchSuccession(lineage.groups[-1].epoch))
                for owner in lineage.groups[-1].members:
                    link.send(owner, [question])
            for _, data in link.receive(0.05):
                found = _followed(lineage, data)
                if found is not None:
                    lineage, given, next_ask = found[0], [*given, found[1]], 0.0
                    link.follow(lineage.groups[-1])
    finally:
        link.close()
    return lineage, given


def _followed(lineage: Lineage, data: bytes) -> tuple[Lineage, Succession] | None:
    try:
        message = decode_to_client(data, lineage.groups[0])
        if not isinstance(message, SuccessionNotice) or message.succession.epoch != lineage.groups[-1].epoch:
            return None
        return lineage.followed_by(message.succession), message.succession
    except (MessageInvalid, LedgerInvalid) as wrong:
        log.warning("succession-refused reason=%s", wrong)
        return None
