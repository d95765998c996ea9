"""Usage as a document that anybody who has the ledger makes again, byte for byte.

JSON with sorted keys, no spaces, ASCII alone and a newline at its end; or CSV with fixed columns. Numbers are whole.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from dropbeard.errors import ConfigInvalid
from dropbeard.marketplace.metering import Counts, Month, Service, Usage, month_of
from dropbeard.marketplace.prices import Price, Prices, check_currency, check_price
from dropbeard.types.group import Group
from dropbeard.types.ids import ClientKey, Height, OwnerId

FORMAT: Final = 1
KIND: Final = "dropbeard usage"
INVOICE_BYTES_MAX: Final = 256 << 20

COLUMNS: Final = (
    *("line", "group", "month", "epochs", "first_height", "first_digest", "last_height", "last_digest", "through"),
    *("closed", "complete", "owner_id", "owner", "client", "version", "model", "agreed", "late", "expired"),
    *("currency", "price_answer", "price_late", "amount"),
)


@dataclass(frozen=True, slots=True)
class Asked:
    """What the document is of: a month, one owner's or one client's rows alone if said, blocks up to ``through``."""

    month: Month
    owner: str | None = None
    client: ClientKey | None = None
    through: Height | None = None
    prices: Prices | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the document."""

    service: Service
    owner: str
    counts: Counts
    price: Price | None

    @property
    def amount(self) -> int | None:
        """Micro-units; None without prices."""
        return None if self.price is None else self.price.amount(self.counts)


@dataclass(frozen=True, slots=True)
class Invoice:
    """What was asked, what the ledger says, and the rows that it makes."""

    group: Group
    asked: Asked
    usage: Usage
    rows: tuple[Row, ...]

    @property
    def total(self) -> Counts:
        """Of all rows."""
        counts = Counts()
        for row in self.rows:
            counts = counts.plus(row.counts)
        return counts

    @property
    def amount(self) -> int | None:
        """Of all rows, in micro-units; None without prices."""
        return None if self.asked.prices is None else sum(row.amount or 0 for row in self.rows)

    @property
    def through(self) -> Height | None:
        """The highest block that was looked at, for a month that is not over; None for one that is."""
        return None if self.usage.closed else self.usage.tip


def invoice_of(group: Group, names: Mapping[OwnerId, str], usage: Usage, asked: Asked) -> Invoice:
    """The document's content. ConfigInvalid when no owner has the name that is asked for or priced."""
    prices = asked.prices
    unknown = sorted({*([asked.owner] if asked.owner else []), *(prices.special if prices else [])} - {*names.values()})
    if unknown:
        raise ConfigInvalid(f"the group has no owner {unknown[0]!r}; its owners are {', '.join(names.values())}")
    rows = [
        Row(service, names[service.owner], counts, None if prices is None else prices.of(names[service.owner]))
        for service, counts in usage.counts.items()
        if asked.owner in (None, names[service.owner]) and asked.client in (None, service.client)
    ]
    return Invoice(group, asked, usage, tuple(rows))


def to_json(invoice: Invoice) -> bytes:
    """The canonical JSON document."""
    usage, total = invoice.usage, invoice.total
    found = {
        "format": FORMAT,
        "kind": KIND,
        "group": {"id": invoice.group.id.hex(), "name": invoice.group.name},
        "month": usage.month.name,
        "from_us": usage.month.start,
        "until_us": usage.month.end,
        "epochs": list(usage.epochs),
        "first": None if usage.first is None else {"height": usage.first.height, "digest": usage.first.digest.hex()},
        "last": None if usage.last is None else {"height": usage.last.height, "digest": usage.last.digest.hex()},
        "through": invoice.through,
        "closed": usage.closed,
        "complete": usage.is_complete,
        "missing": [list(row) for row in usage.missing],
        "owner": invoice.asked.owner,
        "client": None if invoice.asked.client is None else invoice.asked.client.hex(),
        "prices": _prices_values(invoice.asked.prices),
        "rows": [_row_values(row) for row in invoice.rows],
        "total": {**total._asdict(), "amount": invoice.amount},
    }
    return (json.dumps(found, sort_keys=True, separators=(",", ":")) + "\n").encode("ascii")


