"""Reputation: counts from a ledger and disclosed certificates, the same in every order and from every node."""

from __future__ import annotations

import json
from itertools import permutations
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dropbeard.agreement.records import decode_record
from dropbeard.audit.findings import Audit
from dropbeard.audit.ledger import audit_ledger
from dropbeard.cli.main import run
from dropbeard.evidence.kinds import Offence
from dropbeard.marketplace.reputation import Attendance, Disclosed, Record, disclosed_in, permille, reputation, to_json
from dropbeard.types.entries import EntryKind
from dropbeard.types.ids import GENESIS_HEIGHT, Height, OwnerId
from dropbeard.types.task import Input, InputKind
from dropbeard.verification.certificate import verify
from dropbeard.verification.lineage import lineage_of
from tests.audit.recorded_ledgers import pruned_world, write_disk, write_genesis, write_state
from tests.audit.recorded_ledgers import world as simulated
from tests.marketplace.blocks import entry, header
from tests.verification.building import Plan, build, output, world

GROUP = world(4).group
OTHER_IMAGE = Input(InputKind.ENCODED_IMAGE, (0, 0, 0), b"another picture")
PLANS = (
    Plan(base=(0, 1, 2), late=((3,),), links=2, votes={3: output(7)}),
    Plan(base=(0, 1, 2, 3), image=OTHER_IMAGE, votes={2: output(7), 3: output(7)}),
)
"""Decided, with owner 3 of another mind; and undecided."""


def save(directory: Path, name: str, plan: Plan, n: int = 4) -> None:
    directory.mkdir(exist_ok=True)
    (directory / f"{name}.dbcert").write_bytes(build(world(n), plan).encode())


def everyone(epochs: tuple[int, ...] = (0,)) -> dict[OwnerId, tuple[int, ...]]:
    return {owner.id: epochs for owner in GROUP.owners}


def audit_with(marks: dict[tuple[OwnerId, Offence], Height] | None = None) -> Audit:
    return Audit(GENESIS_HEIGHT, names={owner.id: owner.name for owner in GROUP.owners}, marks=marks or {})


def test_agreement_is_counted_over_what_is_decided_and_copies_count_once(tmp_path: Path) -> None:
    for number, plan in enumerate((*PLANS, PLANS[0])):
        save(tmp_path, f"{number}", plan)
    (tmp_path / "garbage.dbcert").write_bytes(b"none")
    save(tmp_path, "another group", Plan(base=(0, 1, 2, 3, 4)), n=7)
    found = disclosed_in(tmp_path, lineage_of(GROUP, ()))
    assert (len(found.firsts), len(found.labels), found.refused) == (2, 1, 2)
    assert [found.agreement(owner.id) for owner in GROUP.owners] == [(1, 1), (1, 1), (1, 1), (1, 0)]
    assert disclosed_in(tmp_path / "never made", lineage_of(GROUP, ())) == Disclosed()


def test_the_order_of_certificates_changes_nothing() -> None:
    short = Plan(base=(0, 1, 2), late=((3,),), links=2, opened=(0, 1, 2), votes={3: output(7)})
    verified = [verify(build(world(4), plan), GROUP) for plan in (*PLANS, short)]
    tables = []
    for order in permutations(verified):
        found = Disclosed()
        for one in order:
            found.take(one)
        tables.append(to_json(reputation(GROUP, audit_with(), Attendance(), found, everyone())))
    assert len(set(tables)) == 1


ENTRIES = st.lists(
    st.tuples(st.sampled_from(list(EntryKind)), st.sets(st.integers(0, 3), min_size=1, max_size=4)), max_size=12
)


@given(ENTRIES)
def test_every_answer_in_an_entry_is_counted_once(rows: list[tuple[EntryKind, set[int]]]) -> None:
    attendance = Attendance()
    for number, (kind, owners) in enumerate(rows):
        attendance.see(header(number + 1, number), (entry(kind, number, sorted(owners)),))
        attendance.see(header(number + 1, number), None)
    counted = sum(r.agreed + r.late + r.expired for r in attendance.owners.values())
    assert counted == sum(len(owners) for _, owners in rows)
    assert sum(attendance.agreed.values()) == sum(kind is EntryKind.AGREED for kind, _ in rows)


