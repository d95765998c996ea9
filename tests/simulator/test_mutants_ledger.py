"""Planted bugs in the ledger, in model updates, evidence, snapshots and what clients get, and what catches each."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from dropbeard.agreement import finality, ledger, recovering, replica, replies, requests, restoring
from dropbeard.agreement.effects import Effect, Send
from dropbeard.agreement.records import OpeningsRecord
from dropbeard.agreement.replica_state import OwnStage, ReplicaState
from dropbeard.agreement.tables import ModelInForce
from dropbeard.evidence.judge import Judge
from dropbeard.types.entries import Entry, EntryKind
from dropbeard.types.ids import TimeUs
from dropbeard.types.messages import InputNotice
from tests.simulator.mutants import STALLS, Patch, caught_by, nothing

APPLY = ledger._Application


def test_a_mutant_whose_block_time_follows_the_fastest_clock_is_caught(monkeypatch: Patch) -> None:
    plain = APPLY._block_time

    def fastest(self: Any, parent: Any, ordered: Any) -> TimeUs:
        plain(self, parent, ordered)
        return TimeUs(max(parent.time, *(self.view.lane_time(owner) for owner in self.group.members)))

    monkeypatch.setattr(APPLY, "_block_time", fastest)
    caught_by(["block-time"])


def test_a_mutant_that_never_expires_is_caught(monkeypatch: Patch) -> None:
    def agrees_instead(self: Any, request: Any, record: Any, answers: Any) -> None:
        self._agree(request, record, answers)

    monkeypatch.setattr(APPLY, "_expire", agrees_instead)
    caught_by(["entries"])


def test_a_mutant_without_patience_is_caught(monkeypatch: Patch) -> None:
    monkeypatch.setattr(APPLY, "_agreed", lambda self, record, count, reached: True)
    caught_by(["entries"])


def test_a_mutant_that_knows_no_near_deadline_is_caught(monkeypatch: Patch) -> None:
    def distant(self: Any, record: Any, count: int, reached: int) -> bool:
        return bool(count == self.group.n or self.time >= reached + record.patience_us)

    monkeypatch.setattr(APPLY, "_agreed", distant)
    caught_by(["entries"])


def test_a_mutant_that_agrees_with_too_few_answers_is_caught(monkeypatch: Patch) -> None:
    plain = ledger.apply_block

    def lenient(group: Any, before: Any, parent: Any, ordered: Any, verdict: Any) -> Any:
        # Two answers where the genesis asks for three; the group's own check would refuse such a genesis.
        weaker = replace(group)
        object.__setattr__(weaker, "answers", 2)
        return plain(weaker, before, parent, ordered, verdict)

    monkeypatch.setattr("dropbeard.agreement.holding.apply_block", lenient)
    monkeypatch.setattr("dropbeard.agreement.proposing.apply_block", lenient)
    caught_by(["entries"])


def test_a_mutant_that_counts_an_owner_twice_is_caught(monkeypatch: Patch) -> None:
    plain = APPLY._open

    def twice(self: Any, request: Any, item: Any, counted: Any) -> None:
        plain(self, request, item, counted)
        if request in self.working:
            self.working[request].answers = (counted, counted)

    monkeypatch.setattr(APPLY, "_open", twice)
    caught_by(["entries"])


def test_a_mutant_that_orders_entries_by_request_alone_is_caught(monkeypatch: Patch) -> None:
    plain = APPLY.close

    def disordered(self: Any) -> tuple[Entry, ...]:
        return tuple(sorted(plain(self), key=lambda entry: entry.request, reverse=True))

    monkeypatch.setattr(APPLY, "close", disordered)
    caught_by(["entries"])


def test_a_mutant_that_drops_late_answers_is_caught(monkeypatch: Patch) -> None:
    monkeypatch.setattr(APPLY, "_supplement", nothing)
    caught_by(["entries"], seeds=range(1, 120))


def test_a_mutant_that_forgets_outcomes_at_the_deadline_is_caught(monkeypatch: Patch) -> None:
    plain = APPLY._agree

    def forgetful(self: Any, request: Any, record: Any, answers: Any) -> None:
        plain(self, request, record, answers)
        self.delta.outcomes[request] = replace(self.delta.outcomes[request], due=record.deadline)
        self.delta.dues.append((record.deadline, request))

    monkeypatch.setattr(APPLY, "_agree", forgetful)
    caught_by(["entries", *STALLS], "slow", range(1, 200))


def test_a_mutant_without_the_version_rule_is_caught(monkeypatch: Patch) -> None:
    plain = APPLY.take_batch

    def any_version(self: Any, batch: Any) -> None:
        force = self.view.model(batch.owner).version
        plain(self, replace(batch, version=force) if batch.update is None else batch)

    monkeypatch.setattr(APPLY, "take_batch", any_version)
    caught_by(["entries"], "stale-version", range(1, 120))


def test_a_mutant_that_counts_stale_answers_is_caught(monkeypatch: Patch) -> None:
    monkeypatch.setattr(APPLY, "_in_force", lambda self, answers: answers)
    caught_by(["entries"], seeds=range(1, 120))


def test_a_mutant_without_the_update_gap_is_caught(monkeypatch: Patch) -> None:
    plain = ModelInForce.after
    monkeypatch.setattr(ModelInForce, "after", lambda self, batch, gap, since: plain(self, batch, 0, since))
    monkeypatch.setattr(requests, "_update_may_leave", lambda state: state.next_update is not None)
    caught_by(["entries", *STALLS], seeds=range(1, 120))


def test_a_mutant_that_does_not_run_again_after_an_update_is_caught(monkeypatch: Patch) -> None:
    plain = requests.follow_update

    def rests(state: ReplicaState, batch: Any) -> list[Effect]:
        plain(state, batch)
        for own in state.mine.values():
            if own.openings:
                own.stage = OwnStage.PROMISED
        return []

    monkeypatch.setattr(requests, "follow_update", rests)
    caught_by([*STALLS, "unobtainable"], seeds=range(1, 200))


def test_a_mutant_that_forgets_what_its_engine_failed_is_caught(monkeypatch: Patch) -> None:
    def forgets(state: ReplicaState, request: Any, reason: Any, detail: Any) -> list[Effect]:
        own = state.mine.pop(request)
        requests.close_own(state, request, own)
        return []

    monkeypatch.setattr(requests, "_give_up", forgets)
    caught_by(["unobtainable"], "none", updates=20, engine_losses=10)


def test_a_mutant_that_does_not_judge_evidence_is_caught(monkeypatch: Patch) -> None:
    monkeypatch.setattr(Judge, "fault", lambda self, evidence: None)
    caught_by(["convicted", "accused"], "rotten-evidence")


def test_a_mutant_that_marks_no_rotten_evidence_is_caught(monkeypatch: Patch) -> None:
    monkeypatch.setattr(APPLY, "_mark", lambda self, verdict: None)
    caught_by(["unmarked"], "rotten-evidence")


def test_a_mutant_that_shows_no_evidence_is_caught(monkeypatch: Patch) -> None:
    monkeypatch.setattr(requests, "_unshown", nothing)
    caught_by(["unmarked"], "equivocating-lane")


def test_a_mutant_without_ticks_stalls(monkeypatch: Patch) -> None:
    monkeypatch.setattr(requests, "_tick_is_due", lambda state, best: False)
    caught_by(STALLS)


def test_a_mutant_that_opens_another_answer_is_caught(monkeypatch: Patch) -> None:
    plain = requests.openings_to_clients

    def lies(state: ReplicaState, batch: Any) -> list[Effect]:
        for request in batch.request_ids:
            own = state.mine.get(request)
            if own is not None:
                own.openings = {v: o._replace(output=o.output[::-1]) for v, o in own.openings.items()}
        return plain(state, batch)

    monkeypatch.setattr(replica, "openings_to_clients", lies)
    caught_by(["opening-mismatch"])


def test_a_mutant_that_shows_clients_another_entry_is_caught(monkeypatch: Patch) -> None:
    plain = replies._reply

    def lies(block: Any, headers: Any, signatures: Any, rows: list[tuple[int, Entry]]) -> Any:
        changed = [(i, replace(entry, kind=EntryKind.EXPIRED, promises=entry.promises[:1])) for i, entry in rows]
        return plain(block, headers, signatures, changed)

    monkeypatch.setattr(replies, "_reply", lies)
    caught_by(["reply"])


def test_a_mutant_that_cannot_open_after_a_restart_is_caught(monkeypatch: Patch) -> None:
    plain = restoring.restore

    def forgetful(state: ReplicaState, records: Any, now: Any) -> list[Effect]:
        return plain(state, [r for r in records if not isinstance(r, OpeningsRecord)], now)

    monkeypatch.setattr("dropbeard.simulator.replica.restore", forgetful)
    caught_by(["unobtainable"], "none")


def test_a_mutant_that_forgets_where_entries_stand_is_caught(monkeypatch: Patch) -> None:
    plain = finality._note_outcomes

    def forgetful(state: ReplicaState, block: Any) -> None:
        plain(state, block)
        state.placed.clear()

    monkeypatch.setattr(finality, "_note_outcomes", forgetful)
    caught_by(["unobtainable"], "none")


def test_a_mutant_that_runs_an_input_nobody_asked_it_to_is_caught(monkeypatch: Patch) -> None:
    plain = recovering.on_fetch_input

    def another(state: ReplicaState, sender: Any, asked: Any) -> list[Effect]:
        told: list[Effect] = []
        for effect in plain(state, sender, asked):
            assert isinstance(effect, Send)
            assert isinstance(effect.message, InputNotice)
            wrong = replace(effect.message.given, data=b"other")
            told.append(Send(effect.peer, replace(effect.message, given=wrong)))
        return told

    def unchecked(state: ReplicaState, notice: Any) -> list[Effect]:
        for request in list(state.missing):
            own = state.mine.get(request)
            if own is not None and own.asked is None:
                del state.missing[request]
                own.asked = (None, notice.given)  # type: ignore[assignment]
                return requests.run(state, request, own)
        return []

    monkeypatch.setattr(replica, "on_fetch_input", another)
    monkeypatch.setattr(replica, "on_input", unchecked)
    caught_by(["wrong-input"], seeds=range(1, 200), stretch=2)
