"""A month's usage is counted once and whole, by block time in UTC; what is not there to be counted is said."""

from __future__ import annotations

import datetime
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dropbeard.agreement.records import decode_record
from dropbeard.audit.ledger import audit_ledger
from dropbeard.audit.reading import read_ledger
from dropbeard.errors import ConfigInvalid
from dropbeard.marketplace.metering import Counts, Meter, Month, Usage, month_of
from dropbeard.simulator.replica import SimulatedReplica
from dropbeard.types.blocks import Header
from dropbeard.types.entries import Entry, EntryKind
from dropbeard.types.ids import Height, TimeUs
from dropbeard.types.parameters import SECOND
from tests.audit.recorded_ledgers import pruned_world, world, write_disk
from tests.marketplace.blocks import entry, header

NOVEMBER = month_of("2026-11")
WHOLE = Month("everything", TimeUs(0), TimeUs(1 << 62))
KINDS = (EntryKind.AGREED, EntryKind.EXPIRED, EntryKind.SUPPLEMENT)
Block = tuple[Header, tuple[Entry, ...] | None]


def metered(blocks: list[Block], month: Month = NOVEMBER, through: int | None = None) -> Usage:
    meter = Meter(month, None if through is None else Height(through))
    for block in blocks:
        meter.see(*block)
    return meter.usage()


@st.composite
def chains(draw: st.DrawFn) -> list[Block]:
    """Blocks around November whose times never go back, with entries as a ledger makes them: a request ends once, and
    an owner is in its entry or in one supplement."""
    time = NOVEMBER.start - draw(st.integers(0, 3)) * 86_400 * SECOND
    blocks: list[Block] = []
    agreed: list[tuple[Entry, list[int]]] = []
    for height in range(1, draw(st.integers(0, 12)) + 1):
        time += draw(st.sampled_from((0, 1, SECOND, 5 * 86_400 * SECOND)))
        made = []
        for place in range(draw(st.integers(0, 3))):
            kind = draw(st.sampled_from((EntryKind.AGREED, EntryKind.EXPIRED)))
            owners = sorted(draw(st.sets(st.integers(0, 3), min_size=2, max_size=4)))
            made.append(entry(kind, 100 * height + place, owners, draw(st.integers(0, 1)), draw(st.integers(1, 2))))
            if kind is EntryKind.AGREED and len(owners) < 4:
                agreed.append((made[-1], [owner for owner in range(4) if owner not in owners]))
        for _ in range(draw(st.integers(0, len(agreed)))):
            base, absent = agreed.pop()
            number = int.from_bytes(base.request, "big")
            made.append(entry(EntryKind.SUPPLEMENT, number, absent, base.client[0]))
        blocks.append((header(height, time), tuple(made)))
    return blocks


def promises(blocks: list[Block], month: Month, kind: EntryKind) -> int:
    inside = [entries or () for top, entries in blocks if month.start <= top.time < month.end]
    return sum(len(found.promises) for entries in inside for found in entries if found.kind is kind)


@given(chains())
def test_the_counts_add_up_to_what_the_blocks_of_the_month_hold(blocks: list[Block]) -> None:
    counts = metered(blocks).counts.values()
    sums = [sum(row.agreed for row in counts), sum(row.expired for row in counts), sum(row.late for row in counts)]
    assert sums == [promises(blocks, NOVEMBER, kind) for kind in KINDS]


@given(chains())
def test_each_answer_is_counted_in_exactly_one_month(blocks: list[Block]) -> None:
    months = [month_of(name) for name in ("2026-10", "2026-11", "2026-12", "2027-01")]
    total: Counter[object] = Counter()
    for month in months:
        for service, counts in metered(blocks, month).counts.items():
            total.update({(service, name): value for name, value in counts._asdict().items()})
    whole = {
        (service, name): value
        for service, counts in metered(blocks, WHOLE).counts.items()
        for name, value in counts._asdict().items()
    }
    assert +total == +Counter(whole)


@given(chains())
def test_a_request_is_counted_for_an_owner_once(blocks: list[Block]) -> None:
    numbers = {found.request for _, entries in blocks for found in entries or ()}
    by_owner: Counter[int] = Counter()
    for service, counts in metered(blocks, WHOLE).counts.items():
        by_owner[service.owner] += sum(counts)
    assert all(count <= len(numbers) for count in by_owner.values())


@given(chains(), st.integers(0, 12))
def test_blocks_above_a_height_are_as_if_they_were_not_there(blocks: list[Block], through: int) -> None:
    assert metered(blocks, through=through) == metered([row for row in blocks if row[0].height <= through])


@given(chains(), st.data())
def test_blocks_without_entries_are_named_and_never_silently_left_out(blocks: list[Block], data: st.DataObject) -> None:
    gone = {row[0].height for row in blocks if data.draw(st.booleans())}
    left: list[Block] = [(top, None if top.height in gone else entries) for top, entries in blocks]
    usage = metered(left)
    inside = {top.height for top, _ in blocks if NOVEMBER.start <= top.time < NOVEMBER.end}
    named = {height for first, last in usage.missing for height in range(first, last + 1)}
    assert named == gone & inside
    assert usage.is_complete == (not gone & inside)
    assert all(first <= last for first, last in usage.missing)