def test_the_table_says_what_was_counted() -> None:
    attendance = Attendance()
    attendance.see(header(1, 1), tuple(entry(EntryKind.AGREED, n, (0, 1, 2)) for n in range(3)))
    attendance.see(header(2, 2), (entry(EntryKind.SUPPLEMENT, 0, (3,)), entry(EntryKind.EXPIRED, 9, (0, 1))))
    audit = audit_with({(OwnerId(3), Offence.ROTTEN_EVIDENCE): Height(2)})
    rows = reputation(GROUP, audit, attendance, Disclosed(), everyone())["owners"]
    assert attendance.owners[OwnerId(0)] == Record(3, 0, 1)
    assert [(row["agreed"], row["late"], row["absent"], row["expired"]) for row in rows] == [
        *((3, 0, 0, 1), (3, 0, 0, 1), (3, 0, 0, 0)),
        (0, 1, 2, 0),
    ]
    assert [(row["late_permille"], row["absent_permille"]) for row in rows] == [*([(0, 0)] * 3), (1000, 666)]
    assert [row["agreement_permille"] for row in rows] == [None] * 4
    assert [row["evidence"] for row in rows] == [*([[]] * 3), [{"offence": "rotten_evidence", "height": 2}]]


def test_requests_of_epochs_that_an_owner_did_not_serve_are_not_missed() -> None:
    attendance = Attendance()
    attendance.see(header(1, 1, epoch=0), (entry(EntryKind.AGREED, 1, (0, 1, 2)),))
    attendance.see(header(2, 2, epoch=1), (entry(EntryKind.AGREED, 2, (0, 1, 2)),))
    members = everyone((0, 1)) | {OwnerId(3): (1,)}
    rows = reputation(GROUP, audit_with(), attendance, Disclosed(), members)["owners"]
    assert (rows[3]["absent"], rows[3]["absent_permille"]) == (1, 1000)


def test_shares_are_whole_thousandths_rounded_down() -> None:
    assert [permille(*pair) for pair in ((2, 3), (1, 1), (0, 5), (0, 0))] == [666, 1000, 0, None]


def test_every_node_tells_the_same_of_a_real_ledger_and_marks_are_told() -> None:
    made = simulated(("rotten-evidence",))
    group = made.keys.group
    (liar,) = made.oracle.liars
    members = {owner.id: (0,) for owner in group.owners}
    rows = []
    for replica in made.honest:
        attendance = Attendance()
        audit = audit_ledger(group, [decode_record(data, group) for data in replica.stored()], witness=attendance.see)
        rows.append(reputation(group, audit, attendance, Disclosed(), members))
    assert all({"offence": "rotten_evidence"}.items() <= row["owners"][liar]["evidence"][0].items() for row in rows)
    assert all(not row["evidence"] for table in rows for row in table["owners"] if row["owner_id"] != liar)
    same_height = [to_json(table) for table in rows if table["height"] == rows[0]["height"]]
    assert len(set(same_height)) == 1


def test_the_command_prints_canonical_json_or_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = simulated()
    genesis, node = write_genesis(made, tmp_path), write_state(made.replicas[0].stored(), tmp_path / "node")
    command = ["reputation", "--ledger", str(node), "--group", str(genesis)]
    assert run([*command, "--json"]) == 0
    text = capsys.readouterr().out
    found = json.loads(text)
    assert text == json.dumps(found, sort_keys=True, separators=(",", ":")) + "\n"
    assert found["complete"]
    used = made.replicas[0].turn.state.chain.base.usage
    assert {row["owner_id"]: row["agreed"] + row["late"] for row in found["owners"]} == used
    assert all(row["absent"] == found["agreed_requests"] - row["agreed"] - row["late"] for row in found["owners"])
    (node / "disclosed").mkdir()
    (node / "disclosed" / "x.dbcert").write_bytes(b"none")
    assert run(command) == 0
    shown = capsys.readouterr().out
    assert "0 decided; 1 refused" in shown
    assert "owner 3" in shown


def test_a_pruned_ledger_exits_with_3(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    genesis = write_genesis(pruned_world(), tmp_path)
    node = write_disk(pruned_world().replicas[0], tmp_path / "node")
    assert run(["reputation", "--ledger", str(node), "--group", str(genesis), "--json"]) == 3
    shown = capsys.readouterr()
    assert not json.loads(shown.out)["complete"]
    assert "NOT COMPLETE" in shown.err
