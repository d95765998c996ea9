"""What real replicas with real keys told their clients in one simulated schedule, for tests of the client's side."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cache

from dropbeard.agreement.effects import SendClient
from dropbeard.agreement.turn import Outgoing
from dropbeard.simulator.options import options_for
from dropbeard.simulator.replica import SimulatedReplica
from dropbeard.simulator.world import World
from dropbeard.types.group import Group
from dropbeard.types.ids import ClientKey, OwnerId, RequestId
from dropbeard.types.messages import Openings, Reply
from dropbeard.types.requests import Request
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


class _Overheard(World):
    """Keeps what clients are told."""

    def __init__(self, byzantine: tuple[str, ...]) -> None:
        super().__init__(replace(CALM, byzantine=byzantine, requests=40 if byzantine else CALM.requests))
        self.told: list[tuple[OwnerId, Openings | Reply]] = []

    def judge(self, replica: SimulatedReplica, effect: Outgoing) -> None:
        if isinstance(effect, SendClient) and isinstance(effect.message, Openings | Reply):
            self.told.append((replica.owner, effect.message))
        super().judge(replica, effect)


@cache
def recorded(*byzantine: str) -> Recorded:
    """One calm schedule of a single client, model updates and all trouble left out but what liars make."""
    world = _Overheard(byzantine)
    found = Recorded(world.keys.group, ClientKey(bytes([1]) * 32))
    world.run()
    for owner, message in world.told:
        if isinstance(message, Openings):
            found.openings.append((owner, message))
        else:
            found.replies.append(message)
    found.requests = {name: (asked.request, asked.given) for name, asked in world.clients.asked.items()}
    found.shown = {
        name: [(r.owner, m) for r in world.honest for m in world.shown_to(r, name)] for name in world.clients.asked
    }
    found.agreed = [RequestId(name) for name, kind in world.oracle.outcomes.items() if kind == 1]
    return found
