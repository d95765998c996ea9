"""Which owner of the group this node is, by its keys."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dropbeard.daemon.files import NodeFiles
from dropbeard.daemon.new_node import read_salt
from dropbeard.errors import ConfigInvalid
from dropbeard.signing.curve import CurveSecret, load_curve_secret
from dropbeard.signing.ecdsa_p256 import PrivateKey
from dropbeard.signing.keys import load_private_key
from dropbeard.types.group import Group, Owner


@dataclass(frozen=True, slots=True)
class Identity:
    """The node's keys and its owner; ``salt_secret`` has 32 bytes (rule 2.6)."""

    owner: Owner
    node_key: PrivateKey
    curve: CurveSecret
    salt_secret: bytes


@dataclass(frozen=True, slots=True)
class Keys:
    """``pairs``: the signing and transport key of now, and those of an epoch to come if there are any (rule 8.4)."""

    pairs: tuple[tuple[PrivateKey, CurveSecret], ...]
    salt_secret: bytes

    def identity(self, owner: Owner) -> Identity | None:
        """This node as ``owner``; None when none of the keys is that one's, ConfigInvalid when the two are of two."""
        for node, curve in self.pairs:
            if node.public.to_bytes() == owner.node_key:
                if owner.curve_key != curve.public:
                    raise ConfigInvalid(
                        f"the group has another CURVE key for owner {owner.name}; check the curve key file"
                    )
                return Identity(owner, node, curve, self.salt_secret)
        return None


def load_keys(files: NodeFiles) -> Keys:
    """All keys that a configuration names; KeyInvalid or ConfigInvalid when one cannot be used."""
    phrase = files.passphrase()
    pairs = [(load_private_key(files.node_key, phrase), load_curve_secret(files.curve_key))]
    if files.next_keys is not None:
        node, curve = files.next_keys
        pairs.append((load_private_key(node, phrase), load_curve_secret(curve)))
    return Keys(tuple(pairs), read_salt(files.salt))


def identify(groups: Sequence[Group], keys: Keys) -> Identity:
    """Find the owner whose node key and CURVE key these are, in the latest of the epochs; ConfigInvalid when there is
    none."""
    for group in reversed(groups):
        for owner in group.owners:
            found = keys.identity(owner)
            if found is not None:
                return found
    where = "the genesis" if len(groups) == 1 else f"the group, from its genesis to epoch {groups[-1].epoch},"
    raise ConfigInvalid(
        f"no owner of {where} has this node key; check that key and genesis belong together, and start who joins or "
        "changes its key once that is in force"
    )
