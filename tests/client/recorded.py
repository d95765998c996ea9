"""What real replicas with real keys told their clients in one simulated schedule, for tests of the client's side."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cache

from dropbeard.simulator.options import options_for
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
    silent=0,
    crashes=0,
    partitions=0,
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


@cache
def recorded() -> Recorded:
    """One calm schedule of a single client."""
    world = World(CALM)
    found = Recorded(world.keys.group, ClientKey(bytes([1]) * 32))
    plain_opened, plain_replied = world.oracle.opened, world.oracle.replied

    def opened(owner: int, openings: Openings) -> None:
        found.openings.append((OwnerId(owner), openings))
        plain_opened(owner, openings)

    def replied(reply: Reply) -> None:
        found.replies.append(reply)
        plain_replied(reply)

    world.on_opened, world.on_replied = opened, replied
    world.run()
    found.requests = {name: (asked.request, asked.given) for name, asked in world.asked.items()}
    found.agreed = [RequestId(name) for name, kind in world.oracle.outcomes.items() if kind == 1]
    return found
