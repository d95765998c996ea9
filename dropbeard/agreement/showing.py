"""A journal's statements, shown to who looks for culprits (rules 6.2, 8.1)."""

from __future__ import annotations

from typing import assert_never

from dropbeard.agreement.records import (
    BatchRecord,
    BlockRecord,
    CertificateRecord,
    EntriesRecord,
    EvidenceRecord,
    OpeningsRecord,
    Record,
    SnapshotRecord,
    SuccessionRecord,
    VoteRecord,
)
from dropbeard.agreement.standing import BucketRecord, GuardRecord, HeldSnapshotRecord, OwnRecord, StandingRecord
from dropbeard.evidence.pairs import Pool


def show(pool: Pool, record: Record) -> None:
    """Everything signed in one record; evidence files are the caller's to judge."""
    match record:
        case VoteRecord(signed):
            pool.add_vote(signed)
        case BlockRecord(proposal):
            pool.add_proposal(proposal)
        case BatchRecord(batch):
            pool.add_batch(batch)
        case CertificateRecord(certificate):
            pool.add_certificate(certificate)
        case OpeningsRecord() | EvidenceRecord() | SnapshotRecord() | SuccessionRecord() | EntriesRecord():
            pass
        case StandingRecord() | HeldSnapshotRecord() | BucketRecord() | OwnRecord() | GuardRecord():
            pass
        case _:
            assert_never(record)
