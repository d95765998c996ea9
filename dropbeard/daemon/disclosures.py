"""Certificates that their holders give to a node to keep (rule 8.2): verified, beside the ledger, never in it."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Final

from dropbeard.agreement.replica_state import ReplicaState
from dropbeard.errors import CertificateInvalid, CertificateUnreadable
from dropbeard.storage.files import DISCLOSED
from dropbeard.types.certificates import decode_certificate
from dropbeard.types.group import Group
from dropbeard.types.messages import Disclosed
from dropbeard.types.parameters import SECOND
from dropbeard.verification.lineage import Lineage, lineage_of

log = logging.getLogger("dropbeard.node")

KEPT_MAX: Final = 10_000
"""Files that a node keeps: its owner moves them away when there are so many."""

CHECKED_PER_S_MAX: Final = 20
"""Certificates that a node verifies in a second: each costs a millisecond that turns wait for."""


class DisclosureDesk:
    """``directory``: the node's state directory; ``group``: the genesis'."""

    def __init__(self, directory: Path, group: Group, state: ReplicaState) -> None:
        self._folder = directory / DISCLOSED
        self._group = group
        self._state = state
        self._lineage: Lineage | None = None
        self._kept = sum(1 for _ in self._folder.glob("*.dbcert"))
        self._second, self._checked = 0, 0

    def take(self, data: bytes, now_us: int) -> Disclosed:
        """Verify a certificate and keep it as a file; one of each request. ``now_us``: monotonic."""
        if now_us // SECOND != self._second:
            self._second, self._checked = now_us // SECOND, 0
        self._checked += 1
        if self._checked > CHECKED_PER_S_MAX:
            return Disclosed(
                False, f"more than {CHECKED_PER_S_MAX} certificates in a second; send it again in a second"
            )
        try:
            request = self._epochs().verify(decode_certificate(data)).request
        except (CertificateUnreadable, CertificateInvalid) as wrong:
            return Disclosed(False, str(wrong))
        path = self._folder / f"{request.hex()}.dbcert"
        if path.exists():
            return Disclosed(True, "it is here already")
        if self._kept >= KEPT_MAX:
            return Disclosed(False, f"this node keeps {KEPT_MAX} certificates already")
        return self._keep(path, data)

    def _keep(self, path: Path, data: bytes) -> Disclosed:
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            scratch = path.with_suffix(".new")
            scratch.write_bytes(data)
            scratch.replace(path)
        except OSError as wrong:
            log.warning("disclosure-lost reason=%s", wrong.strerror)
            return Disclosed(False, "this node cannot write it down; ask its owner")
        self._kept += 1
        return Disclosed(True, "kept")

    def _epochs(self) -> Lineage:
        """The group's epochs as far as the replica has passed them."""
        past = self._state.successions
        if self._lineage is None or len(self._lineage.groups) != len(past) + 1:
            self._lineage = lineage_of(self._group, [given for _, given in sorted(past.items())])
        return self._lineage
