"""What an answer costs: whole numbers of micro-units of a currency, from a file of prices or a group card."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import msgspec

from dropbeard.errors import ConfigInvalid
from dropbeard.marketplace.metering import Counts
from dropbeard.types.cards import is_plain
from dropbeard.types.limits import CURRENCY_BYTES_MAX, NAME_BYTES_MAX, PRICE_MAX, REPLICAS_MAX
from dropbeard.types.toml_text import read_toml

PRICES_FORMAT: Final = 1
PRICES_BYTES_MAX: Final = 64 << 10


@dataclass(frozen=True, slots=True)
class Price:
    """Of one answer, in micro-units: ``answer`` in an agreed entry, ``late`` in a supplement. Expired ones are free."""

    answer: int
    late: int

    def amount(self, counts: Counts) -> int:
        """What these answers cost, in micro-units."""
        return self.answer * counts.agreed + self.late * counts.late


@dataclass(frozen=True, slots=True)
class Prices:
    """``usual`` of every owner but those in ``special``, by name. ``card``: digest of the group card they are from."""

    currency: str
    usual: Price
    special: Mapping[str, Price] = field(default_factory=dict)
    card: str | None = None

    def of(self, owner: str) -> Price:
        """The price of an owner's answers."""
        return self.special.get(owner, self.usual)


class _OwnerTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    answer: int
    late: int


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    format: int
    currency: str
    answer: int
    late: int
    owner: list[_OwnerTable] = []


def prices_from_toml(text: str, what: str) -> Prices:
    """Read a file of prices; ConfigInvalid names ``what`` and the key that is wrong."""
    file = read_toml(text, _File, what, newest=("", PRICES_FORMAT))
    check_currency(file.currency, what)
    special = {row.name: _price(row.answer, row.late, what) for row in file.owner}
    if len(special) != len(file.owner) or len(special) > REPLICAS_MAX:
        raise ConfigInvalid(f"{what}: an owner has two prices, or there are more than {REPLICAS_MAX} owners")
    if not all(is_plain(name, NAME_BYTES_MAX) for name in special):
        raise ConfigInvalid(f"{what}: an owner's name must be 1 to {NAME_BYTES_MAX} printable bytes")
    return Prices(file.currency, _price(file.answer, file.late, what), dict(sorted(special.items())))


def _price(answer: int, late: int, what: str) -> Price:
    check_price(answer, what)
    check_price(late, what)
    return Price(answer, late)


def check_price(value: int, what: str) -> None:
    """ConfigInvalid unless it can be the price of an answer."""
    if not 0 <= value <= PRICE_MAX:
        raise ConfigInvalid(f"{what}: a price is {value} micro-units, must be between 0 and {PRICE_MAX}")


def check_currency(text: str, what: str) -> None:
    """ConfigInvalid unless it can name a currency."""
    if not is_plain(text, CURRENCY_BYTES_MAX):
        raise ConfigInvalid(f"{what}: currency must be 1 to {CURRENCY_BYTES_MAX} printable bytes")
