"""A node's ledger is replayed without keys: all of it checks; what is changed in it is found, with its height."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dropbeard.agreement.records import BatchRecord, BlockRecord, CertificateRecord, decode_record
from dropbeard.audit.ledger import audit_ledger
from dropbeard.audit.reading import read_records
from dropbeard.cli.main import run
from dropbeard.errors import LedgerInvalid, MessageInvalid, StorageFailed
from dropbeard.evidence.kinds import Offence
from dropbeard.types.statements import Finalize
from tests.audit.recorded_ledgers import world, write_genesis, write_state


def records(seat: int = 0, byzantine: tuple[str, ...] = ()) -> list[bytes]:
    return world(byzantine).replicas[seat].stored()


def honest_seat(byzantine: tuple[str, ...]) -> int:
    return world(byzantine).honest[0].seat


def test_a_ledger_checks_from_the_genesis_and_tells_what_the_oracle_saw(tmp_path: Path) -> None:
    made = world()
    audit = audit_ledger(made.keys.group, read_records(write_state(records(), tmp_path / "state"), made.keys.group))
    kinds = list(made.oracle.outcomes.values())
    assert audit.start == 0
    assert len(audit.blocks) == made.replicas[0].turn.state.chain.final.header.height
    assert sum(row.agreed for row in audit.blocks) == kinds.count(1)
    assert sum(row.expired for row in audit.blocks) == kinds.count(2)
    assert audit.usage == made.replicas[0].turn.state.chain.base.usage
    assert [row.version for row in audit.models] and all(row.version > 1 for row in audit.models)
    assert audit.signatures > 5 * len(audit.blocks)
    assert audit.marks == {}


def test_every_honest_node_has_the_same_ledger() -> None:
    made = world()
    audits = [
        audit_ledger(made.keys.group, [decode_record(data, made.keys.group) for data in replica.stored()])
        for replica in made.replicas
    ]
    common = min(len(audit.blocks) for audit in audits)
    assert all(audit.blocks[:common] == audits[0].blocks[:common] for audit in audits)


def test_marked_owners_are_told() -> None:
    made = world(("rotten-evidence",))
    (liar,) = made.oracle.liars
    group = made.keys.group
    data = records(honest_seat(("rotten-evidence",)), ("rotten-evidence",))
    audit = audit_ledger(group, [decode_record(row, group) for row in data])
    assert (liar, Offence.ROTTEN_EVIDENCE) in audit.marks
    assert {owner for owner, _ in audit.marks} == {liar}


def test_a_ledger_that_starts_at_a_snapshot_says_so() -> None:
    made = world(stretch=4)
    group = made.keys.group
    replica = made.replicas[0]
    height, snapshot = min(replica.turn.state.chain.base.whole.snapshots.items())
    assert height > 0
    from dropbeard.agreement.records import SnapshotRecord

    header = replica.turn.state.chain.at(height).header
    rows = b"".join(rows for _, rows in snapshot.buckets.values())
    decoded = [decode_record(data, group) for data in replica.stored()]
    later = [r for r in decoded if not (isinstance(r, BlockRecord) and r.proposal.header.height <= height)]
    audit = audit_ledger(group, [SnapshotRecord(header, snapshot.small, rows), *later])
    assert audit.start == height
    assert audit.blocks[0].height == height + 1
    changed = SnapshotRecord(header, snapshot.small, rows[:-1] + bytes([rows[-1] ^ 1]))
    with pytest.raises(LedgerInvalid, match="height"):
        audit_ledger(group, [changed, *later])


@pytest.mark.parametrize("kind", ["batch", "block", "finalization"])
def test_a_flipped_bit_in_what_the_ledger_consists_of_is_found(kind: str) -> None:
    made = world()
    group = made.keys.group
    whole = records()
    chain = made.replicas[0].turn.state.chain
    final = chain.final
    found = 0
    for place, data in enumerate(whole):
        record = decode_record(data, group)
        if kind == "batch" and isinstance(record, BatchRecord):
            matters = record.signed.batch.lane_height <= final.header.cut[record.signed.batch.owner].height
        elif kind == "block":
            held = record.proposal.header if isinstance(record, BlockRecord) else None
            matters = held is not None and chain.heights.get(held.height) == held.digest
        else:
            vote = record.certificate.vote if isinstance(record, CertificateRecord) else None
            matters = isinstance(vote, Finalize) and vote.header == final.header.digest
        if not matters or (place % 5 and kind != "finalization"):
            continue
        for at in range(3, len(data), max(1, len(data) // 4)):
            changed = data[:at] + bytes([data[at] ^ 4]) + data[at + 1 :]
            try:
                rows = [decode_record(row, group) for row in [*whole[:place], changed, *whole[place + 1 :]]]
                audit = audit_ledger(group, rows)
            except (LedgerInvalid, MessageInvalid):
                found += 1
            else:
                assert len(audit.blocks) < final.header.height, (place, at)  # only the top may be missing instead
                found += 1
    assert found >= 3


def test_a_batch_that_is_missing_is_named_with_its_height() -> None:
    made = world()
    group = made.keys.group
    decoded = [decode_record(data, group) for data in records()]
    first = next(r for r in decoded if isinstance(r, BatchRecord) and r.signed.batch.lane_height == 1)
    with pytest.raises(LedgerInvalid, match=r"height 1, lane of owner \d: the batch at lane height 1 is missing"):
        audit_ledger(group, [r for r in decoded if r is not first])


def test_the_commands_print_figures_and_write_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = world()
    genesis, state = write_genesis(made, tmp_path), write_state(records(), tmp_path / "state")
    before = {path.name: path.read_bytes() for path in state.iterdir()}
    assert run(["ledger", "verify", str(state), "--group", str(genesis), "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["valid"]
    assert figures["height"] == made.replicas[0].turn.state.chain.final.header.height
    assert run(["ledger", "verify", str(state), "--group", str(genesis)]) == 0
    assert "VALID" in capsys.readouterr().out
    assert run(["ledger", "show", str(state), "--group", str(genesis), "--from", "2", "--to", "4"]) == 0
    assert "updates to version 2" in capsys.readouterr().out
    assert {path.name: path.read_bytes() for path in state.iterdir()} == before


def test_a_ledger_that_does_not_check_exits_with_1_and_an_unreadable_one_with_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = world()
    group = made.keys.group
    genesis = write_genesis(made, tmp_path)
    kept = [d for d in records() if not (d[:1] == b"\x03" and decode_record(d, group).signed.batch.lane_height == 1)]  # type: ignore[union-attr]
    wrong = write_state(kept, tmp_path / "wrong")
    assert run(["ledger", "verify", str(wrong), "--group", str(genesis)]) == 1
    assert "height 1" in capsys.readouterr().err
    assert run(["ledger", "verify", str(tmp_path / "nowhere"), "--group", str(genesis)]) == 2
    assert run(["ledger", "verify", str(wrong), "--group", str(tmp_path / "no.toml")]) == 2
    assert run(["ledger", "verify", str(wrong)]) == 2
    errors = capsys.readouterr().err
    assert len(errors.splitlines()) == 3
    assert "say --group" in errors


def test_a_ledger_is_read_while_its_node_holds_it(tmp_path: Path) -> None:
    from dropbeard.storage.records import Journal
    from dropbeard.storage.sqlite_store import SqliteStore

    made = world()
    store = SqliteStore(tmp_path / "state")
    journal = Journal(store)
    list(journal.replay())
    journal.append(records())
    assert list(read_records(tmp_path / "state", made.keys.group))
    store.close()
    with pytest.raises(StorageFailed):
        list(read_records(tmp_path / "nothing", made.keys.group))
    (tmp_path / "state" / "journal.db").unlink()
    with pytest.raises(StorageFailed):
        list(read_records(tmp_path / "state", made.keys.group))
