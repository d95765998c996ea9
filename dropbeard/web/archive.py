"""What the files of a node tell: certificates that clients disclosed, and the ledger. Read in the background."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from dropbeard.audit.disclosed import newest, read_disclosed
from dropbeard.daemon.files import NodeFiles
from dropbeard.errors import LedgerInvalid, MessageInvalid
from dropbeard.storage.files import DISCLOSED
from dropbeard.types.group import Group
from dropbeard.types.succession import decode_successions
from dropbeard.verification.certificate import Verified
from dropbeard.verification.lineage import Lineage, lineage_of
from dropbeard.web.disagreement import Disagreement, disagreement
from dropbeard.web.timeline import Timeline, read_apart

EVERY_S: Final = 5.0
REPLAY_PAUSE_S: Final = 60.0
"""Between two replays of a ledger, however often models are updated."""

Stamp = tuple[str, int, int]


@dataclass(frozen=True, slots=True)
class Read:
    """``certificates``: valid ones, the newest file first, each request once; ``refused`` files are none of the group.

    ``disagreement`` is None until the files were read. ``timeline`` is a text while there is none: why.
    """

    lineage: Lineage
    certificates: tuple[Verified, ...]
    refused: int
    disagreement: Disagreement | None
    timeline: Timeline | str


class Archive:
    """``in_force`` tells which models the node says are in force: the ledger is replayed when that changes."""

    def __init__(self, files: NodeFiles, genesis: Group, in_force: Callable[[], object]) -> None:
        self._files = files
        self._genesis = genesis
        self._in_force = in_force
        self._replayed: tuple[object, float] | None = None
        self._known: dict[Stamp, Verified | None] = {}
        self._read = Read(lineage_of(genesis, ()), (), 0, None, "the ledger is being read")

    def read(self) -> Read:
        """What is known by now."""
        return self._read

    def run(self, over: threading.Event) -> None:
        """Read again until ``over`` is set."""
        while not over.is_set():
            self.look_at_certificates()
            self.look_at_ledger(over)
            over.wait(EVERY_S)

    def look_at_certificates(self) -> None:
        """Verify the files that are new; the others are remembered by name, time and size."""
        found: dict[Stamp, Verified | None] = {}
        for path in newest(self._files.state / DISCLOSED):
            stamp = _stamp(path)
            known = stamp in self._known
            found[stamp] = self._known[stamp] if known else read_disclosed(path, self._read.lineage.verify)
        if found == self._known and self._read.disagreement is not None:
            return
        self._known = found
        valid = {one.request: one for one in reversed(found.values()) if one is not None}
        certificates = tuple(reversed(valid.values()))
        refused = sum(one is None for one in found.values())
        counted = disagreement(certificates)
        self._read = replace(self._read, certificates=certificates, refused=refused, disagreement=counted)

    def look_at_ledger(self, over: threading.Event) -> None:
        """Replay the ledger if another model is in force than at the last replay."""
        in_force, now = self._in_force(), time.monotonic()
        if self._replayed is not None:
            before, at = self._replayed
            if before == in_force or now < at + REPLAY_PAUSE_S:
                return
        timeline = read_apart(self._files.state, self._files.genesis, over)
        self._replayed = (in_force, time.monotonic())
        self._read = replace(self._read, timeline=timeline)
        if isinstance(timeline, Timeline) and timeline.successions:
            self._follow(timeline.successions)

    def _follow(self, successions: bytes) -> None:
        """Certificates of later epochs can be checked from now on: what was refused is looked at again."""
        try:
            lineage = lineage_of(self._genesis, decode_successions(successions, self._genesis.id))
        except (MessageInvalid, LedgerInvalid):
            return  # the genesis file was replaced since this process read it
        self._read = replace(self._read, lineage=lineage)
        self._known = {stamp: verified for stamp, verified in self._known.items() if verified is not None}


def _stamp(path: Path) -> Stamp:
    try:
        facts = path.stat()
    except OSError:
        return (path.name, 0, 0)
    return (path.name, facts.st_mtime_ns, facts.st_size)
