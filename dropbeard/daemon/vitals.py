"""What a node says of itself: gathered on the loop's own thread, between two turns, from what it holds anyway."""

from __future__ import annotations

import os
import shutil
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final, Protocol

from blake3 import blake3
from msgspec.structs import replace

from dropbeard.agreement.replica_state import ReplicaState
from dropbeard.agreement.summary import chain_part
from dropbeard.daemon.engine_desk import EngineDesk
from dropbeard.daemon.files import NodeFiles
from dropbeard.daemon.identity import Identity
from dropbeard.daemon.inbox import Inbox
from dropbeard.daemon.stages import Durations, Stages
from dropbeard.daemon.starts import FREE_FAILURES, read_starts
from dropbeard.storage.records import Journal
from dropbeard.transport.clients import ClientListener
from dropbeard.transport.peers import PeerLink
from dropbeard.transport.zap import ZapHandler
from dropbeard.types import versions
from dropbeard.types.engine_messages import EngineFigures
from dropbeard.types.group import Group
from dropbeard.types.ids import OwnerId
from dropbeard.types.journal import Piece
from dropbeard.types.status import (
    STATUS_FORMAT,
    ChainPart,
    DiskPart,
    EnginePart,
    FiguresPart,
    KeysPart,
    NodeStatus,
    PeerPart,
    RequestsPart,
)

IN_SIGHT_INTERVALS: Final = 4
"""A peer that said nothing for so many status intervals is out of sight."""

LAG_MAX: Final = 64
"""Final blocks that a node may be behind and still be called healthy: it has them within seconds."""

DISK_FREE_SHARE: Final = 0.05
DISK_FREE_BYTES: Final = 256 << 20
FINGERPRINT_BYTES: Final = 8
RELEASE: Final = version("dropbeard")
JOURNAL: Final = ("journal.db", "journal.db-wal")


