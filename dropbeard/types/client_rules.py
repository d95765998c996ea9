"""What a group lets its clients do: who may ask, how fast and how much a day (rules 1.3, 2.2).

Part of the genesis, in the table ``[clients]``. A group without that table has exactly the canonical bytes, and so the
id, that it would have if there were no such rules. How many requests of a client may be in flight is the parameter
``client_open_max``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Final

from dropbeard.errors import ConfigInvalid
from dropbeard.types import wire
from dropbeard.types.ids import KEY_BYTES, ClientKey
from dropbeard.types.limits import CLIENT_LIMIT_MAX, CLIENTS_ALLOWED_MAX

LAYOUT: Final = 1
"""Begins the canonical bytes; another layout would have another number."""


@dataclass(frozen=True)
class ClientRules:
    """``rate_per_s`` requests a second on average and ``burst`` at once, ``per_day`` in a UTC day, for each client; 0
    means no limit (of a rate: then ``burst`` is 0, too). ``allow``: CURVE public keys, ascending; none: any client.

    Raises ConfigInvalid when the rules contradict themselves.
    """

    rate_per_s: int = 0
    burst: int = 0
    per_day: int = 0
    allow: tuple[ClientKey, ...] = ()

    def __post_init__(self) -> None:
        for name in ("rate_per_s", "burst", "per_day"):
            if not 0 <= getattr(self, name) <= CLIENT_LIMIT_MAX:
                raise ConfigInvalid(f"clients.{name} must be between 0 (no limit) and {CLIENT_LIMIT_MAX}")
        if (self.rate_per_s == 0) != (self.burst == 0):
            raise ConfigInvalid("clients.rate_per_s and clients.burst go together: set both, or none of them")
        if len(self.allow) > CLIENTS_ALLOWED_MAX:
            raise ConfigInvalid(f"clients.allow has {len(self.allow)} keys, at most {CLIENTS_ALLOWED_MAX} are possible")
        if any(len(key) != KEY_BYTES for key in self.allow) or any(a >= b for a, b in pairwise(self.allow)):
            raise ConfigInvalid(f"clients.allow must hold keys of {KEY_BYTES} bytes, ascending, each once")
        if not (self.rate_per_s or self.per_day or self.allow):
            raise ConfigInvalid("clients without a limit and without allowed keys is no rule; leave [clients] out")

    @property
    def is_closed(self) -> bool:
        """Are there clients that may not ask?"""
        return bool(self.allow)

    @cached_property
    def _allowed(self) -> frozenset[ClientKey]:
        return frozenset(self.allow)

    def allows(self, client: ClientKey) -> bool:
        """May this client ask at all?"""
        return not self.allow or client in self._allowed

    def encode(self) -> bytes:
        """Canonical bytes: layout u8 (1), rate_per_s u32, burst u32, per_day u32, keys u32 and each 32."""
        limits = wire.u32(self.rate_per_s) + wire.u32(self.burst) + wire.u32(self.per_day)
        return wire.u8(LAYOUT) + limits + wire.u32(len(self.allow)) + b"".join(self.allow)
