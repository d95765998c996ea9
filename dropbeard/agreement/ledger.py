"""Apply one block: the deterministic state machine over ordered lanes (rules 4.2, 4.4, 4.5, 4.6)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from dropbeard.agreement.ledger_state import StateView
from dropbeard.agreement.tables import Counted, Delta, ModelInForce, Outcome, Record, Succeeding
from dropbeard.evidence.judge import Verdict, VerdictOf
from dropbeard.evidence.kinds import Offence
from dropbeard.types.blocks import Header
from dropbeard.types.entries import Entry, EntryKind, Promise, entries_tree
from dropbeard.types.group import FIRST_VERSION, Group
from dropbeard.types.ids import Digest, Height, LaneHeight, OwnerId, RequestId, TimeUs
from dropbeard.types.lanes import Attestation, LaneBatch
from dropbeard.types.membership import following_group
from dropbeard.types.merkle import Tree
from dropbeard.types.succession import last_state_root


@dataclass(frozen=True, slots=True)
class Applied:
    """What a block does: its time, changes, entries in their order, their tree, and the state root after it.

    ``unsealed``: that root before a digest of the whole state is mixed in; ``whole``: that digest in the last block of
    an epoch, whose root covers it (rule 8.4).
    """

    time: TimeUs
    delta: Delta
    entries: tuple[Entry, ...]
    tree: Tree
    state_root: Digest
    unsealed: Digest
    whole: Digest | None = None


def apply_block(
    group: Group,
    before: StateView,
    parent: Header,
    ordered: Mapping[OwnerId, Sequence[LaneBatch]],
    verdict: VerdictOf,
) -> Applied:
    """Apply the batches that a block orders, each lane's in ascending order, on top of ``parent``."""
    height = Height(parent.height + 1)
    work = _Application(group, before, parent, ordered, verdict)
    for owner in rotated(group, height):
        for batch in ordered.get(owner, ()):
            work.take_batch(batch)
    entries = work.close()
    tree = entries_tree(entries)
    ending = work.view.ending_at(group.epoch, height)
    if ending is None:
        unsealed = work.delta.root(parent.state_root)
        return Applied(work.time, work.delta, entries, tree, before.seal(height, unsealed), unsealed)
    work.hand_over(following_group(group, ending.configuration))
    unsealed, whole = work.delta.root(parent.state_root), work.view.whole_at(height)
    root = last_state_root(unsealed, whole, ending.configuration)
    return Applied(work.time, work.delta, entries, tree, root, unsealed, whole)


def nothing_applied(header: Header) -> Applied:
    """Stands for a block whose effects came as a snapshot."""
    return Applied(header.time, Delta(), (), entries_tree(()), header.state_root, header.state_root)


def rotated(group: Group, height: Height) -> tuple[OwnerId, ...]:
    """Lanes in an order rotated by height, so that no owner is always first (rule 4.2)."""
    first = height % group.n
    return group.members[first:] + group.members[:first]


