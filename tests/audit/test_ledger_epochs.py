"""A ledger of several epochs is replayed from the genesis alone (rules 8.2, 8.4)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from dropbeard.agreement.records import BlockRecord, CertificateRecord, Record, SuccessionRecord, decode_record
from dropbeard.audit.ledger import audit_ledger
from dropbeard.cli.main import run
from dropbeard.errors import LedgerInvalid
from dropbeard.evidence.kinds import VotePair, encode_evidence
from dropbeard.simulator.options import options_for
from dropbeard.simulator.replica import SimulatedReplica
from dropbeard.simulator.settling import is_settled
from dropbeard.simulator.world import World
from dropbeard.types.ids import Digest, Signature, View
from dropbeard.types.statements import Finalize, Notarize
from dropbeard.types.succession import decode_successions, encode_successions
from dropbeard.types.votes import SignedVote
from dropbeard.verification.lineage import lineage_of
from tests.audit.recorded_ledgers import write_genesis, write_state
from tests.verification.epochs import CERTIFICATES, LINEAGE, SUCCESSIONS, WORLD

GENESIS = WORLD.keys.group
MEMBERS = [replica for replica in WORLD.honest if replica.turn.state.is_member]


def records_of(replica: SimulatedReplica) -> list[Record]:
    return [decode_record(data, GENESIS) for data in replica.stored()]


@pytest.mark.parametrize("replica", MEMBERS, ids=lambda replica: f"owner {replica.owner}")
def test_every_members_disk_holds_the_whole_ledger(replica: SimulatedReplica) -> None:
    audit = audit_ledger(GENESIS, records_of(replica))
    assert audit.start + len(audit.blocks) == replica.turn.state.chain.final.header.height
    assert audit.usage == {owner: used for owner, used in replica.turn.state.chain.base.usage.items() if used}
    assert {WORLD.oracle.groups[2].owners[-1].name, GENESIS.owners[0].name} <= set(audit.names.values())


def jumped() -> tuple[World, SimulatedReplica]:
    """A schedule in which a replica missed an epoch and took its successor's state as a snapshot."""
    for seed in (20, 40, 60, 80, 100, 120):
        world = World(replace(options_for(seed, 4, "none", 4), changes=2))
        world.run(is_settled)
        for replica in world.honest:
            if any(data[:1] == b"\x08" for data in replica.stored()) and replica.turn.state.may_speak:
                return world, replica
    pytest.fail("no schedule has a replica that missed an epoch")


def test_a_disk_that_missed_an_epoch_is_replayed_from_the_snapshot_it_took() -> None:
    world, replica = jumped()
    records = [decode_record(data, world.keys.group) for data in replica.stored()]
    audit = audit_ledger(world.keys.group, records)
    assert audit.start > 0
    assert audit.blocks[-1].height == replica.turn.state.chain.final.header.height
    forged = [
        SuccessionRecord(replace(r.succession, signatures=r.succession.signatures[1:]))
        if isinstance(r, SuccessionRecord)
        else r
        for r in records
    ]
    with pytest.raises(LedgerInvalid, match="what ended epoch"):
        audit_ledger(world.keys.group, forged)


def without_epoch_end(record: Record) -> bool:
    """Drop what made the last block of epoch 0 final."""
    if not isinstance(record, CertificateRecord) or not isinstance(record.certificate.vote, Finalize):
        return True
    top = MEMBERS[0].turn.state.successions[GENESIS.epoch].headers[0]
    return record.certificate.vote.header != top.digest


def test_an_epoch_whose_end_is_not_final_leads_nowhere() -> None:
    kept = [record for record in records_of(MEMBERS[0]) if without_epoch_end(record)]
    whole = audit_ledger(GENESIS, records_of(MEMBERS[0]))
    audit = audit_ledger(GENESIS, kept)
    assert len(audit.blocks) < len(whole.blocks)
    assert any(isinstance(record, BlockRecord) and record.proposal.header.epoch == 2 for record in kept)


@pytest.mark.parametrize("replica", MEMBERS, ids=lambda replica: f"owner {replica.owner}")
def test_what_ended_each_epoch_comes_out_of_the_replay_and_proves_the_next_one(replica: SimulatedReplica) -> None:
    audit = audit_ledger(GENESIS, records_of(replica))
    assert [given.epoch for given in audit.successions] == [0, 1]
    lineage = lineage_of(GENESIS, audit.successions)
    assert [group.id for group in lineage.groups] == [group.id for group in LINEAGE.groups]
    assert [group.owners for group in lineage.groups] == [group.owners for group in LINEAGE.groups]
    for certificate in CERTIFICATES:
        lineage.verify(certificate)


