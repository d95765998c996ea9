"""``dropbeard group card``: an owner signs what its group offers (rule 1.5)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from dropbeard.types.group import Group
    from dropbeard.types.group_card import SignedCard

PATH = click.Path(path_type=Path)


@click.command("card")
@click.argument("genesis", type=PATH)
@click.option("--price", type=int, help="Micro-units of the currency for an answer in an agreed entry.")
@click.option("--late-price", type=int, help="The same for an answer in a supplement; as --price by default.")
@click.option("--currency", default="EUR", show_default=True)
@click.option("--slo-p99-ms", type=int, help="99 of 100 certificates come within so many milliseconds.")
@click.option("--valid-until", metavar="YYYY-MM-DD", help="The offer's last day, in UTC.")
@click.option("--serial", default=1, show_default=True, help="A higher one replaces the group's earlier cards.")
@click.option("--sign", "existing", type=PATH, help="Sign this card, as it is, instead of making one.")
@click.option("--owner-key", "key", type=PATH, required=True, help="owner.key, kept offline.")
@click.option("--passphrase-env", metavar="VAR", help="The owner key's passphrase is in $VAR.")
@click.option("-o", "output", type=PATH, required=True, help="Card file to write, NAME.card.")
def card_command(
    genesis: Path,
    price: int | None,
    late_price: int | None,
    currency: str,
    slo_p99_ms: int | None,
    valid_until: str | None,
    serial: int,
    existing: Path | None,
    key: Path,
    passphrase_env: str | None,
    output: Path,
) -> None:
    """Make the card of the group of GENESIS and sign it, or add a signature to one (--sign). Needs no network.

    Signed by f+1 owners or more the card is endorsed: an honest owner stands behind it.
    """
    from dropbeard.errors import ConfigInvalid
    from dropbeard.marketplace.group_cards import sign_card
    from dropbeard.signing.keys import load_private_key
    from dropbeard.storage.files import read_genesis
    from dropbeard.types.group_card import SignedCard, Terms, card_of

    group = read_genesis(genesis)
    if existing is not None:
        unsigned = _own_card(existing, group)
    elif price is None or slo_p99_ms is None or valid_until is None:
        raise ConfigInvalid("say --price, --slo-p99-ms and --valid-until, or --sign CARD for one that others made")
    else:
        late = price if late_price is None else late_price
        terms = Terms(currency, price, late, slo_p99_ms, serial, valid_until)
        unsigned = SignedCard(card_of(group, terms), ())
    private = load_private_key(key, None if passphrase_env is None else os.environ.get(passphrase_env))
    signed = sign_card(unsigned, group, private)
    _write(signed, output)
    count = len(signed.signatures)
    state = "endorsed" if count >= group.weak_quorum else f"{group.weak_quorum - count} more make it endorsed"
    click.echo(f"{output}: card {signed.card.digest.hex()[:12]} of group {group.name}, signatures {count}; {state}")


def _own_card(path: Path, group: Group) -> SignedCard:
    """The one card in a file, with those of its signatures that check."""
    from dataclasses import replace

    from dropbeard.errors import ConfigInvalid
    from dropbeard.marketplace.group_cards import list_card
    from dropbeard.storage.files import read_text
    from dropbeard.types.group_card import cards_from_toml
    from dropbeard.types.limits import GROUP_CARDS_BYTES_MAX

    cards = cards_from_toml(read_text(path, GROUP_CARDS_BYTES_MAX, "the group card"), str(path))
    if len(cards) != 1:
        raise ConfigInvalid(f"{path} holds {len(cards)} cards; sign a file of one")
    good = list_card(cards[0], str(path), group).signers
    return replace(cards[0], signatures=tuple(row for row in cards[0].signatures if row[0] in good))


def _write(signed: SignedCard, output: Path) -> None:
    from dropbeard.errors import ConfigInvalid
    from dropbeard.types.group_card import cards_to_toml

    try:
        with output.open("x", encoding="utf-8") as file:
            file.write(cards_to_toml([signed]))
    except FileExistsError:
        raise ConfigInvalid(f"{output} exists; name another file") from None
    except OSError as wrong:
        raise ConfigInvalid(f"cannot write {output}: {wrong.strerror}") from wrong