def _row_values(row: Row) -> dict[str, Any]:
    service = row.service
    place = {"owner_id": service.owner, "owner": row.owner, "client": service.client.hex()}
    model = {"version": service.version, "model": service.model.hex()}
    return {**place, **model, **row.counts._asdict(), "amount": row.amount}


def _prices_values(prices: Prices | None) -> dict[str, Any] | None:
    if prices is None:
        return None
    usual = {"currency": prices.currency, "answer": prices.usual.answer, "late": prices.usual.late}
    special = [{"owner": name, "answer": p.answer, "late": p.late} for name, p in sorted(prices.special.items())]
    return {**usual, "owners": special, "card": prices.card}


def to_csv(invoice: Invoice) -> bytes:
    """The CSV document: a header, a line ``usage`` for each row, and a line ``total``, which is always there."""
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(COLUMNS)
    for row in invoice.rows:
        service, price = row.service, row.price
        place = [service.owner, row.owner, service.client.hex(), service.version, service.model.hex()]
        costs = ["", "", "", ""] if price is None else [_currency(invoice), price.answer, price.late, row.amount]
        lines.writerow(["usage", *_range(invoice), *place, *row.counts, *costs])
    amount = ["", "", "", ""] if invoice.amount is None else [_currency(invoice), "", "", invoice.amount]
    lines.writerow(["total", *_range(invoice), "", "", "", "", "", *invoice.total, *amount])
    return text.getvalue().encode()


def _range(invoice: Invoice) -> list[str | int]:
    usage, none = invoice.usage, ("", "")
    first = none if usage.first is None else (usage.first.height, usage.first.digest.hex())
    last = none if usage.last is None else (usage.last.height, usage.last.digest.hex())
    through = "" if invoice.through is None else invoice.through
    epochs = " ".join(map(str, usage.epochs))
    states = [str(state).lower() for state in (usage.closed, usage.is_complete)]
    return [invoice.group.id.hex(), usage.month.name, epochs, *first, *last, through, *states]


def _currency(invoice: Invoice) -> str:
    return "" if invoice.asked.prices is None else invoice.asked.prices.currency


class _SpecialTable(msgspec.Struct, frozen=True):
    owner: str
    answer: int
    late: int


class _PricesTable(msgspec.Struct, frozen=True):
    currency: str
    answer: int
    late: int
    owners: list[_SpecialTable]
    card: str | None


class _Head(msgspec.Struct, frozen=True):
    """What of a document says how to make it again; the rest follows from the ledger."""

    format: int
    kind: str
    month: str
    owner: str | None
    client: str | None
    through: int | None
    prices: _PricesTable | None


def asked_in(document: bytes, what: str) -> Asked:
    """What a JSON document was made for; ConfigInvalid when it is none. Made again, it shows whether it is true."""
    try:
        head = msgspec.json.decode(document, type=_Head)
        client = None if head.client is None else ClientKey(bytes.fromhex(head.client))
    except (msgspec.MsgspecError, ValueError, RecursionError) as wrong:
        raise ConfigInvalid(f"{what} is no usage document: {wrong}") from wrong
    if (head.format, head.kind) != (FORMAT, KIND):
        raise ConfigInvalid(f"{what} is no usage document of format {FORMAT}; use the release that made it")
    through = None if head.through is None else Height(head.through)
    return Asked(month_of(head.month), head.owner, client, through, _prices_in(head.prices, what))


def _prices_in(table: _PricesTable | None, what: str) -> Prices | None:
    if table is None:
        return None
    check_currency(table.currency, what)
    for price in (table.answer, table.late, *(p for row in table.owners for p in (row.answer, row.late))):
        check_price(price, what)
    special = {row.owner: Price(row.answer, row.late) for row in table.owners}
    return Prices(table.currency, Price(table.answer, table.late), special, table.card)
