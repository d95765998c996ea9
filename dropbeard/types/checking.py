"""What the layers that know no cryptography ask of the one that does."""

from __future__ import annotations

from typing import Protocol

from dropbeard.types.group import Group
from dropbeard.types.ids import OwnerId, Signature


class SignatureChecker(Protocol):
    """Checks signatures over statements' bytes against the keys of a group's owners. Neither method raises."""

    def check(self, signer: OwnerId, statement: bytes, signature: Signature) -> bool:
        """Is it the signature of that owner's node key?"""

    def check_owner(self, signer: OwnerId, statement: bytes, signature: Signature) -> bool:
        """Is it the signature of that owner's owner key? (rules 1.3, 4.3)"""

    def following(self, group: Group) -> SignatureChecker:
        """A checker with the keys of another epoch (rule 8.4)."""
