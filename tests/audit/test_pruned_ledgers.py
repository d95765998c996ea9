"""Ledgers whose old lane batches are pruned: the headers are all there, the rest replays from a snapshot (7.1)."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from dropbeard.agreement.records import BatchRecord, BlockRecord, CertificateRecord, Record, VoteRecord
from dropbeard.agreement.standing import BucketRecord, HeldSnapshotRecord, StandingRecord
from dropbeard.audit.ledger import audit_ledger
from dropbeard.audit.reading import LedgerRecords, read_ledger
from dropbeard.cli.main import run
from dropbeard.errors import LedgerInvalid, StorageFailed
from dropbeard.simulator.replica import SimulatedReplica
from dropbeard.types.ids import Signature
from dropbeard.types.statements import Finalize
from tests.audit.recorded_ledgers import pruned_world, write_disk, write_genesis

MADE = pruned_world()
GROUP = MADE.keys.group


@pytest.fixture(params=MADE.replicas, ids=lambda replica: f"owner {replica.owner}")
def replica(request: pytest.FixtureRequest) -> SimulatedReplica:
    assert isinstance(request.param, SimulatedReplica)
    return request.param


def held_by(replica: SimulatedReplica, directory: Path) -> LedgerRecords:
    return read_ledger(write_disk(replica, directory / "state"), GROUP)


def test_a_schedule_longer_than_retention_prunes_every_journal(replica: SimulatedReplica, tmp_path: Path) -> None:
    assert (MADE.oracle.found, replica.failed) == ([], None)
    held = held_by(replica, tmp_path)
    kinds = {type(record) for record in held.records}
    assert {BlockRecord, BatchRecord, CertificateRecord, VoteRecord} <= kinds
    ordered = {batch.digest for batch in MADE.oracle.ordered}
    left = {record.signed.batch.digest for record in held.records if isinstance(record, BatchRecord)}
    assert len(ordered - left) >= 8
    numbers = list(replica.disk.records)
    assert numbers[-1] > len(numbers)


def test_every_header_is_checked_and_the_replay_ends_where_the_node_stands(
    replica: SimulatedReplica, tmp_path: Path
) -> None:
    held, base = held_by(replica, tmp_path), replica.turn.state.chain.base
    audit = audit_ledger(GROUP, held.records, held.checkpoint)
    assert min(audit.start, audit.headers) > 0
    assert audit.headers + len(audit.blocks) == base.height == audit.blocks[-1].height
    assert audit.usage == base.usage
    assert {(row.owner, row.version) for row in audit.models} >= {
        (owner, model.version) for owner, model in base.models.items() if model.version > 1
    }


def without(held: LedgerRecords, gone: Record) -> LedgerRecords:
    return LedgerRecords([record for record in held.records if record is not gone], held.checkpoint)


def test_a_missing_or_changed_header_below_the_snapshot_is_found(tmp_path: Path) -> None:
    held = held_by(MADE.replicas[0], tmp_path)
    low = [r for r in held.records if isinstance(r, BlockRecord) and r.proposal.header.height == 3]
    final = next(r for r in low if r.proposal.header.digest == MADE.oracle.final[3])
    audit = audit_ledger(GROUP, held.records, held.checkpoint)
    shorter = audit_ledger(GROUP, without(held, final).records, held.checkpoint)
    assert shorter.headers < audit.headers
    for part in ("signature", "justification"):
        proposal = final.proposal
        parent = replace(proposal.justification, notarization=None)
        wrong = {
            "signature": replace(proposal, signature=Signature(bytes(64))),
            "justification": replace(proposal, justification=parent),
        }
        changed = [BlockRecord(wrong[part]) if record is final else record for record in held.records]
        with pytest.raises(LedgerInvalid, match="height 3: "):
            audit_ledger(GROUP, changed, held.checkpoint)


def test_a_changed_finalization_below_the_snapshot_is_found(tmp_path: Path) -> None:
    held = held_by(MADE.replicas[0], tmp_path)
    start = audit_ledger(GROUP, held.records, held.checkpoint).start
    headers = {MADE.oracle.final[height] for height in range(1, start)}
    for at, record in enumerate(held.records):
        vote = record.certificate.vote if isinstance(record, CertificateRecord) else None
        if isinstance(record, CertificateRecord) and isinstance(vote, Finalize) and vote.header in headers:
            (first, _), *others = record.certificate.signatures
            forged = replace(record.certificate, signatures=((first, Signature(bytes(64))), *others))
            changed = [*held.records[:at], CertificateRecord(forged), *held.records[at + 1 :]]
            with pytest.raises(LedgerInvalid, match="its finalization does not check"):
                audit_ledger(GROUP, changed, held.checkpoint)
            return
    pytest.fail("no finalization below the snapshot is left")


def test_a_snapshot_that_no_state_root_covers_is_found(tmp_path: Path) -> None:
    held = held_by(MADE.replicas[0], tmp_path)
    height = next(r.header.height for r in held.checkpoint if isinstance(r, StandingRecord))
    changed: list[Record] = []
    for record in held.checkpoint:
        if isinstance(record, BucketRecord) and height in record.heights:
            rows = bytearray(record.rows)
            rows[60] ^= 1
            record = replace(record, rows=bytes(rows))
        changed.append(record)
    with pytest.raises(LedgerInvalid, match="height"):
        audit_ledger(GROUP, held.records, changed)
    lacking = [r for r in held.checkpoint if not isinstance(r, HeldSnapshotRecord)]
    with pytest.raises(LedgerInvalid, match="does not hold its snapshot"):
        audit_ledger(GROUP, held.records, lacking)


def test_the_commands_say_what_was_replayed(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    state, genesis = write_disk(MADE.replicas[0], tmp_path / "state"), write_genesis(MADE, tmp_path)
    assert run(["ledger", "verify", str(state), "--group", str(genesis)]) == 0
    said = capfd.readouterr().out.splitlines()
    assert "replayed from the snapshot at height " in said[0]
    assert said[1].endswith("their lane batches are pruned, or were passed over by a snapshot")
    for command in (["ledger", "show", str(state)], ["model", "history", str(state)]):
        assert run([*command, "--group", str(genesis)]) == 0
        assert capfd.readouterr().err == ""
    assert run(["ledger", "verify", str(state), "--group", str(genesis), "--json"]) == 0
    figures = json.loads(capfd.readouterr().out)
    assert min(figures["headers"], figures["start"]) > 0
    assert run(["blame", str(state), "--group", str(genesis)]) == 1
    assert capfd.readouterr().out == "nobody is convicted by these\n"


def test_a_pruned_journal_without_its_checkpoint_is_refused_with_one_line(tmp_path: Path) -> None:
    state = write_disk(MADE.replicas[0], tmp_path / "state")
    with sqlite3.connect(state / "journal.db") as database:
        database.execute("DELETE FROM parts")
    database.close()
    with pytest.raises(StorageFailed, match="was pruned and has no checkpoint; copy all of it$"):
        read_ledger(state, GROUP)
