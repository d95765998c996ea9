"""Which owner of the genesis this node is, by its keys."""

from __future__ import annotations

from dataclasses import dataclass

from dropbeard.errors import ConfigInvalid
from dropbeard.signing.curve import CurveSecret
from dropbeard.signing.ecdsa_p256 import PrivateKey
from dropbeard.types.group import Group, Owner


@dataclass(frozen=True, slots=True)
class Identity:
    """The node's keys and its owner; ``salt_secret`` has 32 bytes (rule 2.6)."""

    owner: Owner
    node_key: PrivateKey
    curve: CurveSecret
    salt_secret: bytes


def identify(group: Group, node_key: PrivateKey, curve: CurveSecret, salt_secret: bytes) -> Identity:
    """Find the owner whose node key and CURVE key these are; ConfigInvalid when there is none."""
    encoded = node_key.public.to_bytes()
    owner = next((o for o in group.owners if o.node_key == encoded), None)
    if owner is None:
        raise ConfigInvalid("no owner of the genesis has this node key; check that key and genesis belong together")
    if owner.curve_key != curve.public:
        raise ConfigInvalid(f"the genesis has another CURVE key for owner {owner.name}; check the curve key file")
    return Identity(owner, node_key, curve, salt_secret)
