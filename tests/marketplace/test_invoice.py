"""An invoice is the same bytes for everyone who has the ledger, its numbers are whole, and its totals add up."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dropbeard.errors import ConfigInvalid
from dropbeard.marketplace.invoice import COLUMNS, Asked, Invoice, asked_in, invoice_of, to_csv, to_json
from dropbeard.marketplace.metering import Counts, Meter, Service, Usage, month_of
from dropbeard.marketplace.prices import Price, Prices, prices_from_toml
from dropbeard.types.entries import EntryKind
from dropbeard.types.ids import ClientKey, Digest, Height, OwnerId, Version
from tests.marketplace.blocks import entry, header
from tests.verification.building import world

MONTH = month_of("2026-11")
GROUP = world(4).group
NAMES = {owner.id: owner.name for owner in GROUP.owners}
PRICES = Prices("EUR", Price(250, 100), {"owner 3": Price(300, 0)})
PRICES_TEXT = """format = 1
currency = "EUR"
answer = 250
late = 100
[[owner]]
name = "owner 3"
answer = 300
late = 0
"""
SPECIAL = Prices("EUR", Price(1, 1), {"nobody": Price(1, 1)})

WHOLE = st.integers(0, 1 << 40)
SERVICES = st.builds(
    Service,
    st.integers(0, 3).map(OwnerId),
    st.integers(0, 2).map(lambda n: ClientKey(bytes([n]) * 32)),
    st.integers(1, 3).map(Version),
    st.integers(0, 2).map(lambda n: Digest(bytes([n]) * 32)),
)
USAGES = st.dictionaries(SERVICES, st.builds(Counts, WHOLE, WHOLE, WHOLE), max_size=8).map(
    lambda counts: replace(small_usage(), counts=dict(sorted(counts.items())))
)


def small_usage() -> Usage:
    """Three blocks: two answers agreed on, one late, two expired."""
    meter = Meter(MONTH)
    meter.see(header(1, MONTH.start), (entry(EntryKind.AGREED, 1, (0, 3), client=1),))
    meter.see(header(2, MONTH.start + 1), (entry(EntryKind.SUPPLEMENT, 1, (2,), client=1),))
    meter.see(header(3, MONTH.end - 1), (entry(EntryKind.EXPIRED, 2, (0, 1)),))
    meter.see(header(4, MONTH.end), ())
    return meter.usage()


def invoice(usage: Usage | None = None, **asked: object) -> Invoice:
    wanted = replace(Asked(MONTH), **asked)  # type: ignore[arg-type]
    return invoice_of(GROUP, NAMES, small_usage() if usage is None else usage, wanted)


def rows_of(data: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(data.decode())))


@given(USAGES, st.booleans())
def test_totals_add_up_and_both_forms_say_the_same(usage: Usage, priced: bool) -> None:
    made = invoice(usage, prices=PRICES if priced else None)
    found, lines = json.loads(to_json(made)), rows_of(to_csv(made))
    assert [line["line"] for line in lines] == ["usage"] * len(usage.counts) + ["total"]
    for name in ("agreed", "late", "expired"):
        assert found["total"][name] == sum(row[name] for row in found["rows"]) == int(lines[-1][name])
        assert [row[name] for row in found["rows"]] == [int(line[name]) for line in lines[:-1]]
    assert [row["model"] for row in found["rows"]] == [line["model"] for line in lines[:-1]]
    if priced:
        assert found["total"]["amount"] == sum(row["amount"] for row in found["rows"]) == int(lines[-1]["amount"])
    else:
        assert found["total"]["amount"] is None
        assert {line["amount"] for line in lines} == {""}


@given(USAGES)
def test_the_parts_of_owners_and_of_clients_make_the_whole(usage: Usage) -> None:
    whole = invoice(usage, prices=PRICES)
    by_owner = [invoice(usage, prices=PRICES, owner=name) for name in NAMES.values()]
    by_client = [invoice(usage, prices=PRICES, client=ClientKey(bytes([n]) * 32)) for n in range(3)]
    for parts in (by_owner, by_client):
        assert sum(part.amount or 0 for part in parts) == whole.amount
        assert sorted(row.service for part in parts for row in part.rows) == [row.service for row in whole.rows]


@given(USAGES, st.randoms())
def test_the_order_in_which_counts_were_met_changes_no_byte(usage: Usage, dice: object) -> None:
    items = list(usage.counts.items())
    dice.shuffle(items)  # type: ignore[attr-defined]
    again = replace(usage, counts=dict(sorted(dict(items).items())))
    assert to_json(invoice(again, prices=PRICES)) == to_json(invoice(usage, prices=PRICES))


@given(USAGES, st.booleans(), st.sampled_from([None, "owner 2"]), st.sampled_from([None, ClientKey(b"\1" * 32)]))
def test_what_a_document_was_made_for_is_read_out_of_it(
    usage: Usage, priced: bool, owner: str | None, client: ClientKey | None
) -> None:
    made = invoice(usage, prices=PRICES if priced else None, owner=owner, client=client)
    asked = asked_in(to_json(made), "F")
    assert to_json(invoice_of(GROUP, NAMES, usage, asked)) == to_json(made)


def test_the_document_is_canonical_and_names_what_it_was_made_of() -> None:
    data = to_json(invoice(prices=PRICES))
    found = json.loads(data)
    assert data == (json.dumps(found, sort_keys=True, separators=(",", ":")) + "\n").encode()
    assert (found["group"]["id"], found["month"], found["epochs"]) == (GROUP.id.hex(), "2026-11", [0])
    assert (found["first"]["height"], found["last"]["height"], found["through"]) == (1, 3, None)
    assert found["first"]["digest"] == header(1, MONTH.start).digest.hex()
    assert found["last"]["digest"] == header(3, MONTH.end - 1).digest.hex()
    assert (found["closed"], found["complete"], found["missing"]) == (True, True, [])
    # 2 agreed at 250 and 300, 1 late at 100, 2 expired for nothing
    assert found["total"] == {"agreed": 2, "late": 1, "expired": 2, "amount": 650}


def test_a_month_that_is_not_over_is_a_document_of_the_heights_so_far() -> None:
    meter = Meter(MONTH)
    meter.see(header(1, MONTH.start), (entry(EntryKind.AGREED, 1, (0, 3)),))
    found = json.loads(to_json(invoice(meter.usage())))
    assert (found["closed"], found["through"]) == (False, 1)
    assert asked_in(to_json(invoice(meter.usage())), "F").through == Height(1)


def test_an_incomplete_count_says_so_in_both_forms_even_without_a_row() -> None:
    meter = Meter(MONTH)
    meter.see(header(8, MONTH.start), None)
    made = invoice(meter.usage())
    found = json.loads(to_json(made))
    assert (found["complete"], found["missing"], found["rows"]) == (False, [[1, 8]], [])
    (line,) = rows_of(to_csv(made))
    assert (line["line"], line["complete"], line["agreed"]) == ("total", "false", "0")


def test_the_columns_are_fixed() -> None:
    first = to_csv(invoice()).decode().splitlines()[0]
    assert first == ",".join(COLUMNS)
    assert first == (
        "line,group,month,epochs,first_height,first_digest,last_height,last_digest,through,closed,complete,"
        "owner_id,owner,client,version,model,agreed,late,expired,currency,price_answer,price_late,amount"
    )


def test_rows_ascend_by_owner_then_client_then_model() -> None:
    rows = [row.service for row in invoice().rows]
    assert all(a < b for a, b in pairwise(rows))


@pytest.mark.parametrize("asked", [{"owner": "nobody"}, {"prices": SPECIAL}])
def test_an_owner_whom_the_group_does_not_have_is_named(asked: dict[str, object]) -> None:
    with pytest.raises(ConfigInvalid, match="has no owner 'nobody'; its owners are owner 0, owner 1"):
        invoice(**asked)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"[" * 10_000,
        b"{}",
        to_json(invoice()).replace(b'"format":1', b'"format":2'),
        to_json(invoice()).replace(b"dropbeard usage", b"other"),
        to_json(invoice()).replace(b"2026-11", b"2026-13"),
        to_json(invoice(prices=PRICES)).replace(b'"answer":250', b'"answer":-1'),
        to_json(invoice(prices=PRICES)).replace(b"EUR", b"\\u001b[2J"),
        to_json(invoice(client=ClientKey(bytes(32)))).replace(b'"client":"00', b'"client":"zz'),
    ],
)
def test_what_is_no_document_is_one_line_that_names_the_file(document: bytes) -> None:
    with pytest.raises(ConfigInvalid) as wrong:
        asked_in(document, "F.json")
    assert "\n" not in str(wrong.value)


def test_a_file_of_prices_reads_as_it_is_written() -> None:
    assert prices_from_toml(PRICES_TEXT, "P") == PRICES


@pytest.mark.parametrize(
    ("old", "new", "part"),
    [
        ("answer = 250", "answer = -1", "must be between 0"),
        ("answer = 250", "answer = 2.5", "Expected `int`"),
        ("late = 0", "late = 99999999999999", "must be between 0"),
        ('"EUR"', '""', "currency must be"),
        ("format = 1", "format = 2", "format 2 is unknown"),
        ("late = 100", "", "missing required field `late`"),
        ("[[owner]]", '[[owner]]\nname = "owner 3"\nanswer = 1\nlate = 1\n[[owner]]', "two prices"),
    ],
)
def test_a_price_that_cannot_be_is_one_line_that_names_the_file(old: str, new: str, part: str) -> None:
    assert old in PRICES_TEXT
    with pytest.raises(ConfigInvalid) as wrong:
        prices_from_toml(PRICES_TEXT.replace(old, new, 1), "P.toml")
    assert str(wrong.value).startswith("P.toml")
    assert part in str(wrong.value)
