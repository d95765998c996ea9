"""After the heal progress is owed: what is lacking, and what must be obtainable at the end (rule 10, liveness)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dropbeard.agreement.effects import SendClient
from dropbeard.agreement.events import OutcomeAsked
from dropbeard.simulator.membership import latest_group
from dropbeard.simulator.people import WALL_US
from dropbeard.simulator.replica import SimulatedReplica
from dropbeard.simulator.world import World
from dropbeard.types.entries import EntryKind
from dropbeard.types.group import Group
from dropbeard.types.ids import OwnerId, RequestId
from dropbeard.types.messages import Openings, Reply


def stalls(world: World) -> list[str]:
    """What is owed and not there: nothing, some time after the heal and every deadline."""
    found = world.late_recovery()
    group = latest_group(world)
    members = [replica for replica in world.honest if group.owner(replica.owner) is not None]
    behind = {r.seat: r.turn.state.group.epoch for r in members if r.turn.state.group.epoch != group.epoch}
    if behind:
        found.append(f"lagging: the group is in epoch {group.epoch}, seats are in {behind}")
        return found
    tops = {replica.seat: replica.turn.state.chain.final.header.height for replica in members}
    if max(tops.values()) - min(tops.values()) > 1:
        found.append(f"lagging: final heights {tops}")
    for replica in members:
        found += _owed_by(replica)
    return found + _without_outcome(world, group)


def _owed_by(replica: SimulatedReplica) -> list[str]:
    state = replica.turn.state
    if not replica.up or not state.may_speak:
        return [f"down: replica {replica.owner}"]
    found = []
    if state.chain.base.succeeding is not None and state.chain.base.succeeding.epoch == state.group.epoch:
        found.append(f"unchanged: replica {replica.owner} knows of a change and is still in epoch {state.group.epoch}")
    undecided = [record for record in state.chain.base.open.values() if len(record.answers) > state.group.f]
    if undecided:
        found.append(f"open: replica {replica.owner} has {len(undecided)} undecided records")
    cut = {tip.owner: tip.height for tip in state.chain.final.header.cut}
    if cut[state.me] < state.own_tip.height:
        found.append(f"unordered: lane of {state.me} at {state.own_tip.height}, final cut {cut[state.me]}")
    if any(not state.mine[request].openings for request in state.open_mine):
        found.append(f"unanswered: replica {replica.owner} holds requests without an answer")
    return found


def _without_outcome(world: World, group: Group) -> list[str]:
    """Requests that ``answers`` honest owners promised well in time and that have no outcome.

    After a change only who served all along counts: what others promised may be void (rule 8.4).
    """
    groups = [world.oracle.groups[epoch] for epoch in range(group.epoch + 1)]
    most = max(served.answers for served in groups)
    owners: dict[bytes, set[int]] = {}
    for batch in world.oracle.batches.values():
        if int(batch.owner) in world.oracle.liars or any(served.owner(batch.owner) is None for served in groups):
            continue
        for item in batch.attestations:
            if batch.time + world.options.skew_us < item.deadline:
                owners.setdefault(item.request_id(), set()).add(int(batch.owner))
    # How long the first finalization may take after the heal is a check of its own.
    since_us = max(world.options.heal_us + 500_000, (world.recovered_us or world.options.end_us) + 300_000)
    missing = 0
    for request, asked in world.clients.asked.items():
        healed_before = asked.request.deadline - WALL_US > since_us
        enough = len(owners.get(request, ())) >= most
        if enough and healed_before and request not in world.oracle.outcomes:
            missing += 1
    return [f"no-outcome: {missing} requests that enough owners answered in time"] if missing else []


def is_settled(world: World) -> bool:
    """Is every deadline past, and nothing owed?"""
    wall_us = WALL_US + world.now_us - world.options.skew_us
    over = all(asked.request.deadline + 100_000 < wall_us for asked in world.clients.asked.values())
    if not over:
        return False
    world.oracle.judge_ledger()
    return not stalls(world)


def unobtainable(world: World) -> list[str]:
    """A certificate of each ended request can be put together from what honest replicas show its client, before and
    after all of them come back from their disks, until retention has passed (4.6, 5.2, 7.3)."""
    found = _unobtainable(world)
    if not found:
        for replica in world.honest:
            if replica.up:
                replica.restart()
        found = _unobtainable(world)
    return found


def _unobtainable(world: World) -> list[str]:
    now = max(replica.turn.state.chain.final.header.time for replica in world.honest)
    since, asked = now - world.options.retention_us, world.clients.asked
    owed = [
        name
        for name, time in world.oracle.decided.items()
        if min(time, asked[RequestId(name)].request.deadline) > since
    ]
    shown = [shown_to(world, replica, [RequestId(request) for request in owed]) for replica in world.honest]
    missing = [name for name in owed if not _is_obtainable(world, RequestId(name), shown)]
    return [f"unobtainable: {len(missing)} of {len(owed)} outcomes"] if missing else []


def shown_to(
    world: World, replica: SimulatedReplica, requests: Sequence[RequestId]
) -> dict[RequestId, list[Openings | Reply]]:
    """What a replica shows the clients that ask for their requests again, by id, all in one turn."""
    clients = {request: world.clients.asked[request].request.client for request in requests}
    found: dict[RequestId, list[Openings | Reply]] = {request: [] for request in requests}
    world.shown.clear()
    world.turn(replica, [OutcomeAsked(client, request) for request, client in clients.items()])
    for effect in world.shown:
        if isinstance(effect, SendClient) and isinstance(effect.message, Openings | Reply):
            for request in _named_in(effect.message):
                if clients.get(request) == effect.client:
                    found[request].append(effect.message)
    return found


def _named_in(message: Openings | Reply) -> list[RequestId]:
    if isinstance(message, Openings):
        return list(dict.fromkeys(opening.request for opening in message.openings))
    return list(dict.fromkeys(entry.request for _, entry in message.entries))


def _is_obtainable(
    world: World, request: RequestId, shown: Sequence[Mapping[RequestId, Sequence[Openings | Reply]]]
) -> bool:
    kinds: set[EntryKind] = set()
    promised: dict[OwnerId, bytes] = {}
    messages = [message for by_request in shown for message in by_request[request]]
    for message in messages:
        if isinstance(message, Reply):
            _take_reply(world, message, request, kinds, promised)
    openings = [opening for message in messages if isinstance(message, Openings) for opening in message.openings]
    opened = {opening.owner for opening in openings if promised.get(opening.owner) == opening.commitment()}
    if EntryKind.EXPIRED in kinds:
        return True
    silent = {owner for owner in promised if int(owner) in world.oracle.liars}
    honest = set(promised) - silent
    return EntryKind.AGREED in kinds and opened >= honest


def _take_reply(
    world: World, reply: Reply, request: RequestId, kinds: set[EntryKind], promised: dict[OwnerId, bytes]
) -> None:
    group = world.oracle.groups[int(reply.headers[0].epoch)]
    if 2 * len(reply.signatures) <= len(group.owners) + group.f:
        return
    for _, entry in reply.entries:
        if entry.request == request:
            if entry.kind is EntryKind.AGREED and len(entry.promises) < group.answers:
                continue
            kinds.add(entry.kind)
            for promise in entry.promises:
                promised.setdefault(promise.owner, promise.commitment)
