"""A group whose owners change twice, run in the simulated world with real keys, and certificates of its epochs."""

from __future__ import annotations

from dataclasses import replace

from dropbeard.client.assembly import Assembler
from dropbeard.simulator.options import options_for
from dropbeard.simulator.settling import is_settled, shown_to
from dropbeard.simulator.world import World
from dropbeard.types.certificates import Certificate
from dropbeard.types.entries import EntryKind
from dropbeard.types.ids import RequestId
from dropbeard.types.messages import Openings, Reply
from dropbeard.verification.lineage import lineage_of


def ran() -> World:
    """A schedule with real keys whose owners change twice."""
    options = replace(options_for(20, 4, "none", 2), changes=2, crashes=0, loss=0.0, partitions=0, one_way_cuts=0)
    world = World(options)
    world.run(is_settled)
    assert world.oracle.found == []
    return world


WORLD = ran()
STATE = max((replica.turn.state for replica in WORLD.honest), key=lambda state: state.group.epoch)
SUCCESSIONS = list(STATE.successions.values())
LINEAGE = lineage_of(WORLD.keys.group, SUCCESSIONS)


def certificates() -> list[Certificate]:
    """What clients put together from what honest replicas show them."""
    found = []
    for request, kind in WORLD.oracle.outcomes.items():
        named = RequestId(request)
        shown = [message for replica in WORLD.honest for message in shown_to(WORLD, replica, [named])[named]]
        asked = WORLD.clients.asked[RequestId(request)].request
        for group in LINEAGE.groups:
            assembly = Assembler(group, asked.client)
            assembly.start(asked)
            for message in shown:
                if isinstance(message, Reply):
                    assembly.on_reply(message)
                elif isinstance(message, Openings):
                    for opening in message.openings:
                        assembly.on_opening(opening.owner, opening)
            made = assembly.certificate(asked.id, all_owners=False)
            if made is not None:
                found.append(made)
                assert (made.kind is EntryKind.AGREED) == (kind == 1)
    return found


CERTIFICATES = certificates()
