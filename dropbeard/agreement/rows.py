"""Rows of a snapshot back into tables (rule 7.2). Their digest was proved before, so a misfit is no peer's fault."""

from __future__ import annotations

import heapq

from dropbeard.agreement.ledger_state import Base
from dropbeard.agreement.tables import Counted, ModelInForce, Outcome, Record, Succeeding, Table
from dropbeard.agreement.whole_state import WholeState
from dropbeard.errors import MessageInvalid
from dropbeard.evidence.kinds import Offence
from dropbeard.types import limits, wire
from dropbeard.types.blocks import Header
from dropbeard.types.group import Group
from dropbeard.types.ids import ClientKey, Digest, Epoch, Height, LaneHeight, OwnerId, RequestId, TimeUs, Version


def base_from_rows(group: Group, header: Header, small: bytes, rows: bytes) -> Base:
    """The final state at ``header``, from the rows of its snapshot; MessageInvalid when they are none."""
    base = Base({}, WholeState(group.parameters.snapshot_interval), header.height)
    for data in (small, rows):
        reader = wire.Reader(data)
        while reader.remaining:
            _take_row(reader, base)
    for table, found in ((Table.OPEN, base.open), (Table.OUTCOMES, base.outcomes)):
        for request, row in found.items():
            base.whole.note(table, request, None, row)
            heapq.heappush(base.dues, (row.due, request))
    base.take_snapshot()
    return base


def _take_row(reader: wire.Reader, base: Base) -> None:
    table = reader.u8()
    key = _take_key(reader, table)
    if reader.u8() != 1:
        raise MessageInvalid("a snapshot holds a removed row")
    row = wire.Reader(reader.take(reader.u32()))
    _keep(base, table, key, row)
    row.end()


def _take_key(reader: wire.Reader, table: int) -> wire.Reader:
    if table in (Table.OPEN, Table.OUTCOMES):
        return wire.Reader(reader.take(32))
    if table == Table.SUCCESSION:
        return wire.Reader(b"")
    return wire.Reader(reader.take(3 if table == Table.MARKS else 2))


def _keep(base: Base, table: int, key: wire.Reader, row: wire.Reader) -> None:
    if table == Table.MODELS:
        force = ModelInForce(Version(row.u32()), Digest(row.take(32)), Height(row.u64()), LaneHeight(row.u64()))
        base.models[OwnerId(key.u16())] = force
    elif table == Table.LANE_TIMES:
        base.lane_times[OwnerId(key.u16())] = TimeUs(row.u64())
    elif table == Table.OPEN:
        base.open[RequestId(key.take(32))] = _record(row)
    elif table == Table.OUTCOMES:
        base.outcomes[RequestId(key.take(32))] = _outcome(row)
    elif table == Table.CHARGES:
        base.charges[OwnerId(key.u16())] = row.u64()
    elif table == Table.USAGE:
        base.usage[OwnerId(key.u16())] = row.u64()
    elif table == Table.MARKS:
        base.marks[OwnerId(key.u16()), Offence(key.u8())] = Height(row.u64())
    elif table == Table.SUCCESSION:
        base.succeeding = Succeeding(Epoch(row.u32()), Height(row.u64()), Height(row.u64()), row.take(row.remaining))
    else:
        raise MessageInvalid(f"a snapshot holds a row of unknown table {table}")


def _record(row: wire.Reader) -> Record:
    client, deadline, patience_us = ClientKey(row.take(32)), TimeUs(row.u64()), row.u32()
    charged, reached, due = row.i64(), row.i64(), TimeUs(row.u64())
    answers = tuple(
        Counted(OwnerId(row.u16()), Version(row.u32()), Digest(row.take(32)))
        for _ in range(row.count(limits.REPLICAS_MAX, "answers"))
    )
    return Record(
        client,
        deadline,
        patience_us,
        answers,
        None if charged < 0 else OwnerId(charged),
        None if reached < 0 else TimeUs(reached),
        due,
    )


def _outcome(row: wire.Reader) -> Outcome:
    client, deadline, due = ClientKey(row.take(32)), TimeUs(row.u64()), TimeUs(row.u64())
    owners = tuple(OwnerId(row.u16()) for _ in range(row.count(limits.REPLICAS_MAX, "owners")))
    return Outcome(client, deadline, owners, due)