def test_a_month_begins_with_its_first_microsecond_and_ends_before_the_next() -> None:
    one = (entry(EntryKind.AGREED, 1, (0,)),)
    times = (NOVEMBER.start - 1, NOVEMBER.start, NOVEMBER.end - 1, NOVEMBER.end)
    blocks: list[Block] = [(header(height, time), one) for height, time in enumerate(times, start=1)]
    usage = metered(blocks)
    assert list(usage.counts.values()) == [Counts(agreed=2)]
    assert usage.first is not None
    assert usage.last is not None
    assert (usage.first.height, usage.last.height) == (2, 3)
    assert (usage.first.digest, usage.last.digest) == (blocks[1][0].digest, blocks[2][0].digest)


@pytest.mark.parametrize("name", ["1970-01", "2024-02", "2026-11", "2026-12", "9999-12"])
def test_a_month_is_the_calendars(name: str) -> None:
    start = datetime.datetime.strptime(name, "%Y-%m").replace(tzinfo=datetime.UTC)
    found = month_of(name)
    assert found.start == int(start.timestamp()) * SECOND
    last = datetime.datetime.fromtimestamp(found.end // SECOND - 1, datetime.UTC)
    assert last.strftime("%Y-%m") == name
    assert found.end // SECOND % 86_400 == 0


@pytest.mark.parametrize("name", ["", "2026", "2026-13", "2026-1", "1969-12", "2026-11-01", "٢٠٢٦-11"])
def test_what_is_no_month_is_refused(name: str) -> None:
    with pytest.raises(ConfigInvalid, match="is no month"):
        month_of(name)


def test_a_month_is_closed_by_a_block_at_its_end_and_by_nothing_else() -> None:
    inside, after = header(1, NOVEMBER.end - 1), header(2, NOVEMBER.end)
    assert not metered([(inside, ())]).closed
    assert metered([(inside, ()), (after, None)]).closed


@pytest.mark.parametrize(
    ("known", "missing"),
    [
        ([(10, NOVEMBER.start - 1), (11, NOVEMBER.start)], ()),
        ([(10, NOVEMBER.start), (11, NOVEMBER.start)], ((1, 9),)),
        ([(10, NOVEMBER.end), (11, NOVEMBER.end)], ((1, 9),)),
        ([(1, 5), (7, NOVEMBER.start - 1), (8, NOVEMBER.start), (10, NOVEMBER.end)], ((9, 9),)),
        ([(1, NOVEMBER.end), (7, NOVEMBER.end)], ()),
    ],
)
def test_heights_of_which_nothing_is_known_are_missing_if_they_may_be_of_the_month(
    known: list[tuple[int, int]], missing: tuple[tuple[int, int], ...]
) -> None:
    assert metered([(header(height, time), ()) for height, time in known]).missing == missing


def test_closing_blocks_are_no_blocks_of_the_ledger() -> None:
    closing = header(1, NOVEMBER.start + 1, closing=True)
    usage = metered([(header(1, NOVEMBER.start), ()), (closing, None), (header(2, NOVEMBER.start + 2, epoch=1), ())])
    assert (usage.missing, usage.epochs, usage.tip) == ((), (0, 1), 2)


def replayed(replica: SimulatedReplica, month: Month = WHOLE, through: int | None = None) -> Usage:
    group = world().keys.group
    meter = Meter(month, None if through is None else Height(through))
    audit_ledger(group, [decode_record(data, group) for data in replica.stored()], witness=meter.see)
    return meter.usage()


def test_a_real_ledger_gives_the_usage_that_its_own_state_counts() -> None:
    made = world()
    replica = made.replicas[0]
    by_owner: Counter[int] = Counter()
    for service, counts in replayed(replica).counts.items():
        by_owner[service.owner] += counts.agreed + counts.late
    assert by_owner == replica.turn.state.chain.base.usage
    assert len(by_owner) == 4
    versions = {service.version for service in replayed(replica).counts}
    assert len(versions) > 1


def test_two_nodes_count_the_same() -> None:
    made = world()
    common = min(replica.turn.state.chain.final.header.height for replica in made.replicas)
    first, *others = [replayed(replica, through=common) for replica in made.replicas]
    assert first.counts
    assert all(other == first for other in others)


def test_a_pruned_ledger_names_every_height_that_it_cannot_count(tmp_path_factory: pytest.TempPathFactory) -> None:
    made = pruned_world()
    group = made.keys.group
    for replica in made.replicas:
        held = read_ledger(write_disk(replica, tmp_path_factory.mktemp("node") / "state"), group)
        meter = Meter(WHOLE)
        audit = audit_ledger(group, held.records, held.checkpoint, meter.see)
        usage = meter.usage()
        assert usage.missing == ((1, audit.start),)
        assert any(row.agreed for row in usage.counts.values())


def test_a_ledger_of_several_epochs_is_counted_over_all_of_them() -> None:
    from tests.verification.epochs import WORLD

    group, counted = WORLD.keys.group, 0
    for replica in WORLD.honest:
        meter = Meter(WHOLE)
        audit = audit_ledger(group, [decode_record(data, group) for data in replica.stored()], witness=meter.see)
        usage = meter.usage()
        assert (usage.missing == ()) == (audit.start == 0 and audit.headers == 0)
        if audit.start == 0 and audit.blocks:
            by_owner: Counter[int] = Counter()
            for service, counts in usage.counts.items():
                by_owner[service.owner] += counts.agreed + counts.late
            assert by_owner == +Counter(audit.usage)
            assert len(usage.epochs) > 1
            counted += 1
    assert counted