class TimedWriter:
    """The journal, timed."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self.took = Durations()

    def append(self, records: Sequence[bytes], piece: Piece | None = None) -> None:
        """As the journal does."""
        started_ns = time.monotonic_ns()
        self._journal.append(records, piece)
        ended_ns = time.monotonic_ns()
        self.took.note((ended_ns - started_ns) // 1000, ended_ns // 1000)

    @property
    def records(self) -> int:
        """Records that the journal ever took; old ones are pruned."""
        return self._journal.records


@dataclass(slots=True)
class Sockets:
    """What the node speaks through."""

    votes: PeerLink
    lanes: PeerLink
    catchup: PeerLink
    clients: ClientListener
    zap: ZapHandler

    @property
    def links(self) -> tuple[PeerLink, ...]:
        """The channels between nodes."""
        return self.votes, self.lanes, self.catchup

    def not_sent(self, group: Group) -> Counter[str]:
        """Messages that did not leave, by whom they were for."""
        found: Counter[str] = Counter()
        for link in self.links:
            rows = ((group.owner(peer), n) for peer, n in link.not_sent.items())
            found.update({f"to {peer.name if peer else 'who left'}": n for peer, n in rows})
        found.update({f"client {why}": n for why, n in self.clients.not_sent.items()})
        return found

    def dropped(self) -> Counter[str]:
        """Messages and handshakes that were not taken."""
        found: Counter[str] = Counter()
        found.update({f"refused {domain}": n for domain, n in self.zap.refused.items()})
        for dropped in (*(link.dropped for link in self.links), self.clients.dropped):
            found.update({why: n for why, n in dropped.items() if n})
        return found


class Place(Protocol):
    """Where the node stands in its group (daemon.wiring)."""

    sockets: Sockets
    identity: Identity

    def serves_until_us(self) -> int | None:
        """Of a node whose owner left: until when it shows old certificates; else None."""


@dataclass(slots=True)
class Vitals:
    """Everything that a status is made of."""

    files: NodeFiles
    place: Place
    state: ReplicaState
    desk: EngineDesk
    inbox: Inbox
    writer: TimedWriter
    started_us: int
    draining: bool = False
    stages: Stages = field(default_factory=Stages)

    @property
    def sockets(self) -> Sockets:
        """What it speaks through now."""
        return self.place.sockets

    def gather(self, now_us: int) -> NodeStatus:
        """The status at ``now_us`` of the monotonic clock."""
        state, group = self.state, self.state.group
        chain = chain_part(state, self._peers(now_us), self.inbox.heights, self.place.serves_until_us())
        engine, disk = self._engine(), self._disk(now_us)
        status = NodeStatus(
            format=STATUS_FORMAT,
            release=RELEASE,
            owner=self.place.identity.owner.name,
            group=group.name,
            group_id=group.id.hex(),
            pid=os.getpid(),
            boot=state.boot,
            uptime_us=now_us - self.started_us,
            draining=self.draining,
            problems=[],
            chain=chain,
            requests=self._requests(now_us),
            engine=engine,
            disk=disk,
            keys=self._keys(),
            votes=dict(sorted(self.stages.votes.items())),
            dropped=dict(sorted((self.sockets.dropped() + self.inbox.dropped).items())),
            not_sent=dict(sorted(self.sockets.not_sent(group).items())),
            wire=versions.spoken(versions.WIRE_MINOR),
        )
        status.problems.extend(problems(status, group.quorum, self._in_sight(now_us)))
        return status

    def _in_sight(self, now_us: int) -> int:
        """Replicas heard of lately, this one included."""
        recently = now_us - IN_SIGHT_INTERVALS * self.state.group.parameters.status_interval_us
        return 1 + sum(self.inbox.heard.get(peer, -1) >= recently for peer in self.state.peers)

    def _peers(self, now_us: int) -> list[PeerPart]:
        state, inbox = self.state, self.inbox
        return [
            replace(self._peer(peer, state, inbox.heard, now_us), **self._said(peer, now_us)) for peer in state.peers
        ]

    def _said(self, peer: OwnerId, now_us: int) -> dict[str, Any]:
        """What a peer's last status says, and whether what it sends is understood."""
        refused, said = self.inbox.refused.get(peer), self.inbox.said.get(peer)
        found: dict[str, Any] = {}
        if said is not None:
            found = {"epoch": said.epoch, "behind": said.behind, "presence": said.presence.name.lower()}
            found |= {"said_us_ago": max(0, now_us - said.at_us), "wire": versions.spoken(said.minor)}
        return found if refused is None else found | {"wire": str(refused), "understood": False}

    def _peer(self, peer: OwnerId, state: ReplicaState, heard: Mapping[OwnerId, int], now_us: int) -> PeerPart:
        return PeerPart(
            owner=state.group.member(peer).name,
            connected=all(link.is_up(peer) for link in self.sockets.links),
            heard_us_ago=max(0, now_us - heard[peer]) if peer in heard else None,
            round_trip_us=state.round_trips.get(peer),
            view=state.peer_views.get(peer),
            height=self.inbox.heights.get(peer),
        )

    def _requests(self, now_us: int) -> RequestsPart:
        return RequestsPart(
            open=len(self.state.open_mine),
            at_engine=self.desk.at_engine,
            credits=self.desk.credits,
            records=len(self.state.chain.base.open),
            per_second=self.stages.per_second(now_us, now_us - self.started_us),
            outcomes=dict(sorted(self.stages.outcomes.items())),
            stages=self.stages.parts(now_us),
        )

    def _engine(self) -> EnginePart:
        settings, signed = self.files.config.engine, self.desk.next_update
        return EnginePart(
            model=settings.model,
            backend=settings.backend,
            ready=self.state.engine is not None,
            lost=self.desk.lost,
            loaded=list(self.desk.loaded),
            next_version=None if signed is None else signed.update.version,
            update_failure=self.desk.failed,
            starts=read_starts(self.files.engine_endpoint),
            figures=[_figures(row) for _, row in sorted(self.desk.figures.items())],
        )

    def _disk(self, now_us: int) -> DiskPart:
        usage = shutil.disk_usage(self.files.state)
        return DiskPart(
            free_bytes=usage.free,
            total_bytes=usage.total,
            journal_bytes=sum(_size(self.files.state / name) for name in JOURNAL),
            records=self.writer.records,
            full=self.inbox.full,
            sync=self.writer.took.part("sync", now_us),
        )

    def _keys(self) -> KeysPart:
        ending = self.state.chain.base.succeeding
        ends = ending.last if ending is not None and ending.epoch == self.state.group.epoch else None
        return KeysPart(
            node_key=fingerprint(self.place.identity.owner.node_key),
            curve_key=fingerprint(self.place.identity.owner.curve_key),
            owner_key_here=(self.files.path.parent / "owner.key").exists(),
            epoch_ends_at=ends,
            barred=self.state.is_barred,
        )


