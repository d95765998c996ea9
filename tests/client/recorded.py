"""What real replicas with real keys told their clients in one simulated schedule, for tests of the client's side."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cache

from dropbeard.agreement.effects import SendClient
from dropbeard.agreement.turn import Outgoing
from dropbeard.simulator.options import Options, options_for
from dropbeard.simulator.replica import SimulatedReplica
from dropbeard.simulator.settling import is_settled, shown_to
from dropbeard.simulator.world import World
from dropbeard.types.group import Group
from dropbeard.types.ids import ClientKey, OwnerId, RequestId
from dropbeard.types.messages import Openings, Reply
from dropbeard.types.requests import Request
from dropbeard.types.succession import Succession
from dropbeard.types.task import Input

CALM = replace(
    options_for(20, 4),
    requests=12,
    clients=1,
    loss=0.0,
    duplicates=0.0,
    slow_share=0.0,
    byzantine=(),
    updates=0,
    crashes=0,
    partitions=0,
    one_way_cuts=0,
    engine_losses=0,
    full_disks=0,
    floods=0,
    through_codec=False,
)


@dataclass(slots=True)
class Recorded:
    """Messages in the order of sending, and the requests they answer."""

    group: Group
    client: ClientKey
    requests: dict[RequestId, tuple[Request, Input]] = field(default_factory=dict)
    openings: list[tuple[OwnerId, Openings]] = field(default_factory=list)
    replies: list[Reply] = field(default_factory=list)
    agreed: list[RequestId] = field(default_factory=list)
    shown: dict[RequestId, list[tuple[OwnerId, Openings | Reply]]] = field(default_factory=dict)
    """What honest nodes answer at the end to a client that asks for its request by id."""
    told: list[tuple[OwnerId, Openings | Reply]] = field(default_factory=list)
    """Everything in its order, with its sender."""
    successions: list[Succession] = field(default_factory=list)


class _Overheard(World):
    """Keeps what clients are told."""

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        self.told: list[tuple[OwnerId, Openings | Reply]] = []

    def judge(self, replica: SimulatedReplica, effect: Outgoing) -> None:
        if isinstance(effect, SendClient) and isinstance(effect.message, Openings | Reply):
            self.told.append((replica.owner, effect.message))
        super().judge(replica, effect)


@cache
def recorded(*byzantine: str) -> Recorded:
    """One calm schedule of a single client, model updates and all trouble left out but what liars make."""
    return _record(_Overheard(replace(CALM, byzantine=byzantine, requests=40 if byzantine else CALM.requests)))


@cache
def recorded_over_epochs() -> Recorded:
    """A schedule of a single client whose owners change twice."""
    calm = replace(options_for(20, 4, "none", 2), changes=2, clients=1, crashes=0, loss=0.0, through_codec=False)
    return _record(_Overheard(replace(calm, partitions=0, one_way_cuts=0, updates=0)))


def _record(world: _Overheard) -> Recorded:
    found = Recorded(world.keys.group, ClientKey(bytes([1]) * 32))
    world.run(is_settled)
    for owner, message in world.told:
        if isinstance(message, Openings):
            found.openings.append((owner, message))
        else:
            found.replies.append(message)
    found.requests = {name: (asked.request, asked.given) for name, asked in world.clients.asked.items()}
    found.shown = {
        name: [(r.owner, m) for r in world.honest for m in shown_to(world, r, [name])[name]]
        for name in world.clients.asked
    }
    latest = max((replica.turn.state for replica in world.honest), key=lambda state: state.group.epoch)
    found.successions = list(latest.successions.values())
    found.told = world.told
    found.agreed = [RequestId(name) for name, kind in world.oracle.outcomes.items() if kind == 1]
    return found
