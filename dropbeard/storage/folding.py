"""Lane batches and entries in fewer bytes: what every lane repeats stands once (rules 2.7, 7.1).

Every lane attests the same requests, and each attestation repeats deadline, patience and body, 44 of its 78 bytes; a
block's entries repeat every commitment. What a batch held before is named by its place, counted since it last began
afresh: the 44 bytes where they were new, and each attestation's commitment after it. Folded rows:

- a batch: kind u8 (``FOLDED``, or ``AFRESH``: places are counted from here on), the bytes of its record behind the kind
  up to its clients and with them, attestations u16 and each (client index u16, place u16, the 44 bytes if that is
  ``NEW``, commitment 32), the rest;
- entries: kind u8 (``ENTRIES``), the bytes of their record behind the kind up to the first entry, then each entry's
  first 38 bytes and each promise (model's place u16, place u16, the commitment if that is ``NEW``).

Any other record stands as it is, behind kind ``PLAIN`` if its first byte is one of these.
"""

from __future__ import annotations

import struct
from typing import Final

BATCH: Final = 3
"""Kind of a batch record: kind u8, signature 64, and the batch (dropbeard/types/lanes.py)."""

PACKED: Final = 9
"""Kind of a record of entries: kind u8, header 32, and what dropbeard/agreement/shelving.py packs."""

FOLDED, AFRESH, PLAIN, ENTRIES = 0x83, 0x84, 0x85, 0x86
ITEMS_AT: Final = 1 + 64 + 32 + 4 + 2 + 4 + 8 + 32 + 8
"""Where a batch record's items begin."""

NEW: Final = 0xFFFF
PLACES_MAX: Final = 32_768
"""Places that can be named; before one more it begins afresh."""

_U16, _U32 = struct.Struct("<H"), struct.Struct("<I")
_ROW: Final = 78
_ASKED: Final = 44
_ENTRY: Final = 38
_PLACES: Final = tuple(_U16.pack(place) for place in range(PLACES_MAX))
_NEW = _U16.pack(NEW)
_MARKS: Final = (b"\x83", b"\x84", b"\x85", b"\x86")


class Folder:
    """Folds the records of a journal, in their order."""

    def __init__(self) -> None:
        self._places: dict[bytes, bytes] = {}
        self._count = 0
        self._afresh = True

    def afresh(self) -> None:
        """Reading may begin here: no record from now on names a place before."""
        self._places.clear()
        self._count, self._afresh = 0, True

    def fold(self, record: bytes) -> bytes:
        """The bytes that stand for the record."""
        kind = record[:1]
        if kind == b"\x03":
            found = _rows_of(record)
            return record if found is None else self._batch(record, *found)
        if kind == b"\x09" and not self._afresh:
            return self._entries(record)
        return b"\x85" + record if kind in _MARKS else record

    def _batch(self, record: bytes, start: int, end: int) -> bytes:
        if self._count + 2 * (end - start) // _ROW > PLACES_MAX:
            self.afresh()
        parts = [b"\x84" if self._afresh else b"\x83", record[1:start]]
        self._afresh = False
        known, count = self._places, self._count
        for at in range(start, end, _ROW):
            asked, commitment = record[at + 2 : at + 46], record[at + 46 : at + _ROW]
            place = known.get(asked)
            if place is None:
                known[asked] = _PLACES[count]
                count += 1
                parts += (record[at : at + 2], _NEW, asked, commitment)
            else:
                parts += (record[at : at + 2], place, commitment)
            known[commitment] = _PLACES[count]
            count += 1
        self._count = count
        parts.append(record[end:])
        return b"".join(parts)

    def _entries(self, record: bytes) -> bytes:
        start = _entries_at(record)
        at, known = start, self._places
        parts = [b"\x86", record[1:start]]
        while at + _ENTRY <= len(record):
            promises, end = at + _ENTRY, at + _ENTRY + 34 * record[at + _ENTRY - 1]
            parts.append(record[at:promises])
            for row in range(promises, end, 34):
                commitment = record[row + 2 : row + 34]
                parts += (record[row : row + 2], known.get(commitment) or _NEW + commitment)
            at = end
        return b"".join(parts) if at == len(record) else record


class Unfolder:
    """The records back, in their order, from the beginning or from where it began afresh."""

    def __init__(self) -> None:
        self._held: list[bytes] | None = None
        """What has a place; None: what came before was not read."""
        self.skipped = False
        """Was anything passed over?"""

    def unfold(self, stored: bytes) -> bytes | None:
        """The record; None when it names a place that was not read, or none."""
        kind = stored[0] if stored else 0
        if kind == PLAIN:
            return stored[1:]
        if kind not in (FOLDED, AFRESH, ENTRIES):
            return stored
        if kind == AFRESH:
            self._held = []
        if self._held is None:
            return None
        try:
            return _entries(stored, self._held) if kind == ENTRIES else _batch(stored, self._held)
        except (struct.error, IndexError):
            return None

    def skip(self) -> None:
        """Here stood what was pruned: no place before it is known."""
        self._held, self.skipped = None, True


def _rows_of(record: bytes) -> tuple[int, int] | None:
    """Where the attestations of a batch record begin and end; None when there are none, or it is no batch."""
    if len(record) < ITEMS_AT + 2:
        return None
    start = ITEMS_AT + 2 + 32 * _U16.unpack_from(record, ITEMS_AT)[0] + 2
    if len(record) < start:
        return None
    end = start + _ROW * _U16.unpack_from(record, start - 2)[0]
    return (start, end) if start < end <= len(record) and 2 * (end - start) // _ROW <= PLACES_MAX else None


def _entries_at(record: bytes) -> int:
    """Where the first entry of a record of entries begins: behind its header, models and clients."""
    clients: int = 33 + 2 + 38 * _U16.unpack_from(record.ljust(35, b"\0"), 33)[0]
    known: int = _U32.unpack_from(record.ljust(clients + 4, b"\0"), clients)[0]
    return clients + 4 + 32 * known


def _batch(stored: bytes, held: list[bytes]) -> bytes | None:
    start = ITEMS_AT + 2 + 32 * _U16.unpack_from(stored, ITEMS_AT)[0] + 2
    parts, at = [bytes((BATCH,)), stored[1:start]], start
    for _ in range(_U16.unpack_from(stored, start - 2)[0]):
        client, (place,) = stored[at : at + 2], _U16.unpack_from(stored, at + 2)
        at += 4
        if place == NEW:
            held.append(stored[at : at + _ASKED])
            place, at = len(held) - 1, at + _ASKED
        commitment = stored[at : at + 32]
        parts += (client, held[place], commitment)
        held.append(commitment)
        at += 32
    parts.append(stored[at:])
    return b"".join(parts) if at <= len(stored) else None


def _entries(stored: bytes, held: list[bytes]) -> bytes | None:
    at = _entries_at(stored)
    parts = [bytes((PACKED,)), stored[1:at]]
    while at < len(stored):
        promises = stored[at + _ENTRY - 1]
        parts.append(stored[at : at + _ENTRY])
        at += _ENTRY
        for _ in range(promises):
            model, (place,) = stored[at : at + 2], _U16.unpack_from(stored, at + 2)
            at += 4
            parts += (model, stored[at : at + 32] if place == NEW else held[place])
            at += 32 if place == NEW else 0
    return b"".join(parts) if at == len(stored) else None
