"""Whom the honest replicas' disks convict (rules 6.2, 8.1)."""

from __future__ import annotations

from dropbeard.agreement.chain import genesis_header
from dropbeard.agreement.showing import show
from dropbeard.evidence.judge import Judge
from dropbeard.evidence.kinds import Offence
from dropbeard.evidence.pairs import Pool
from dropbeard.simulator.world import World
from dropbeard.types.succession import root_header


def convicted(world: World) -> set[int]:
    """Owners against whom the statements on all honest disks hold evidence, epoch by epoch."""
    genesis = world.keys.group
    stored = dict.fromkeys(data for replica in world.honest for data in replica.stored())
    records = [world.keys.read_record(data) for data in stored]
    roots = {0: genesis_header(genesis)}
    for replica in world.honest:
        for epoch, given in replica.turn.state.successions.items():
            roots[epoch + 1] = root_header(world.oracle.groups[epoch + 1], given.last, given.configuration)
    found: set[int] = set()
    for at, root in roots.items():
        group = world.oracle.groups[at]
        pool = Pool(Judge(group, root, world.keys.checker.following(group)))
        for record in records:
            show(pool, record)
        found |= {int(owner) for owner, _ in pool.convictions()}
    return found


def wrongly_convicted(world: World) -> list[str]:
    """No honest replica is ever convicted: not on a disk, not in a ledger, not by all disks together."""
    honest = {int(replica.owner) for replica in world.honest}
    found = []
    for replica in world.honest:
        state = replica.turn.state
        named = {int(owner) for owner, _ in (*state.evidence, *state.chain.base.marks)}
        if named & honest:
            found.append(f"convicted: replica {replica.owner} convicts honest {sorted(named & honest)}")
    wrongly = convicted(world) & honest
    if wrongly:
        found.append(f"convicted: the disks convict honest {sorted(wrongly)}")
    return found


def unmarked(world: World) -> list[str]:
    """What an honest replica can show, and evidence that does not check, marks its owner in every ledger (8.1)."""
    found = []
    rotten = {int(batch.owner) for batch in world.oracle.ordered if any(len(data) < 32 for data in batch.evidence)}
    members = [replica for replica in world.honest if replica.turn.state.is_member]
    for replica in members:
        state = replica.turn.state
        lacking = [name for name in state.evidence if name not in state.chain.base.marks]
        missing = [owner for owner in sorted(rotten) if (owner, Offence.ROTTEN_EVIDENCE) not in state.chain.base.marks]
        if lacking or missing:
            found.append(f"unmarked: the ledger of replica {replica.owner} does not mark {lacking or missing}")
    return found


def unpunished_fork(world: World) -> list[str]:
    """Two conflicting finalizations convict at least f+1 replicas, as long as fewer than q lie (rule 6.2)."""
    if not any(what.startswith("fork") for what in world.oracle.found):
        return []
    if len(world.oracle.liars) >= world.keys.group.quorum or len(convicted(world)) > world.keys.group.f:
        return []
    return [f"unpunished: a fork convicts {sorted(convicted(world))}, fewer than f+1"]
