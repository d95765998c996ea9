"""Start of a node with long history: CPU and wall time from `dropbeard run node` to its first answer to `status`.

``python -m perf.start [--blocks 100000] [--requests 2] [--retention 600]``: four replicas of the real core in one
process and virtual time make a history, a block every ``block_interval``, with real keys; the first one writes the
journal of a real state directory, on which a daemon is then started. Its peers are not there, and not in the figures.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from dropbeard.agreement.effects import Broadcast, Infer, Send
from dropbeard.agreement.events import AnswersCame, BatchCame, EngineIsReady, Event, Now, PeerSpoke, RequestCame
from dropbeard.agreement.records import is_audit
from dropbeard.agreement.replica_state import new_replica
from dropbeard.agreement.turn import RecordWriter, Turn
from dropbeard.daemon.asking import ask_status
from dropbeard.daemon.files import read_node_files
from dropbeard.daemon.identity import load_keys
from dropbeard.daemon.local_group import LocalGroup
from dropbeard.daemon.process import pace_garbage
from dropbeard.errors import DropbeardError
from dropbeard.signing.guard import Guard
from dropbeard.signing.signer import NodeKeyChecker, NodeSigner
from dropbeard.storage.records import Journal
from dropbeard.storage.sqlite_store import SqliteStore
from dropbeard.types.group import Group
from dropbeard.types.ids import ClientKey, Nonce, OwnerId, RequestId, TimeUs, Version
from dropbeard.types.journal import Piece
from dropbeard.types.messages import BatchNotice, PeerMessage
from dropbeard.types.node_config import EngineTable
from dropbeard.types.parameters import SECOND, Parameters
from dropbeard.types.requests import Request
from dropbeard.types.task import Classification, Input, InputKind
from perf._observed import labels_of
from perf.soak import directory_bytes, resident_mib

HOP_US: Final = 1_000
DEADLINE_US: Final = 15 * SECOND
CLIENT: Final = ClientKey(b"c" * 32)
ANSWER: Final = Classification(tuple((number, 40_000 - number) for number in range(5))).encode()
STARTS: Final = 3
START_MAX_S: Final = 300.0
ASK_S: Final = 0.5
TICKS_S: Final = os.sysconf("SC_CLK_TCK")


class _Nothing:
    """The journal of a replica that will not be started."""

    def append(self, records: Sequence[bytes], piece: Piece | None = None) -> None:
        """Fine."""


class _Member:
    """One replica, what is on its way to it, and when it looks again."""

    def __init__(self, group: Group, config: Path, now: Now, writer: RecordWriter, boot: int) -> None:
        keys = load_keys(read_node_files(config))
        node_key = keys.pairs[0][0]
        owner = next(owner for owner in group.owners if owner.node_key == node_key.public.to_bytes())
        self.owner = owner.id
        state = new_replica(group, owner.id, keys.salt_secret, now, NodeKeyChecker(group), boot)
        self.turn = Turn(state, NodeSigner(lambda _: node_key, Guard()), writer)
        self.inbox: list[Event] = [EngineIsReady(state.own_model.version, state.own_model.model, 10_000)]
        self.wake_at_us = 0


class History:
    """Runs the group until so many blocks are final, ``requests`` in each; the first owner's state is on the disk."""

    def __init__(self, local: LocalGroup, blocks: int, requests: int) -> None:
        group = self._group = local.group
        self._interval_us, self._requests = group.parameters.block_interval_us, requests
        self._mono_us = 0
        self._began_us = time.time_ns() // 1_000 - blocks * self._interval_us
        self._asked = 0
        self._coming: dict[OwnerId, list[Event]] = {owner: [] for owner in group.members}
        self._store = SqliteStore(read_node_files(local.configs[0]).state)
        journal = Journal(self._store, is_audit)
        for _ in journal.recover().records:
            raise SystemExit("the state directory is not empty")
        self._members = [
            _Member(group, config, self._now(), _Nothing() if place else journal, 0 if place else self._store.boot)
            for place, config in enumerate(local.configs)
        ]

    @property
    def height(self) -> int:
        """The height that the first replica knows to be final."""
        return self._members[0].turn.state.chain.final.header.height

    def run(self, blocks: int) -> None:
        """Make the history."""
        next_us = 0
        while self.height < blocks:
            if self._mono_us >= next_us:
                next_us = self._mono_us + self._interval_us
                self._ask()
            for member in self._members:
                if member.inbox or member.wake_at_us <= self._mono_us:
                    self._let(member)
            for member in self._members:
                member.inbox, self._coming[member.owner] = self._coming[member.owner], []
            self._mono_us += HOP_US
        self._store.close()

    def _now(self) -> Now:
        return Now(self._mono_us, TimeUs(self._began_us + self._mono_us))

    def _ask(self) -> None:
        """The next requests, at every replica at once."""
        for _ in range(self._requests):
            self._asked += 1
            given = Input(InputKind.ENCODED_IMAGE, (0, 0, 0), b"picture %d" % self._asked)
            deadline = TimeUs(self._now().wall_us + DEADLINE_US)
            asked = Request(CLIENT, self._group.id, Nonce(self._asked), deadline, 0, b"", given.digest())
            for coming in self._coming.values():
                coming.append(RequestCame(asked, given))

    def _let(self, member: _Member) -> None:
        outcome = member.turn.run(member.inbox, self._now())
        member.wake_at_us = outcome.wake_at_us
        answers: dict[Version, list[tuple[RequestId, bytes]]] = {}
        for effect in outcome.outgoing:
            match effect:
                case Broadcast(message):
                    for peer in member.turn.state.peers:
                        self._coming[peer].append(_came(member.owner, message))
                case Send(peer, message):
                    self._coming[peer].append(_came(member.owner, message))
                case Infer(request, _, _, version):
                    answers.setdefault(version, []).append((request, ANSWER))
                case _:
                    pass  # to clients
        own = self._coming[member.owner]
        own += [AnswersCame(version, tuple(rows)) for version, rows in answers.items()]


