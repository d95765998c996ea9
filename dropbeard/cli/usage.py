"""``dropbeard usage``: what a ledger says of a month, what that costs, and whether an invoice is what it gives."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from dropbeard.cli.ledger import GENESIS

if TYPE_CHECKING:
    from dropbeard.marketplace.invoice import Asked, Invoice
    from dropbeard.marketplace.prices import Prices
    from dropbeard.types.group import Group
    from dropbeard.types.ids import ClientKey

DIFFERS = 1
INCOMPLETE = 3

PATH = click.Path(path_type=Path)


@click.command("usage")
@click.option("--ledger", "directory", type=PATH, required=True, help="A node's state directory, or a copy of one.")
@click.option("--month", help="YYYY-MM, by block time in UTC.")
@GENESIS
@click.option("--owner", help="Count this owner's answers alone.")
@click.option("--client", metavar="HEX", help="Count answers to this client alone, by its public key.")
@click.option("--through", type=click.IntRange(min=0), help="Look at blocks up to this height alone.")
@click.option("--prices", "price_file", type=PATH, help="File of prices, in micro-units.")
@click.option("--card", type=PATH, help="Take prices from this endorsed group card instead.")
@click.option("--json", "as_json", is_flag=True, help="The canonical JSON document.")
@click.option("--csv", "as_csv", is_flag=True, help="The same as CSV.")
@click.option("--check", "invoice", type=PATH, help="A JSON document: is it, byte for byte, what this ledger gives?")
def usage_command(
    directory: Path,
    month: str | None,
    genesis: Path | None,
    owner: str | None,
    client: str | None,
    through: int | None,
    price_file: Path | None,
    card: Path | None,
    as_json: bool,
    as_csv: bool,
    invoice: Path | None,
) -> int:
    """Replay a ledger and count each owner's answers of a month, by client and model version.

    Exit 0 counted (or, with --check, the same bytes), 1 the ledger does not check (or other bytes), 2 unreadable, 3 the
    ledger lacks entries of the month: they are pruned, or were never on this node; the document names their heights.
    """
    from dropbeard.errors import ConfigInvalid
    from dropbeard.marketplace.invoice import Asked, asked_in, to_csv, to_json
    from dropbeard.marketplace.metering import month_of
    from dropbeard.types.ids import Height

    if (month is None) == (invoice is None) or (as_json and as_csv):
        raise ConfigInvalid("say --month YYYY-MM or --check INVOICE, and --json or --csv at most")
    given = None if invoice is None else _read(invoice)
    if given is not None:
        asked = asked_in(given, str(invoice))
    else:
        limit = None if through is None else Height(through)
        asked = Asked(month_of(month or ""), owner, None if client is None else _client(client), limit)
    made = make(directory, genesis, asked, price_file, card)
    if given is not None:
        return _compare(to_json(made), given, invoice)
    if as_json or as_csv:
        click.echo(to_json(made) if as_json else to_csv(made), nl=False)
    else:
        _show(made)
    return _completeness(made)


def make(directory: Path, genesis: Path | None, asked: Asked, price_file: Path | None, card: Path | None) -> Invoice:
    """Replay the ledger and make the document; prices that are given count instead of those that ``asked`` has."""
    from dataclasses import replace

    from dropbeard.cli.ledger import audit_of
    from dropbeard.marketplace.invoice import invoice_of
    from dropbeard.marketplace.metering import Meter

    meter = Meter(asked.month, asked.through)
    group, audit = audit_of(directory, genesis, meter.see)
    prices = _prices(group, price_file, card)
    if prices is not None:
        asked = replace(asked, prices=prices)
    return invoice_of(group, audit.names, meter.usage(), asked)


def _prices(group: Group, price_file: Path | None, card: Path | None) -> Prices | None:
    from dropbeard.errors import ConfigInvalid
    from dropbeard.marketplace.group_cards import prices_from_cards
    from dropbeard.marketplace.prices import PRICES_BYTES_MAX, prices_from_toml
    from dropbeard.storage.files import read_text
    from dropbeard.types.group_card import cards_from_toml
    from dropbeard.types.limits import GROUP_CARDS_BYTES_MAX

    if price_file is not None and card is not None:
        raise ConfigInvalid("say --prices or --card, not both: there is one price")
    if card is not None:
        cards = cards_from_toml(read_text(card, GROUP_CARDS_BYTES_MAX, "the group card"), str(card))
        return prices_from_cards(cards, group, str(card))
    if price_file is not None:
        return prices_from_toml(read_text(price_file, PRICES_BYTES_MAX, "the prices"), str(price_file))
    return None


def _client(text: str) -> ClientKey:
    from dropbeard.types.cards import hex_bytes
    from dropbeard.types.ids import KEY_BYTES, ClientKey

    return ClientKey(hex_bytes(text, KEY_BYTES, "a client's key", "--client"))


def _read(path: Path) -> bytes:
    from dropbeard.errors import ConfigInvalid
    from dropbeard.marketplace.invoice import INVOICE_BYTES_MAX

    try:
        with path.open("rb") as file:
            return file.read(INVOICE_BYTES_MAX)
    except OSError as wrong:
        raise ConfigInvalid(f"cannot read {path}: {wrong.strerror}") from wrong


def _compare(made: bytes, given: bytes, path: Path | None) -> int:
    if made == given:
        click.echo(f"SAME  {path} is what this ledger gives, {len(given)} bytes")
        return 0
    at = next((at for at, (one, other) in enumerate(zip(made, given, strict=False)) if one != other), None)
    at = min(len(made), len(given)) if at is None else at
    around = slice(max(0, at - 40), at + 40)
    click.echo(f"OTHER  {path} differs from what this ledger gives at byte {at}")
    click.echo(f"invoice: {given[around].decode(errors='replace')}")
    click.echo(f"ledger:  {made[around].decode(errors='replace')}")
    return DIFFERS


def _show(made: Invoice) -> None:
    usage, money = made.usage, made.asked.prices
    ends = [block.height for block in (usage.first, usage.last) if block is not None]
    blocks = " to ".join(map(str, ends)) or "none"
    click.echo(f"group {made.group.name}, {usage.month.name} (UTC), heights {blocks}")
    click.echo(f"{'owner':16} {'client':12} version model           agreed      late   expired     amount")
    for row in made.rows:
        service, amount = row.service, "" if row.amount is None else row.amount
        click.echo(
            f"{row.owner[:16]:16} {service.client.hex()[:12]} {service.version:7} {service.model.hex()[:12]} "
            f"{row.counts.agreed:9} {row.counts.late:9} {row.counts.expired:9} {amount:>10}"
        )
    total = made.total
    currency = "" if money is None else f"; {made.amount} micro-{money.currency}"
    click.echo(f"total: {total.agreed} agreed, {total.late} late, {total.expired} expired{currency}")


def _completeness(made: Invoice) -> int:
    usage = made.usage
    if not usage.closed:
        click.echo(f"the month is not over in this ledger, which ends with height {usage.tip}", err=True)
    if usage.is_complete:
        return 0
    ranges = ", ".join(f"{first} to {last}" for first, last in usage.missing)
    click.echo(f"NOT COMPLETE: entries of these heights are not in this ledger and not counted: {ranges}", err=True)
    return INCOMPLETE
