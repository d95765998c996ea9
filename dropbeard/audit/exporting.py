"""A node's ledger as one file for auditors: everything that ``dropbeard ledger verify`` replays, and nothing else.

It holds the genesis, headers with justifications, finalizations, lane batches, what ended epochs, evidence, and of a
pruned ledger the oldest snapshot. It leaves out keys, inputs, openings (the answers and salts that only clients get),
own votes and open requests. Clients stand in it as they do in every node's ledger: by public key, with ids and digests
of their requests, without which no root could be computed again.

Layout: magic, then one zlib stream of: genesis as TOML (u32 length and bytes), rows (u8 section, u32 length, record; 1:
of the snapshot, 2: of the journal), u8 0, and BLAKE3 of all that is before it.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

from blake3 import blake3

from dropbeard.agreement.records import (
    BatchRecord,
    BlockRecord,
    CertificateRecord,
    EvidenceRecord,
    Record,
    SnapshotRecord,
    SuccessionRecord,
    decode_record,
    encode_record,
)
from dropbeard.agreement.standing import BucketRecord, HeldSnapshotRecord, StandingRecord
from dropbeard.audit.reading import UNREADABLE, LedgerRecords
from dropbeard.errors import ConfigInvalid, MessageInvalid, StorageFailed
from dropbeard.storage.rows import RECORD_BYTES_MAX
from dropbeard.types import wire
from dropbeard.types.genesis_file import genesis_from_toml, genesis_to_toml
from dropbeard.types.group import Group
from dropbeard.types.ids import TimeUs
from dropbeard.types.limits import GENESIS_BYTES_MAX
from dropbeard.types.statements import Finalize

MAGIC: Final = b"dropbeard ledger 1\n"
CHUNK_BYTES: Final = 1 << 20
DIGEST_BYTES: Final = 32
END, SNAPSHOT, JOURNAL = 0, 1, 2


def public_part(record: Record) -> Record | None:
    """What auditors get of a record; None when they get nothing of it."""
    match record:
        case CertificateRecord(certificate):
            return record if isinstance(certificate.vote, Finalize) else None
        case StandingRecord():
            return replace(record, latest_deadline=TimeUs(0), milestones=(), votes=(), promises=())
        case BlockRecord() | BatchRecord() | EvidenceRecord() | SnapshotRecord() | SuccessionRecord():
            return record
        case HeldSnapshotRecord() | BucketRecord():
            return record
        case _:
            return None


def write_export(path: Path, group: Group, held: LedgerRecords) -> int:
    """Write a new file; how many records are in it. StorageFailed when it cannot be written or is there already."""
    try:
        with path.open("xb") as file:
            file.write(MAGIC)
            packer, whole = zlib.compressobj(6), blake3()
            count = 0
            for row in _rows(group, held):
                whole.update(row)
                file.write(packer.compress(row))
                count += 1
            file.write(packer.compress(whole.digest()) + packer.flush())
            file.flush()
            os.fsync(file.fileno())
    except OSError as wrong:
        raise StorageFailed(f"cannot write {path}: {wrong.strerror}") from wrong
    return count - 2


def _rows(group: Group, held: LedgerRecords) -> Iterator[bytes]:
    yield wire.long_bytes(genesis_to_toml(group).encode())
    for section, records in ((SNAPSHOT, held.checkpoint), (JOURNAL, held.records)):
        for record in records:
            public = public_part(record)
            if public is not None:
                yield wire.u8(section) + wire.long_bytes(encode_record(public))
    yield wire.u8(END)


def read_export(path: Path, group: Group | None = None) -> tuple[Group, LedgerRecords]:
    """The genesis and the records of an export; StorageFailed, with exit code 2, when it is none or was changed.

    ``group``: the auditor's own genesis, which must be the file's.
    """
    try:
        with path.open("rb") as file:
            if file.read(len(MAGIC)) != MAGIC:
                raise MessageInvalid("it is no exported ledger")
            stream = _Stream(_unpacked(iter(lambda: file.read(CHUNK_BYTES), b"")))
            return _read(stream, path, group)
    except (OSError, zlib.error, MessageInvalid, ConfigInvalid) as wrong:
        unreadable = StorageFailed(f"cannot read {path}: {wrong}")
        unreadable.exit_code = UNREADABLE
        raise unreadable from wrong


def _read(stream: _Stream, path: Path, own: Group | None) -> tuple[Group, LedgerRecords]:
    text = stream.long_bytes(GENESIS_BYTES_MAX).decode(errors="replace")
    group = genesis_from_toml(text, f"the genesis in {path}")
    if own is not None and own.id != group.id:
        raise MessageInvalid(f"it is of group {group.id.hex()[:12]}, your genesis is of {own.id.hex()[:12]}")
    held = LedgerRecords([])
    sections = {SNAPSHOT: held.checkpoint, JOURNAL: held.records}
    while (section := stream.take(1)[0]) != END:
        if section not in sections:
            raise MessageInvalid(f"section {section} is unknown")
        sections[section].append(decode_record(stream.long_bytes(RECORD_BYTES_MAX), group))
    whole = stream.digest()
    if stream.take(DIGEST_BYTES) != whole or not stream.at_end():
        raise MessageInvalid("it was changed or cut")
    return group, held


class _Stream:
    """Bytes as they are unpacked; never more of them in hand than one record and one chunk."""

    def __init__(self, parts: Iterator[bytes]) -> None:
        self._parts = parts
        self._held = b""
        self._whole = blake3()

    def take(self, count: int) -> bytes:
        """The next bytes; MessageInvalid at the end."""
        pieces, size = [self._held], len(self._held)
        while size < count:
            more = next(self._parts, None)
            if more is None:
                raise MessageInvalid("it was cut")
            pieces.append(more)
            size += len(more)
        held = b"".join(pieces)
        self._held = held[count:]
        self._whole.update(held[:count])
        return held[:count]

    def long_bytes(self, most: int) -> bytes:
        """As wire.long_bytes wrote them."""
        count = int.from_bytes(self.take(4), "little")
        if count > most:
            raise MessageInvalid(f"a record of {count} bytes, at most {most} are possible")
        return self.take(count)

    def digest(self) -> bytes:
        """Of everything taken so far."""
        return self._whole.digest()

    def at_end(self) -> bool:
        """Is nothing left?"""
        return not self._held and next(self._parts, None) is None


def _unpacked(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Bounded pieces, however well the file is packed."""
    unpacker = zlib.decompressobj()
    for chunk in chunks:
        while chunk and not unpacker.eof:
            found = unpacker.decompress(chunk, CHUNK_BYTES)
            chunk = unpacker.unconsumed_tail
            if found:
                yield found
        if unpacker.eof and unpacker.unused_data:
            raise MessageInvalid("something follows its end")
