"""``dropbeard usage``: every node's ledger makes the same invoice, auditors make it again, what is pruned is said."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dropbeard.cli.main import run
from tests.audit.recorded_ledgers import pruned_world, world, write_disk, write_genesis, write_state

MONTH = "2027-01"
PRICES = 'format = 1\ncurrency = "EUR"\nanswer = 250\nlate = 100\n'
Captured = pytest.CaptureFixture[bytes]


@pytest.fixture
def nodes(tmp_path: Path) -> list[Path]:
    """State directories of one group's nodes; the genesis is beside them."""
    write_genesis(world(), tmp_path)
    (tmp_path / "prices.toml").write_text(PRICES)
    return [write_state(replica.stored(), tmp_path / f"node{replica.seat}") for replica in world().replicas]


def usage(node: Path, *options: str, month: str = MONTH) -> int:
    here = ["--ledger", str(node), "--group", str(node.parent / "genesis.toml"), "--month", month]
    return run(["usage", *here, *options])


def common() -> str:
    return str(min(replica.turn.state.chain.final.header.height for replica in world().replicas))


@pytest.mark.parametrize("form", ["--json", "--csv"])
def test_every_nodes_ledger_gives_the_same_bytes(nodes: list[Path], capsysbinary: Captured, form: str) -> None:
    options = (form, "--prices", str(nodes[0].parent / "prices.toml"), "--through", common())
    made = []
    for node in nodes:
        assert usage(node, *options) == 0
        made.append(capsysbinary.readouterr().out)
    assert len(set(made)) == 1
    assert made[0].count(b"alice") == 0
    assert len(made[0]) > 1_000


def test_an_invoice_is_checked_against_another_nodes_ledger(nodes: list[Path], capsysbinary: Captured) -> None:
    assert usage(nodes[0], "--json", "--prices", str(nodes[0].parent / "prices.toml"), "--through", common()) == 0
    document = capsysbinary.readouterr().out
    found = json.loads(document)
    assert found["total"]["amount"] > 0
    assert found["through"] == int(common())
    invoice, genesis = nodes[0].parent / "invoice.json", str(nodes[0].parent / "genesis.toml")
    invoice.write_bytes(document)
    check = ["usage", "--ledger", str(nodes[1]), "--group", genesis, "--check", str(invoice)]
    assert run(check) == 0
    assert capsysbinary.readouterr().out.startswith(b"SAME")
    owed = found["total"]["amount"]
    invoice.write_bytes(document.replace(f'"amount":{owed}'.encode(), f'"amount":{owed + 1}'.encode()))
    assert run(check) == 1
    assert capsysbinary.readouterr().out.startswith(b"OTHER")
    assert run([*check, "--month", MONTH]) == 1
    assert b"say --month" in capsysbinary.readouterr().err


def test_a_month_without_blocks_is_empty_and_one_that_is_not_over_is_said(
    nodes: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert usage(nodes[0], month="2026-12") == 0
    shown = capsys.readouterr()
    assert "heights none" in shown.out
    assert "total: 0 agreed, 0 late, 0 expired" in shown.out
    assert shown.err == ""
    assert usage(nodes[0]) == 0
    shown = capsys.readouterr()
    assert "the month is not over in this ledger" in shown.err
    assert "owner 0" in shown.out


def test_one_owners_and_one_clients_rows_are_had_alone(nodes: list[Path], capsysbinary: Captured) -> None:
    assert usage(nodes[0], "--json") == 0
    rows = json.loads(capsysbinary.readouterr().out)["rows"]
    client = rows[0]["client"]
    assert usage(nodes[0], "--json", "--owner", "owner 1", "--client", client) == 0
    found = json.loads(capsysbinary.readouterr().out)
    assert found["rows"] == [row for row in rows if row["owner"] == "owner 1" and row["client"] == client]
    assert usage(nodes[0], "--owner", "nobody") == 1
    assert usage(nodes[0], "--client", "ab") == 1
    assert usage(nodes[0], "--json", "--csv") == 1
    assert usage(nodes[0] / "nothing") == 2
    assert len(capsysbinary.readouterr().err.splitlines()) == 4


def test_a_pruned_ledger_exits_with_3_and_names_the_heights(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_genesis(pruned_world(), tmp_path)
    node = write_disk(pruned_world().replicas[0], tmp_path / "node")
    assert run(["ledger", "verify", str(node), "--group", str(tmp_path / "genesis.toml"), "--json"]) == 0
    start = json.loads(capsys.readouterr().out)["start"]
    assert usage(node, "--json") == 3
    shown = capsys.readouterr()
    ((first, last),) = json.loads(shown.out)["missing"]
    assert first < last == start
    assert f"not in this ledger and not counted: {first} to {last}" in shown.err
