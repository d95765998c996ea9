"""What a running node says of itself on its local socket: the one source of ``dropbeard status`` and of the metrics.

Plain data with a stable JSON form. Times are microseconds unless a name says otherwise; None is "not known".
"""

from __future__ import annotations

from typing import Final

import msgspec

STATUS_FORMAT: Final = 1
STATUS_BYTES_MAX: Final = 4 << 20
"""A status of 64 owners with every table full takes a tenth of it."""


class Part(msgspec.Struct, frozen=True):
    """Keys that a newer node adds are not minded."""


class PeerPart(Part, frozen=True):
    """One other owner, as this node sees it. ``height``, ``view``, ``epoch`` and ``presence`` are what it claims.

    ``behind``: blocks that it was behind this node when its last status came, ``said_us_ago``. ``presence``: untold,
    serves, waits (for its engine), drains or leaves. ``wire``: the version of the wire that it speaks; ``understood``
    when this node speaks it too.
    """

    owner: str
    connected: bool
    heard_us_ago: int | None
    round_trip_us: int | None
    view: int | None
    height: int | None
    epoch: int | None = None
    behind: int | None = None
    said_us_ago: int | None = None
    presence: str = "untold"
    wire: str | None = None
    understood: bool = True


class LanePart(Part, frozen=True):
    """One lane: the highest batch held, and how far the final cut has come."""

    owner: str
    held: int
    final: int


class ModelPart(Part, frozen=True):
    """The version of an owner's model that is in force since a height."""

    owner: str
    version: int
    digest: str
    since_height: int


class MarkPart(Part, frozen=True):
    """An owner that the ledger convicts: of what, and since which height (rule 8.1)."""

    owner: str
    offence: str
    height: int


class EvidencePart(Part, frozen=True):
    """A piece of evidence that this node holds; ``in_ledger`` once a lane brought it there."""

    owner: str
    offence: str
    in_ledger: bool


class ChainPart(Part, frozen=True):
    """Where the replica stands. ``lag`` is in blocks, to the height that f+1 others claim: one of those is honest.

    ``idle_us`` is since the last final block, by its own time: a quiet group orders nothing.
    """

    epoch: int
    view: int
    height: int
    lag: int
    failures: int
    awake: bool
    member: bool
    catching_up: bool
    leader: str
    idle_us: int | None
    peers: list[PeerPart]
    lanes: list[LanePart]
    models: list[ModelPart]
    marked: list[MarkPart]
    evidence: list[EvidencePart]
    owners: list[str] = []
    """Who serves the epoch, in the order of leadership."""
    faults: int = 0
    answers: int = 0
    serves_until_us: int | None = None
    """Since 1970, of a node whose owner left the group: until then it shows certificates of earlier epochs."""
    needed: int | None = None
    """Nodes that a request needs: for a quorum of votes and for ``answers`` answers. None by older releases."""


class StagePart(Part, frozen=True):
    """How long a stage took: percentiles of the last minute, and all since the start as ``bounds_us`` and counts."""

    stage: str
    recent: int
    p50_us: int | None
    p99_us: int | None
    count: int
    sum_us: int
    buckets: list[tuple[int, int]]
    """(upper bound, how many took no longer), ascending."""


class RequestsPart(Part, frozen=True):
    """Requests that clients sent to this node. ``per_second`` is of the last minute, of those that were agreed."""

    open: int
    at_engine: int
    credits: int
    records: int
    """Open in the ledger, whoever was asked."""
    per_second: float
    outcomes: dict[str, int]
    stages: list[StagePart]


class FiguresPart(Part, frozen=True):
    """What an engine did with one version of its model since it was loaded. ``sizes``: batches by their inputs."""

    version: int
    queued: int
    batches: int
    inputs: int
    busy_us: int
    copied_us: int
    refused: int
    shed: int
    bad_input: int
    failed: int
    sizes: dict[int, int]


class StartsPart(Part, frozen=True):
    """An engine's own record of its starts. ``phase``: waiting, loading, serving, steady or ended."""

    starts: int
    failed_in_row: int
    phase: str
    wait_s: float
    last_failure: str


class EnginePart(Part, frozen=True):
    """The engine. ``ready``: it runs the version that the lane is at. ``lost``: how often it went away."""

    model: str
    backend: str
    ready: bool
    lost: int
    loaded: list[int]
    next_version: int | None
    update_failure: str | None
    starts: StartsPart | None
    figures: list[FiguresPart]


class DiskPart(Part, frozen=True):
    """The state directory. ``sync`` is the commit of a turn's promises."""

    free_bytes: int
    total_bytes: int
    journal_bytes: int
    records: int
    sync: StagePart
    full: bool = False
    """The last commit was refused for want of room; nothing is promised until there is some."""


class KeysPart(Part, frozen=True):
    """Public facts of the node's keys: fingerprints are the first 16 hex digits of BLAKE3 of the public key."""

    node_key: str
    curve_key: str
    owner_key_here: bool
    """owner.key lies beside the configuration, where a running node does not need it."""
    epoch_ends_at: int | None
    """Height at which an ordered membership change ends this epoch."""
    barred: bool = False
    """The node key signs nothing more: the state was restored from a backup."""


class NodeStatus(Part, frozen=True):
    """All of it. ``problems`` is empty exactly when the node is healthy."""

    format: int
    release: str
    owner: str
    group: str
    group_id: str
    pid: int
    boot: int
    uptime_us: int
    draining: bool
    problems: list[str]
    chain: ChainPart
    requests: RequestsPart
    engine: EnginePart
    disk: DiskPart
    keys: KeysPart
    votes: dict[str, int]
    """Statements that this node made since its start, by kind."""
    dropped: dict[str, int]
    """Messages that were not taken, by reason."""
    not_sent: dict[str, int]
    """Messages that did not leave, by owner or reason."""
    wire: str = ""
    """The version of the wire that this node speaks."""