def test_the_commands_lead_an_auditor_from_the_genesis_to_a_later_epoch(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    genesis, state = write_genesis(WORLD, tmp_path), write_state(list(MEMBERS[0].stored()), tmp_path / "state")
    epochs, saved = tmp_path / "epochs", tmp_path / "a.dbcert"
    latest = max(CERTIFICATES, key=lambda certificate: certificate.epoch)
    saved.write_bytes(latest.encode())
    assert run(["ledger", "successions", str(state), "--group", str(genesis), "-o", str(epochs)]) == 0
    assert "what ended 2 epochs; the latest is 2" in capfd.readouterr().out
    ask = ["verify", str(saved), "--group", str(genesis)]
    assert run(ask) == 1
    assert "only epochs 0 to 0 are known here" in capfd.readouterr().err
    assert run([*ask, "--successions", str(epochs)]) == 0
    assert capfd.readouterr().out.startswith("VALID  group ")


@pytest.mark.parametrize(
    ("bend", "says"),
    [
        (lambda data: b"no file of ours", "it is no file of successions"),
        (lambda data: data[:8] + bytes(32) + data[40:], "it is of another group"),
        (lambda data: data[:-1], ""),
        (lambda data: data[:-1] + bytes([data[-1] ^ 1]), ""),
        (lambda data: data + b"\0", ""),
        (lambda data: data[:60] + bytes([data[60] ^ 1]) + data[61:], ""),
    ],
)
def test_a_bent_file_of_successions_is_unreadable(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], bend: Callable[[bytes], bytes], says: str
) -> None:
    genesis, epochs, saved = write_genesis(WORLD, tmp_path), tmp_path / "epochs", tmp_path / "a.dbcert"
    saved.write_bytes(CERTIFICATES[0].encode())
    epochs.write_bytes(bend(encode_successions(GENESIS.id, SUCCESSIONS)))
    assert run(["verify", str(saved), "--group", str(genesis), "--successions", str(epochs)]) == 2
    said = capfd.readouterr().err
    assert said.count("\n") == 1
    assert says in said
    assert str(epochs) in said


def test_a_file_of_successions_reads_back() -> None:
    assert decode_successions(encode_successions(GENESIS.id, SUCCESSIONS), GENESIS.id) == SUCCESSIONS


def test_evidence_of_a_later_epoch_convicts_by_the_keys_of_that_epoch(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    group = LINEAGE.groups[1]
    liar = group.owners[-1]
    votes = [Notarize(group.id, group.epoch, View(9), Digest(bytes([byte]) * 32)) for byte in (1, 2)]
    key = WORLD.keys.nodes[liar.node_key]
    first, second = (SignedVote(liar.id, vote, Signature(key.sign(vote.encode()))) for vote in votes)
    genesis, epochs, saved = write_genesis(WORLD, tmp_path), tmp_path / "epochs", tmp_path / "e.dbevid"
    saved.write_bytes(encode_evidence(group, VotePair(first, second)))
    epochs.write_bytes(encode_successions(GENESIS.id, SUCCESSIONS))
    ask = ["verify", str(saved), "--group", str(genesis)]
    assert run(ask) == 2
    assert "is of epoch 1, and only epochs 0 to 0 are known here (--successions)" in capfd.readouterr().err
    assert run([*ask, "--successions", str(epochs)]) == 0
    assert capfd.readouterr().out.startswith(f"CONVICTS  {liar.name} ")
    blame = ["blame", str(saved), "--group", str(genesis)]
    assert run(blame) == 2
    assert "(--successions)" in capfd.readouterr().err
    assert run([*blame, "--successions", str(epochs), "-o", str(tmp_path / "again")]) == 0
    assert f"convicted: {liar.name} of double notarize in epoch 1" in capfd.readouterr().out
    assert (tmp_path / "again").read_bytes() == saved.read_bytes()
    saved.write_bytes(saved.read_bytes()[:42])
    assert run([*ask, "--successions", str(epochs)]) == 2


def test_honest_ledgers_and_certificates_of_three_epochs_convict_nobody(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    genesis, epochs = write_genesis(WORLD, tmp_path), tmp_path / "epochs"
    epochs.write_bytes(encode_successions(GENESIS.id, SUCCESSIONS))
    states = [str(write_state(list(one.stored()), tmp_path / f"state{one.seat}")) for one in MEMBERS[:2]]
    shown = []
    for number, certificate in enumerate(CERTIFICATES[:6] + CERTIFICATES[-6:]):
        shown.append(tmp_path / f"{number}.dbcert")
        shown[-1].write_bytes(certificate.encode())
    assert {certificate.epoch for certificate in CERTIFICATES[:6] + CERTIFICATES[-6:]} >= {0, 2}
    ask = ["blame", *map(str, shown), *states, "--group", str(genesis), "--successions", str(epochs)]
    assert run(ask) == 1
    assert capfd.readouterr().out == "nobody is convicted by these\n"
