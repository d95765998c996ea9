"""Owners of a schedule who join, leave or change their node keys (rule 8.4)."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import TYPE_CHECKING

from dropbeard.agreement.events import ChangeWasSigned
from dropbeard.simulator.keys import Keys
from dropbeard.types.group import Group, Owner
from dropbeard.types.ids import Signature
from dropbeard.types.membership import SignedChange, change_statement, encode_configuration, next_group

if TYPE_CHECKING:
    from dropbeard.simulator.world import World

KINDS = ("join", "replace", "renew")


def change_membership(world: World, rng: random.Random) -> None:
    """The owners show a signed change to one replica; the next one only when the last is in force."""
    group = latest_group(world)
    signed = world.changes.get(group.epoch)
    if signed is None and len(world.changes) < world.options.changes:
        following = _following(world.keys, group, rng)
        signed = sign_change(world.keys, group, following)
        world.changes[group.epoch] = signed
        world.oracle.groups[int(following.epoch)] = following
        world.say(f"owners sign epoch {following.epoch}: {following.members}")
        for replica in world.replicas:
            if replica.owner >= world.options.n and following.owner(replica.owner) is not None:
                replica.up = True
                world.turn(replica, [])
    shown = [r for r in world.replicas if r.up and r.turn.state.group.epoch == group.epoch and r.turn.state.may_speak]
    if signed is not None and shown:
        world.turn(rng.choice(shown), [ChangeWasSigned(signed)])


def latest_group(world: World) -> Group:
    """The group of the furthest honest replica."""
    return max((replica.turn.state.group for replica in world.honest), key=lambda group: group.epoch)


def sign_change(keys: Keys, group: Group, following: Group) -> SignedChange:
    """A quorum of owners signs the next configuration."""
    configuration = encode_configuration(following)
    statement = change_statement(group, configuration).encode()
    signers = group.members[-group.quorum :]
    rows = tuple((owner, Signature(keys.owner_keys[owner].sign(statement))) for owner in signers)
    return SignedChange(configuration, rows)


def _following(keys: Keys, group: Group, rng: random.Random) -> Group:
    kind, owners = rng.choice(KINDS), list(group.owners)
    at = rng.randrange(len(owners))
    if kind == "renew":
        owners[at] = replace(owners[at], node_key=keys.fresh[group.epoch])
    else:
        newcomer: Owner = keys.spares[group.ids_given - keys.spares[0].id]
        if kind == "replace":
            del owners[at]
        owners.append(newcomer)
    return next_group(group, tuple(owners), group.f, len(owners) - group.f)
