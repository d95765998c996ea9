"""Good messages of every kind, from simulated schedules, each with what reads it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from dropbeard.agreement.effects import Broadcast, Send, SendClient
from dropbeard.agreement.records import SuccessionRecord, decode_record, encode_record
from dropbeard.agreement.turn import Outgoing
from dropbeard.codec.catchup import decode_catchup, encode_catchup
from dropbeard.codec.client import decode_to_client, decode_to_node, encode_to_client, encode_to_node
from dropbeard.codec.engine import decode_from_engine, decode_to_engine, encode_from_engine, encode_to_engine
from dropbeard.codec.peer import decode_lanes, decode_votes, encode_lanes, encode_votes
from dropbeard.evidence.kinds import decode_evidence
from dropbeard.simulator.options import options_for
from dropbeard.simulator.replica import SimulatedReplica
from dropbeard.simulator.settling import is_settled
from dropbeard.simulator.world import World
from dropbeard.types.certificates import decode_certificate
from dropbeard.types.engine_messages import (
    EngineAnswers,
    EngineFigures,
    EngineReady,
    FromEngine,
    InferTicket,
    InferTickets,
    LoadFailure,
    LoadModel,
    NodeHello,
    ToEngine,
    UnloadModel,
)
from dropbeard.types.ids import Digest, Epoch, Nonce, TimeUs, Version
from dropbeard.types.messages import (
    BatchNotice,
    BucketNotice,
    Disclose,
    Disclosed,
    FetchBatches,
    FetchBucket,
    FetchCards,
    FetchInput,
    FetchOutcome,
    FetchSnapshot,
    FetchSuccession,
    GroupCards,
    Hello,
    InputNotice,
    SnapshotNotice,
    Submit,
    Submits,
    ToNode,
)
from dropbeard.types.task import InputKind
from tests.verification.building import Plan, build, world

EACH_MAX = 12
"""Examples of each kind of message."""

EPOCHS = ("FetchSuccession", "SuccessionNotice")

CATCHUP = (FetchInput, InputNotice, FetchSnapshot, SnapshotNotice, FetchBucket, BucketNotice)


@dataclass(frozen=True)
class Sample:
    """``frames`` as they travel; ``read`` decodes them; ``again`` encodes what was read, where it must be the same."""

    kind: str
    frames: tuple[bytes, ...]
    read: Callable[[tuple[bytes, ...]], Any]
    again: Callable[[Any], bytes] | None = None
    peer: bool = False
    """Read messages go on into a replica."""


class _Tapped(World):
    def __init__(self, options: Any) -> None:
        super().__init__(options)
        self.samples: dict[str, list[Sample]] = {}

    def _carry_out(self, replica: SimulatedReplica, outgoing: Any) -> None:
        for effect in outgoing:
            self._keep(effect)
        super()._carry_out(replica, outgoing)

    def _keep(self, effect: Outgoing) -> None:
        group = self.keys.group
        if isinstance(effect, Send | Broadcast):
            message = effect.message
            kind = type(message).__name__
            if isinstance(message, BatchNotice | FetchBatches):
                sample = Sample(kind, (encode_lanes(message),), lambda f: decode_lanes(f[0], group), peer=True)
            elif isinstance(message, CATCHUP):
                sample = Sample(kind, tuple(encode_catchup(message)), _read_catchup, peer=True)
            else:
                sample = Sample(kind, (encode_votes(message),), lambda f: decode_votes(f[0], group), peer=True)
        elif isinstance(effect, SendClient):
            kind = f"to client {type(effect.message).__name__}"
            sample = Sample(kind, (encode_to_client(effect.message),), lambda f: decode_to_client(f[0], group))
        else:
            return
        rows = self.samples.setdefault(kind, [])
        if len(rows) < EACH_MAX:
            rows.append(sample)


def _read_catchup(frames: tuple[bytes, ...]) -> Any:
    return decode_catchup(frames[0], frames[1] if len(frames) > 1 else None)


@cache
def tapped() -> _Tapped:
    """A schedule with snapshots, lost messages, evidence and updates."""
    return _run(changes=0)


@cache
def changed() -> _Tapped:
    """The same with a change of the membership."""
    return _run(changes=1)


def _run(changes: int) -> _Tapped:
    options = replace(options_for(3, 4, "equivocating-lane", 4), through_codec=False, crashes=4, changes=changes)
    made = _Tapped(options)
    made.run(is_settled)
    return made


@cache
def corpus() -> tuple[Sample, ...]:
    """Every sample."""
    made = tapped()
    samples = [sample for rows in made.samples.values() for sample in rows]
    samples += [sample for kind in EPOCHS for sample in changed().samples.get(kind, ())]
    return (*samples, *_records(made), *_successions(made), *_client_and_engine(made), *_files())


def _successions(made: _Tapped) -> list[Sample]:
    group = made.keys.group
    given = next(iter(changed().honest[0].turn.state.successions.values()))
    data = encode_record(SuccessionRecord(given))
    return [Sample("record 8", (data,), lambda f: decode_record(f[0], group), encode_record)]


def _records(made: _Tapped) -> list[Sample]:
    group, found = made.keys.group, []
    kinds: dict[int, list[bytes]] = {}
    for replica in made.honest:
        for data in replica.stored():
            kinds.setdefault(data[0], []).append(data)
            if data[0] == 6:
                found.append(Sample("evidence", (data[1:],), lambda f: decode_evidence(f[0], group)))
    for number, rows in kinds.items():
        for data in rows[:EACH_MAX]:
            read = Sample(f"record {number}", (data,), lambda f: decode_record(f[0], group), encode_record)
            found.append(read)
    return found


def _client_and_engine(made: _Tapped) -> list[Sample]:
    group = made.keys.group
    submit = Submit(group.id, Nonce(1), TimeUs(2), 3, b"", InputKind.RAW_RGB8, (2, 2, 3))
    request = next(iter(made.clients.asked))
    to_node: list[ToNode] = [Hello(group.id), Submits((submit, submit)), FetchOutcome(request)]
    to_node += [FetchSuccession(Epoch(1)), FetchCards(), Disclose(b"certificate")]
    ticket = InferTicket(1, TimeUs(2), Version(1), InputKind.ENCODED_IMAGE, (0, 0, 0), Digest(bytes(32)))
    model = Digest(bytes(32))
    asked: list[ToEngine] = [
        NodeHello(),
        InferTickets((ticket, ticket)),
        LoadModel(Version(2), model),
        UnloadModel(Version(1)),
    ]
    told: list[FromEngine] = [EngineReady("m", model, Version(1), 4), EngineAnswers(((1, b"x" * 12),))]
    told.append(LoadFailure(Version(2), model, "no such model"))
    told.append(EngineFigures(Version(1), 2, 3, 4, 5, 1, 6, 7, 8, 9, ((1, 2), (8, 1))))
    shown = encode_to_client(GroupCards(b"[[card]]\nformat = 1\n" * 20))
    return [
        Sample("to client GroupCards", (shown,), lambda f: decode_to_client(f[0], group)),
        Sample(
            "to client Disclosed", (encode_to_client(Disclosed(False, "no")),), lambda f: decode_to_client(f[0], group)
        ),
        *(Sample("to node", (encode_to_node(message),), lambda f: decode_to_node(f[0])) for message in to_node),
        *(Sample("to engine", (encode_to_engine(m),), lambda f: decode_to_engine(f[0])) for m in asked),
        *(Sample("engine", (encode_from_engine(m),), lambda f: decode_from_engine(f[0])) for m in told),
    ]


def _files() -> list[Sample]:
    certificates = [build(world(), Plan()), build(world(), Plan(late=((3,),), links=2))]
    return [
        Sample("certificate", (made.encode(),), lambda f: decode_certificate(f[0]), lambda c: bytes(c.encode()))
        for made in certificates
    ]