def fingerprint(public: bytes) -> str:
    """The first 16 hex digits of BLAKE3 of a public key."""
    return blake3(public).hexdigest()[: 2 * FINGERPRINT_BYTES]


def _figures(row: EngineFigures) -> FiguresPart:
    counts = {name: getattr(row, name) for name in FiguresPart.__struct_fields__ if name != "sizes"}
    return FiguresPart(**counts, sizes=dict(row.sizes))


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def problems(status: NodeStatus, quorum: int, in_sight: int) -> list[str]:
    """Why the node is not healthy, in words for its owner; none when it is. ``in_sight``: replicas heard of lately."""
    chain, disk = status.chain, status.disk
    found = _engine_problems(status)
    if status.keys.barred:
        found.append("its state was restored from a backup: it only observes until its owner gives it a new node key")
    found += _standing_problems(chain, quorum, in_sight)
    found += [
        f"{peer.owner} speaks wire version {peer.wire}, this node {status.wire}: install the same release on both"
        for peer in chain.peers
        if not peer.understood
    ]
    found += [
        f"its owner is marked for {mark.offence} since height {mark.height}"
        for mark in chain.marked
        if mark.owner == status.owner
    ]
    if disk.free_bytes < max(DISK_FREE_BYTES, int(DISK_FREE_SHARE * disk.total_bytes)):
        found.append(f"{disk.free_bytes >> 20} MiB are free on the disk of its journal")
    if status.disk.full:
        found.append("the disk of its journal is full: it votes for nothing and takes nothing new; free space")
    if status.draining:
        found.append("it is being drained and takes no new requests")
    return found


def _standing_problems(chain: ChainPart, quorum: int, in_sight: int) -> list[str]:
    if not chain.member and chain.serves_until_us is not None:
        until = f"{datetime.fromtimestamp(chain.serves_until_us / 1e6, UTC):%Y-%m-%d %H:%M:%S} UTC"
        return [f"its owner left the group: it votes no more, shows old certificates until {until}, and then ends"]
    found = []
    if not chain.awake:
        found.append("it just started and asks its peers what they hold of its own statements (rule 7.4)")
    if not chain.member:
        found.append("its owner is not in the group's present epoch")
    if in_sight < quorum:
        found.append(f"{in_sight} replicas in sight, the group needs {quorum} to agree on anything")
    if chain.lag > LAG_MAX:
        found.append(f"{chain.lag} blocks behind its peers")
    return found


def _engine_problems(status: NodeStatus) -> list[str]:
    engine, starts = status.engine, status.engine.starts
    if engine.ready:
        return []
    if starts is not None and starts.failed_in_row > FREE_FAILURES:
        wait = f", the next waits {starts.wait_s:g} s" if starts.phase == "waiting" else ""
        return [f"its engine crashes in a loop: {starts.failed_in_row} starts failed{wait}: {starts.last_failure}"]
    if starts is not None and starts.phase in ("waiting", "loading"):
        return ["its engine is loading its model"]
    if starts is not None and starts.phase == "failed":
        return [f"its engine ended: {starts.last_failure}"]
    return ["its engine does not run the model that the lane is at"]