class _Application:
    """One block under way: the view through its own unfinished changes."""

    def __init__(
        self,
        group: Group,
        before: StateView,
        parent: Header,
        ordered: Mapping[OwnerId, Sequence[LaneBatch]],
        verdict: VerdictOf,
    ) -> None:
        self.group = group
        self.height = Height(parent.height + 1)
        self.verdict = verdict
        self.rules = group.parameters
        self.delta = Delta()
        self.view = StateView(before.base, (*before.deltas, self.delta))
        self.touched: dict[RequestId, None] = {}
        self.late: dict[RequestId, list[Counted]] = {}
        self.entries: list[Entry] = []
        self.time = self._block_time(parent, ordered)

    def _block_time(self, parent: Header, ordered: Mapping[OwnerId, Sequence[LaneBatch]]) -> TimeUs:
        """The (f+1)-th largest lane time at the cut, or the parent's time if later (rule 3.1)."""
        for owner, batches in ordered.items():
            if batches:
                latest = max(batch.time for batch in batches)
                self.delta.lane_times[owner] = max(self.view.lane_time(owner), latest)
        times = sorted((self.view.lane_time(owner) for owner in self.group.members), reverse=True)
        return max(parent.time, times[self.group.f])

    def take_batch(self, batch: LaneBatch) -> None:
        force = self.view.model(batch.owner)
        if batch.version == force.version:  # rule 2.8
            for request, item in zip(batch.request_ids, batch.attestations, strict=True):
                self._take(request, item, batch)
        for shown in batch.evidence:
            self._mark(self.verdict(shown) or (batch.owner, Offence.ROTTEN_EVIDENCE))
        if batch.change is not None and self.view.succeeding(self.group.epoch) is None:  # rule 8.4
            last = Height(self.height + self.rules.epoch_delay)
            root = self.view.epoch_root(self.height)
            self.delta.succeeding = Succeeding(self.group.epoch, root, last, batch.change.configuration)
        updated = force.after(batch, self.rules.update_gap, self.height)
        if updated is not None:
            self.delta.models[batch.owner] = updated

    def _mark(self, verdict: Verdict) -> None:
        """The first valid piece for each accused and kind counts (rule 8.1)."""
        if not self.view.is_marked(verdict):
            self.delta.marks[verdict] = self.height

    def _take(self, request: RequestId, item: Attestation, batch: LaneBatch) -> None:
        counted = Counted(batch.owner, batch.version, item.commitment)
        outcome = self.view.outcome(request)
        if outcome is not None:
            if batch.owner not in outcome.owners and self.time < outcome.due:  # rule 4.5
                self.late.setdefault(request, []).append(counted)
            return
        if item.deadline <= self.time or item.deadline > batch.time + self.rules.horizon_us:  # rule 4.2
            return
        record = self.view.record(request)
        if record is None:
            self._open(request, item, counted)
        else:
            self._add(request, record, counted)

    def _open(self, request: RequestId, item: Attestation, counted: Counted) -> None:
        charges = self.view.charge(counted.owner)
        if charges >= self.rules.open_max:
            return
        self.delta.charges[counted.owner] = charges + 1
        self._write(
            request,
            Record(item.client, item.deadline, item.patience_us, (counted,), counted.owner, None, item.deadline),
        )
        self.touched[request] = None

    def _add(self, request: RequestId, record: Record, counted: Counted) -> None:
        answers = self._in_force(record.answers)  # rule 4.3: stale ones go when the record is touched
        if any(answer.owner == counted.owner for answer in answers):
            return
        answers = tuple(sorted((*answers, counted), key=lambda answer: answer.owner))
        if record.charged is not None and record.charged != counted.owner:
            record = self._discharged(record)
        self._write(request, replace(record, answers=answers))
        self.touched[request] = None

    def _in_force(self, answers: tuple[Counted, ...]) -> tuple[Counted, ...]:
        return tuple(answer for answer in answers if answer.version == self.view.model(answer.owner).version)

    def _discharged(self, record: Record) -> Record:
        if record.charged is None:
            return record
        self.delta.charges[record.charged] = self.view.charge(record.charged) - 1
        return replace(record, charged=None)

    def _write(self, request: RequestId, record: Record) -> None:
        self.delta.open[request] = record

    def close(self) -> tuple[Entry, ...]:
        """Decide every record that was touched or is due, then supplements; entries by kind, then request id."""
        hints = self.view.due(self.time)
        for request in sorted(dict.fromkeys((*self.touched, *hints))):
            record = self.view.record(request)
            if record is not None and (request in self.touched or record.due <= self.time):
                self._decide(request, record)
        for request in hints:
            outcome = self.view.outcome(request)
            if outcome is not None and outcome.due <= self.time:  # rule 4.6
                self.delta.outcomes[request] = None
        for request in sorted(self.late):
            self._supplement(request, self.late[request])
        return tuple(sorted(self.entries, key=lambda entry: (entry.kind, entry.request)))

    def _decide(self, request: RequestId, record: Record) -> None:
        answers = self._in_force(record.answers)
        enough = len(answers) >= self.group.answers
        reached = self.time if enough and record.reached is None else record.reached
        if enough and reached is not None and self._agreed(record, len(answers), reached):
            self._agree(request, record, answers)
        elif self.time >= record.deadline:
            self._expire(request, record, answers)
        else:
            due = record.deadline
            if enough and reached is not None:
                due = min(TimeUs(reached + record.patience_us), TimeUs(record.deadline - self.rules.near_us))
            self._write(request, replace(record, answers=answers, reached=reached, due=due))
            self.delta.dues.append((due, request))

    def _agreed(self, record: Record, count: int, reached: TimeUs) -> bool:
        """Rule 4.4, given at least ``answers`` attestations in force."""
        if count == self.group.n or self.time >= reached + record.patience_us:
            return True
        return self.time >= record.deadline - self.rules.near_us

    def _agree(self, request: RequestId, record: Record, answers: tuple[Counted, ...]) -> None:
        self._end(request, record)
        owners = tuple(answer.owner for answer in answers)
        due = TimeUs(record.deadline + self.rules.retention_us)
        self.delta.outcomes[request] = Outcome(record.client, record.deadline, owners, due)
        self.delta.dues.append((due, request))
        self._enter(EntryKind.AGREED, request, record, answers)

    def _expire(self, request: RequestId, record: Record, answers: tuple[Counted, ...]) -> None:
        self._end(request, record)
        if len(answers) > self.group.f:  # rule 4.6: at most f lanes leave no entry
            self._enter(EntryKind.EXPIRED, request, record, answers)

    def _end(self, request: RequestId, record: Record) -> None:
        self._discharged(record)
        self.delta.open[request] = None

    def _enter(self, kind: EntryKind, request: RequestId, source: Record | Outcome, answers: Sequence[Counted]) -> None:
        promises = []
        for answer in answers:
            model = self.view.model(answer.owner)
            promises.append(Promise(answer.owner, model.version, model.model, answer.commitment))
            if kind is not EntryKind.EXPIRED:
                self.delta.usage[answer.owner] = self.view.used(answer.owner) + 1
        self.entries.append(Entry(kind, request, source.client, tuple(promises)))

    def hand_over(self, following: Group) -> None:
        """The last block of an epoch: new owners' first models, new lanes, no attestations of who leaves (8.4)."""
        for owner in following.owners:
            before = None if self.group.owner(owner.id) is None else self.view.model(owner.id)
            version, model, since = FIRST_VERSION, owner.model, self.height
            if before is not None:
                version, model, since = before.version, before.model, before.since
            self.delta.models[owner.id] = ModelInForce(version, model, since, LaneHeight(0))
        gone = [owner for owner in self.group.members if following.owner(owner) is None]
        for request, record in sorted(self.view.all_open().items()):
            answers = tuple(answer for answer in self._in_force(record.answers) if answer.owner not in gone)
            if not answers:
                self._end(request, record)
            elif len(answers) < len(record.answers):
                kept = self._discharged(record) if record.charged in gone else record
                self._write(request, replace(kept, answers=answers))

    def _supplement(self, request: RequestId, late: list[Counted]) -> None:
        outcome = self.view.outcome(request)
        if outcome is None:
            return
        first: dict[OwnerId, Counted] = {}
        for counted in late:
            if counted.version == self.view.model(counted.owner).version:
                first.setdefault(counted.owner, counted)
        answers = [first[owner] for owner in sorted(first)]
        if answers:
            owners = tuple(sorted((*outcome.owners, *first)))
            self.delta.outcomes[request] = replace(outcome, owners=owners)
            self._enter(EntryKind.SUPPLEMENT, request, outcome, answers)