def _came(sender: OwnerId, message: PeerMessage) -> Event:
    if isinstance(message, BatchNotice):
        return BatchCame(sender, message.signed)
    return PeerSpoke(sender, message)


def starts(config: Path, times: int) -> Iterator[tuple[float, float, float]]:
    """CPU seconds, wall seconds and resident MiB of a daemon that is started until it answers."""
    files = read_node_files(config)
    for _ in range(times):
        began = time.monotonic()
        command = (sys.executable, "-m", "dropbeard", "run", "node", str(config))
        with subprocess.Popen(command, stderr=subprocess.PIPE) as node:
            try:
                while True:
                    try:
                        ask_status(files, ASK_S)
                        break
                    except DropbeardError:
                        if node.poll() is not None or time.monotonic() - began > START_MAX_S:
                            raise SystemExit("the node does not start") from None
                yield _cpu_s(node.pid), time.monotonic() - began, resident_mib(node.pid)
            finally:
                node.terminate()
                node.communicate(timeout=30.0)


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_S


def main() -> int:
    """Make a history, start a node on it, print the figures as JSON."""
    parser = argparse.ArgumentParser(prog="python -m perf.start", description="Start of a node with long history.")
    parser.add_argument("--blocks", type=int, default=100_000)
    parser.add_argument("--requests", type=int, default=2, help="in each block")
    parser.add_argument("--retention", type=int, default=Parameters().retention_us // SECOND, help="seconds")
    parser.add_argument("--keep", type=Path, help="a new folder that stays")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        directory = chosen.keep or Path(scratch)
        directory.mkdir(parents=True, exist_ok=True)
        local = LocalGroup(
            directory / "g",
            engine=EngineTable("", backend="synthetic"),
            labels=labels_of(Path(scratch), "synthetic"),
            parameters=Parameters(retention_us=chosen.retention * SECOND),
        )
        began = time.process_time()
        pace_garbage()
        history = History(local, chosen.blocks, chosen.requests)
        history.run(chosen.blocks)
        made_s = time.process_time() - began
        rows = list(starts(local.configs[0], STARTS))
        size = directory_bytes(read_node_files(local.configs[0]).state)
    figures = {
        "blocks": history.height,
        "requests": chosen.requests * history.height,
        "retention_s": chosen.retention,
        "state_mib": round(size / 2**20, 1),
        "making_cpu_s": round(made_s, 1),
        "start_cpu_s": [round(cpu, 2) for cpu, _, _ in rows],
        "start_wall_s": [round(wall, 2) for _, wall, _ in rows],
        "start_wall_median_s": round(statistics.median(wall for _, wall, _ in rows), 2),
        "resident_mib": round(rows[-1][2]),
    }
    sys.stdout.write(f"{json.dumps(figures)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
