"""The inference certificate file, byte by byte (rule 5.1). docs/certificate-format.md says it for strangers.

Layout, little-endian, no padding, nothing after the end:
magic ``DBCERT\\0\\1`` 8, group 32, epoch u32,
headers u16 (1..) and each a header body (blocks.Header) - the first is the finalized one, each next is the parent
of the one before, the last is the block of the base entry,
finalize signatures (u16 count, each owner u16 and signature 64, owners ascending) over the first header,
request: deadline u64, patience u32, nonce u64, options (u16 length and bytes), input digest 32,
base entry (entries.Entry) and its path (index u32, count u32, u8 siblings, each 32),
supplements u16 and each (header position u16, entry, path),
openings u16 and each (owner u16, salt 32, output u16 length and bytes), owners ascending.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from dropbeard.errors import CertificateUnreadable, MessageInvalid
from dropbeard.types import limits, wire
from dropbeard.types.blocks import Header, Signatures, encode_signatures, read_header, read_signatures
from dropbeard.types.entries import Entry, EntryKind, Promise, first_promises, read_entry
from dropbeard.types.ids import ClientKey, Digest, Epoch, GroupId, Nonce, OwnerId, TimeUs
from dropbeard.types.merkle import Path
from dropbeard.types.requests import Opening, Request

MAGIC = b"DBCERT\0\x01"
"""The last byte is the version of the format."""

PATH_SIBLINGS_MAX = 20


@dataclass(frozen=True, slots=True)
class ProvedEntry:
    """An entry with its path in the entries tree of header number ``position`` of the certificate."""

    position: int
    entry: Entry
    path: Path


@dataclass(frozen=True, slots=True)
class Answer:
    """An opening as a certificate holds it: version and model come from the entry. ``salt`` has 32 bytes."""

    owner: OwnerId
    salt: bytes
    output: bytes


@dataclass(frozen=True, slots=True)
class Certificate:
    """All that is needed, with the genesis, to check offline what was agreed for one request."""

    group: GroupId
    epoch: Epoch
    headers: tuple[Header, ...]
    signatures: Signatures
    deadline: TimeUs
    patience_us: int
    nonce: Nonce
    options: bytes
    input_digest: Digest
    base: ProvedEntry
    supplements: tuple[ProvedEntry, ...]
    answers: tuple[Answer, ...]

    @property
    def kind(self) -> EntryKind:
        """AGREED or EXPIRED."""
        return self.base.entry.kind

    @property
    def client(self) -> ClientKey:
        """Whose request it was."""
        return self.base.entry.client

    def request(self) -> Request:
        """The request as the certificate's fields state it."""
        return Request(
            self.client,
            self.group,
            self.nonce,
            self.deadline,
            self.patience_us,
            self.options,
            self.input_digest,
        )

    def promises(self) -> dict[OwnerId, Promise]:
        """Promise of each owner over the base entry and the supplements; the first one counts."""
        return first_promises(proved.entry for proved in (self.base, *self.supplements))

    def opening(self, answer: Answer, promises: Mapping[OwnerId, Promise] | None = None) -> Opening | None:
        """The full opening of an answer, or None when no promise of its owner is here; ``promises`` if at hand."""
        promise = (self.promises() if promises is None else promises).get(answer.owner)
        if promise is None:
            return None
        return Opening(
            self.base.entry.request, answer.owner, promise.version, promise.model, answer.output, answer.salt
        )

    def encode(self) -> bytes:
        """The file's bytes."""
        headers = wire.u16(len(self.headers)) + b"".join(header.body for header in self.headers)
        times = wire.u64(self.deadline) + wire.u32(self.patience_us) + wire.u64(self.nonce)
        request = times + wire.short_bytes(self.options) + self.input_digest
        base = self.base.entry.encoded + _encode_path(self.base.path)
        return b"".join(
            (
                MAGIC + self.group + wire.u32(self.epoch),
                headers + encode_signatures(self.signatures),
                request + base,
                wire.u16(len(self.supplements)),
                *(wire.u16(s.position) + s.entry.encoded + _encode_path(s.path) for s in self.supplements),
                wire.u16(len(self.answers)),
                *(wire.u16(a.owner) + a.salt + wire.short_bytes(a.output) for a in self.answers),
            )
        )


def _encode_path(path: Path) -> bytes:
    shape = wire.u32(path.index) + wire.u32(path.count) + wire.u8(len(path.siblings))
    return shape + b"".join(path.siblings)


def decode_certificate(data: bytes) -> Certificate:
    """Read a certificate file; CertificateUnreadable on anything that is not exactly one."""
    if len(data) > limits.CERTIFICATE_BYTES_MAX:
        raise CertificateUnreadable(f"{len(data)} bytes are more than a certificate may have")
    if data[: len(MAGIC)] != MAGIC:
        raise CertificateUnreadable("not an inference certificate of version 1: the first 8 bytes differ")
    try:
        return _read_certificate(wire.Reader(data[len(MAGIC) :]))
    except MessageInvalid as wrong:
        raise CertificateUnreadable(f"truncated or malformed certificate: {wrong}") from wrong


def _read_certificate(reader: wire.Reader) -> Certificate:
    group, epoch = GroupId(reader.take(32)), Epoch(reader.u32())
    number = reader.count(limits.LINKS_MAX + 1, "headers")
    if number == 0:
        raise MessageInvalid("there is no header")
    headers = tuple(read_header(reader, group) for _ in range(number))
    signatures = read_signatures(reader)
    deadline, patience_us, nonce = TimeUs(reader.u64()), reader.u32(), Nonce(reader.u64())
    options, input_digest = reader.short_bytes(), Digest(reader.take(32))
    base = ProvedEntry(number - 1, read_entry(reader), _read_path(reader))
    supplements = tuple(
        ProvedEntry(reader.u16(), read_entry(reader), _read_path(reader))
        for _ in range(reader.count(limits.SUPPLEMENTS_MAX, "supplements"))
    )
    answers = tuple(
        Answer(OwnerId(reader.u16()), reader.take(32), reader.short_bytes())
        for _ in range(reader.count(limits.REPLICAS_MAX, "openings"))
    )
    reader.end()
    return Certificate(
        group,
        epoch,
        headers,
        signatures,
        deadline,
        patience_us,
        nonce,
        options,
        input_digest,
        base,
        supplements,
        answers,
    )


def _read_path(reader: wire.Reader) -> Path:
    index, count, number = reader.u32(), reader.u32(), reader.u8()
    if number > PATH_SIBLINGS_MAX:
        raise MessageInvalid(f"a path has {number} siblings, at most {PATH_SIBLINGS_MAX} are possible")
    return Path(index, count, tuple(Digest(reader.take(32)) for _ in range(number)))
