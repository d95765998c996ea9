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
from dropbeard.types.ids import ClientKey, Digest, Height, LaneHeight, OwnerId, RequestId, TimeUs
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


@dataclass(slots=True)
class _Working:
    """An open record while a block is applied: it is written once, when every batch was taken."""

    client: ClientKey
    deadline: TimeUs
    patience_us: int
    answers: tuple[Counted, ...]
    charged: OwnerId | None
    reached: TimeUs | None


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
        self.before = before
        self.view = StateView(before.base, (*before.deltas, self.delta))
        self.force = before.models()
        """Every lane's version so far in this block (rule 4.3)."""
        self.working: dict[RequestId, _Working] = {}
        """The records that this block touches."""
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
        force = self.force[batch.owner]
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
            self.delta.models[batch.owner] = self.force[batch.owner] = updated

    def _mark(self, verdict: Verdict) -> None:
        """The first valid piece for each accused and kind counts (rule 8.1)."""
        if not self.view.is_marked(verdict):
            self.delta.marks[verdict] = self.height

    def _take(self, request: RequestId, item: Attestation, batch: LaneBatch) -> None:
        counted = Counted(batch.owner, batch.version, item.commitment)
        work = self.working.get(request)
        outcome = None if work is not None else self.before.outcome(request)
        if outcome is not None:
            if batch.owner not in outcome.owners and self.time < outcome.due:  # rule 4.5
                self.late.setdefault(request, []).append(counted)
            return
        if item.deadline <= self.time or item.deadline > batch.time + self.rules.horizon_us:  # rule 4.2
            return
        record = None if work is not None else self.before.record(request)
        if record is not None:
            work = _working(record)
        if work is None:
            self._open(request, item, counted)
        else:
            self._add(request, work, counted)

    def _open(self, request: RequestId, item: Attestation, counted: Counted) -> None:
        charges = self.view.charge(counted.owner)
        if charges >= self.rules.open_max:
            return
        self.delta.charges[counted.owner] = charges + 1
        self.working[request] = _Working(item.client, item.deadline, item.patience_us, (counted,), counted.owner, None)

    def _add(self, request: RequestId, work: _Working, counted: Counted) -> None:
        answers = self._in_force(work.answers)  # rule 4.3: stale ones go when the record is touched
        owner, at = counted.owner, 0
        while at < len(answers) and answers[at].owner < owner:
            at += 1
        if at < len(answers) and answers[at].owner == owner:
            return
        work.answers = (*answers[:at], counted, *answers[at:])
        if len(work.answers) > self.group.f:  # rule 4.2: f lanes could discharge each other without end
            self._discharge(work)
        self.working[request] = work

    def _in_force(self, answers: tuple[Counted, ...]) -> tuple[Counted, ...]:
        force = self.force
        for answer in answers:
            if answer.version != force[answer.owner].version:
                return tuple(answer for answer in answers if answer.version == force[answer.owner].version)
        return answers

    def _discharge(self, work: _Working) -> None:
        if work.charged is not None:
            self.delta.charges[work.charged] = self.view.charge(work.charged) - 1
            work.charged = None

    def close(self) -> tuple[Entry, ...]:
        """Decide every record that was touched or is due, then supplements; entries by kind, then request id."""
        hints = self.view.due(self.time)
        for request in sorted({**self.working, **dict.fromkeys(hints)}):
            work = self.working.get(request)
            if work is None:
                record = self.before.record(request)
                work = _working(record) if record is not None and record.due <= self.time else None
            if work is not None:
                self._decide(request, work)
        for request in hints:
            outcome = self.view.outcome(request)
            if outcome is not None and outcome.due <= self.time:  # rule 4.6
                self.delta.outcomes[request] = None
        for request in sorted(self.late):
            self._supplement(request, self.late[request])
        return tuple(sorted(self.entries, key=lambda entry: (entry.kind, entry.request)))

    def _decide(self, request: RequestId, work: _Working) -> None:
        answers = self._in_force(work.answers)
        enough = len(answers) >= self.group.answers
        reached = self.time if enough and work.reached is None else work.reached
        if enough and reached is not None and self._agreed(work, len(answers), reached):
            self._agree(request, work, answers)
        elif self.time >= work.deadline:
            self._expire(request, work, answers)
        else:
            due = work.deadline
            if enough and reached is not None:
                due = min(TimeUs(reached + work.patience_us), TimeUs(work.deadline - self.rules.near_us))
            self.delta.open[request] = Record(
                work.client, work.deadline, work.patience_us, answers, work.charged, reached, due
            )
            self.delta.dues.append((due, request))

    def _agreed(self, work: _Working, count: int, reached: TimeUs) -> bool:
        """Rule 4.4, given at least ``answers`` attestations in force."""
        if count == self.group.n or self.time >= reached + work.patience_us:
            return True
        return self.time >= work.deadline - self.rules.near_us

    def _agree(self, request: RequestId, work: _Working, answers: tuple[Counted, ...]) -> None:
        self._end(request, work)
        owners = tuple(answer.owner for answer in answers)
        due = TimeUs(work.deadline + self.rules.retention_us)
        self.delta.outcomes[request] = Outcome(work.client, work.deadline, owners, due)
        self.delta.dues.append((due, request))
        self._enter(EntryKind.AGREED, request, work.client, answers)

    def _expire(self, request: RequestId, work: _Working, answers: tuple[Counted, ...]) -> None:
        self._end(request, work)
        if len(answers) > self.group.f:  # rule 4.6: at most f lanes leave no entry
            self._enter(EntryKind.EXPIRED, request, work.client, answers)

    def _end(self, request: RequestId, work: _Working) -> None:
        self._discharge(work)
        self.delta.open[request] = None

    def _enter(self, kind: EntryKind, request: RequestId, client: ClientKey, answers: Sequence[Counted]) -> None:
        promises = []
        for answer in answers:
            model = self.force[answer.owner]
            promises.append(Promise(answer.owner, model.version, model.model, answer.commitment))
            if kind is not EntryKind.EXPIRED:
                self.delta.usage[answer.owner] = self.view.used(answer.owner) + 1
        self.entries.append(Entry(kind, request, client, tuple(promises)))

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
            work = _working(record)
            if not answers:
                self._end(request, work)
            elif len(answers) < len(record.answers):
                if record.charged in gone:
                    self._discharge(work)
                self.delta.open[request] = replace(record, answers=answers, charged=work.charged)

    def _supplement(self, request: RequestId, late: list[Counted]) -> None:
        outcome = self.view.outcome(request)
        if outcome is None:
            return
        first: dict[OwnerId, Counted] = {}
        for counted in late:
            if counted.version == self.force[counted.owner].version:
                first.setdefault(counted.owner, counted)
        answers = [first[owner] for owner in sorted(first)]
        if answers:
            owners = tuple(sorted((*outcome.owners, *first)))
            self.delta.outcomes[request] = Outcome(outcome.client, outcome.deadline, owners, outcome.due)
            self._enter(EntryKind.SUPPLEMENT, request, outcome.client, answers)


def _working(record: Record) -> _Working:
    return _Working(record.client, record.deadline, record.patience_us, record.answers, record.charged, record.reached)
