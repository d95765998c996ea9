"""Whom do certificates, evidence files and ledgers convict together? (rules 6.2, 8.1)"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dropbeard.agreement.chain import genesis_header
from dropbeard.agreement.records import EvidenceRecord
from dropbeard.agreement.showing import show
from dropbeard.audit.reading import read_records
from dropbeard.errors import CertificateUnreadable, EvidenceUnreadable, MessageInvalid
from dropbeard.evidence.judge import Judge, Verdict
from dropbeard.evidence.kinds import MAGIC, Evidence, VotePair, decode_evidence, epoch_in
from dropbeard.evidence.pairs import Pool
from dropbeard.signing.signer import NodeKeyChecker
from dropbeard.types.blocks import Header, QuorumCertificate
from dropbeard.types.certificates import Certificate, decode_certificate
from dropbeard.types.group import Group
from dropbeard.types.ids import OwnerId
from dropbeard.types.limits import EVIDENCE_FILE_BYTES_MAX
from dropbeard.types.statements import Finalize
from dropbeard.verification.lineage import Lineage


@dataclass(slots=True)
class Blame:
    """``convicted`` by evidence; ``unaccounted``: signers of two conflicting finalizations whom nothing here convicts
    and nothing clears, which is no conviction.
    """

    convicted: dict[Verdict, Evidence] = field(default_factory=dict)
    unaccounted: tuple[OwnerId, ...] = ()
    conflict: str | None = None


def judge_of(group: Group, root: Header | None = None) -> Judge:
    """A judge with real keys; ``root`` is the header that a later epoch starts from."""
    return Judge(group, root or genesis_header(group), NodeKeyChecker(group))


def blame_over(lineage: Lineage, sources: Sequence[Path]) -> list[tuple[Group, Blame]]:
    """Judge the sources in each epoch by its own keys: statements of two epochs never contradict each other (8.4).

    Raises EvidenceUnreadable for a source that cannot be read or is of an epoch that the lineage does not know.
    """
    epochs = [(path, _epoch_of(path)) for path in sources]
    for path, epoch in epochs:
        if epoch is not None and lineage.group(epoch) is None:
            raise EvidenceUnreadable(f"{path} {lineage.unknown(epoch)}")
    return [
        (group, blame(group, [path for path, of in epochs if of in (None, group.epoch)], lineage.root(group.epoch)))
        for group in lineage.groups
    ]


def _epoch_of(path: Path) -> int | None:
    """Of a certificate or of evidence; a directory has every epoch, and what is neither is refused later."""
    if path.is_dir():
        return None
    data = _read(path)
    try:
        return epoch_in(data) if data[: len(MAGIC)] == MAGIC else decode_certificate(data).epoch
    except (MessageInvalid, CertificateUnreadable):
        return None


def blame(group: Group, sources: Sequence[Path], root: Header | None = None) -> Blame:
    """Read each source, a certificate or evidence file or a node's state directory, and judge all of it together.

    All of it is of the group's epoch, which starts from ``root`` (the genesis' header if not given).
    """
    judge = judge_of(group, root)
    pool, given, certificates = Pool(judge), [], []
    for path in sources:
        if path.is_dir():
            given += _take_directory(pool, path, group)
            continue
        data = _read(path)
        if data[: len(MAGIC)] == MAGIC:
            given.append(_evidence(data, path, group))
        else:
            certificates.append(_certificate(data, path, group))
    for evidence in given:
        if isinstance(evidence, VotePair):
            pool.add_vote(evidence.first)
            pool.add_vote(evidence.second)
    for certificate in certificates:
        _take_certificate(pool, certificate)
    found = {(e.accused, e.offence): e for e in given if judge.fault(e) is None}
    convicted = {**found, **pool.convictions()}
    return Blame(convicted, *_conflict(group, certificates, convicted))


def _take_directory(pool: Pool, directory: Path, group: Group) -> list[Evidence]:
    given: list[Evidence] = []
    for record in read_records(directory, group):
        show(pool, record)
        if isinstance(record, EvidenceRecord) and epoch_in(record.data) == group.epoch:
            given.append(_evidence(record.data, directory, group))
    return given


def _take_certificate(pool: Pool, certificate: Certificate) -> None:
    for header in certificate.headers:
        pool.add_header(header)
    pool.add_certificate(_finalization(certificate))


def _finalization(certificate: Certificate) -> QuorumCertificate[Finalize]:
    top = certificate.headers[0]
    return QuorumCertificate(Finalize(top.group, top.epoch, top.view, top.digest), certificate.signatures)


def _conflict(
    group: Group, certificates: Sequence[Certificate], convicted: dict[Verdict, Evidence]
) -> tuple[tuple[OwnerId, ...], str | None]:
    """Two certificates whose headers differ at one height, and who of their signers is not convicted."""
    first: dict[int, tuple[Header, Certificate]] = {}
    for certificate in certificates:
        for header in certificate.headers:
            known, other = first.setdefault(header.height, (header, certificate))
            if known.digest != header.digest:
                names = {owner for owner, _ in convicted}
                signers = {signer for signer, _ in (*certificate.signatures, *other.signatures)}
                left = tuple(sorted(signer for signer in signers if signer not in names and group.owner(signer)))
                return left, f"two final blocks at height {header.height}"
    return (), None


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(EVIDENCE_FILE_BYTES_MAX + 1)
    except OSError as wrong:
        raise EvidenceUnreadable(f"cannot read {path}: {wrong.strerror}") from wrong


def _evidence(data: bytes, path: Path, group: Group) -> Evidence:
    try:
        return decode_evidence(data, group)
    except MessageInvalid as wrong:
        raise EvidenceUnreadable(f"{path}: {wrong}") from wrong


def _certificate(data: bytes, path: Path, group: Group) -> Certificate:
    try:
        certificate = decode_certificate(data)
    except CertificateUnreadable as wrong:
        raise EvidenceUnreadable(f"{path} is neither a certificate, nor evidence, nor a directory: {wrong}") from wrong
    if certificate.group != group.id:
        raise EvidenceUnreadable(f"{path} is a certificate of another group")
    return certificate
