"""A replica's state in figures, for people and monitors. Reads only."""

from __future__ import annotations

from collections.abc import Mapping

from dropbeard.agreement.replica_state import ReplicaState
from dropbeard.types.ids import Height, OwnerId
from dropbeard.types.status import ChainPart, EvidencePart, LanePart, MarkPart, ModelPart, PeerPart


def chain_part(
    state: ReplicaState,
    peers: list[PeerPart],
    heights: Mapping[OwnerId, Height],
    serves_until_us: int | None = None,
) -> ChainPart:
    """Where the replica stands. ``heights``: the final height that each peer claims; ``peers`` as the sockets know."""
    chain = state.chain
    final = chain.final.header
    return ChainPart(
        epoch=state.group.epoch,
        view=state.view,
        height=final.height,
        lag=lag(state, heights),
        failures=state.failures,
        awake=state.awake,
        member=state.is_member,
        catching_up=is_catching_up(state),
        leader=state.group.member(state.group.leader(state.view)).name,
        idle_us=max(0, state.wall - final.time) if final.time else None,
        peers=peers,
        lanes=_lanes(state),
        models=_models(state),
        marked=_marked(state),
        evidence=_evidence(state),
        owners=[owner.name for owner in state.group.owners],
        faults=state.group.f,
        answers=state.group.answers,
        serves_until_us=serves_until_us,
        needed=max(state.group.quorum, state.group.answers),
    )


def lag(state: ReplicaState, heights: Mapping[OwnerId, Height]) -> int:
    """Final blocks behind the height that f+1 peers claim to have passed: of those one is honest."""
    claims = sorted((heights[peer] for peer in state.peers if peer in heights), reverse=True)
    return max(0, claims[state.group.f] - state.chain.final.header.height) if len(claims) > state.group.f else 0


def is_catching_up(state: ReplicaState) -> bool:
    """Is a snapshot on its way, or a block known to be final without its path? (rules 7.2, 7.4)"""
    return state.transfer is not None or state.chain.hollow is not None or bool(state.waiting_finalizations)


def _lanes(state: ReplicaState) -> list[LanePart]:
    rows = []
    for tip in state.lanes.tips_from(state.chain.final.header.cut):
        name = state.group.member(tip.owner).name
        rows.append(LanePart(name, tip.height, state.final_lane_height(tip.owner)))
    return rows


def _models(state: ReplicaState) -> list[ModelPart]:
    return [
        ModelPart(_name(state, owner), model.version, model.model.hex(), model.since)
        for owner, model in sorted(state.chain.base.models.items())
    ]


def _marked(state: ReplicaState) -> list[MarkPart]:
    marks = sorted(state.chain.base.marks.items())
    return [MarkPart(_name(state, owner), offence.name.lower(), height) for (owner, offence), height in marks]


def _evidence(state: ReplicaState) -> list[EvidencePart]:
    marks = state.chain.base.marks
    held = sorted(state.evidence)
    return [
        EvidencePart(_name(state, owner), offence.name.lower(), (owner, offence) in marks) for owner, offence in held
    ]


def _name(state: ReplicaState, owner: OwnerId) -> str:
    """The name of an owner, also of one that left the group and still stands in a table."""
    known = state.group.owner(owner)
    return known.name if known is not None else f"owner {owner}"
