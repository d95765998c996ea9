"""Planted bugs: each is caught by the check that is there for it, within a bounded number of seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from dropbeard.agreement import (
    finality,
    ledger,
    ordering,
    replica,
    replies,
    requests,
    restoring,
    turn,
    voting,
)
from dropbeard.agreement.effects import Broadcast, Effect
from dropbeard.agreement.events import PeerSpoke
from dropbeard.agreement.records import VoteRecord
from dropbeard.agreement.replica_state import ReplicaState, Round
from dropbeard.signing.guard import Guard
from dropbeard.simulator.run import simulate
from dropbeard.types import group as group_module
from dropbeard.types.entries import Entry, EntryKind
from dropbeard.types.ids import Digest, TimeUs

SEEDS_MAX = 40
Patch = pytest.MonkeyPatch


def caught_by(checks: Sequence[str], seeds: range = range(1, SEEDS_MAX)) -> str:
    """The first finding over the seeds; fails when there is none or another check made it."""
    for seed in seeds:
        report = simulate(seed, 4)
        found = [*report.violations, *report.stalls]
        if found:
            assert found[0].split(":")[0] in checks, found
            return found[0]
    pytest.fail(f"the mutant survived {len(seeds)} seeds")


def nothing(*_: Any) -> list[Effect]:
    return []


def without_guard(patch: Patch) -> None:
    """The oracle must see what the guard would have stopped."""
    patch.setattr(Guard, "promise", lambda self, statement: None)


def test_a_mutant_with_a_quorum_of_f_plus_one_is_caught(monkeypatch: Patch) -> None:
    monkeypatch.setattr(group_module, "quorum_size", lambda n, f: f + 1)
    caught_by(["believed-final", "fork", "guard", "notarize-finalize"])


def test_a_mutant_without_r1_is_caught_even_without_the_guard(monkeypatch: Patch) -> None:
    without_guard(monkeypatch)
    plain = ordering.drive_view

    def proposes_twice(state: ReplicaState) -> list[Effect]:
        round_ = state.round(state.view)
        if state.group.leader(state.view) == state.me and state.mono - (state.timer_from_us or state.mono) > 10_000:
            round_.notarized = None
        return plain(state)

    monkeypatch.setattr(replica, "drive_view", proposes_twice)
    caught_by(["double-notarize", "notarize-finalize"])


def test_a_mutant_without_r2_is_caught_even_without_the_guard(monkeypatch: Patch) -> None:
    without_guard(monkeypatch)

    def forgets_nullify(round_: Round, header: Digest) -> bool:
        return round_.finalized is None and round_.notarized in (None, header)

    monkeypatch.setattr(voting, "_may_finalize", forgets_nullify)
    caught_by(["nullify-finalize"])


def test_a_mutant_without_r2_is_stopped_by_the_guard(monkeypatch: Patch) -> None:
    monkeypatch.setattr(voting, "_may_finalize", lambda round_, header: round_.finalized is None)
    caught_by(["guard"])


def test_a_mutant_that_forgets_votes_over_a_restart_is_caught(monkeypatch: Patch) -> None:
    without_guard(monkeypatch)
    plain = restoring.restore

    def forgetful(state: ReplicaState, records: Any, now: Any) -> list[Effect]:
        return plain(state, [r for r in records if not isinstance(r, VoteRecord)], now)

    monkeypatch.setattr("dropbeard.simulator.replica.restore", forgetful)
    caught_by(["double-notarize", "double-finalize", "nullify-finalize", "notarize-finalize"], range(1, 120))


def test_a_mutant_that_sends_before_it_stores_is_caught(monkeypatch: Patch) -> None:
    monkeypatch.setattr(turn.Turn, "_cast", _cast_without_record)
    caught_by(["sent-before-stored"])


def _cast_without_record(self: Any, signed: Any) -> None:
    self._outgoing.append(Broadcast(signed))
    self._inbox.append(PeerSpoke(self.state.me, signed))


def test_a_mutant_whose_block_time_follows_the_fastest_clock_is_caught(monkeypatch: Patch) -> None:
    plain = ledger._Application._block_time

    def fastest(self: Any, parent: Any, ordered: Any) -> TimeUs:
        plain(self, parent, ordered)
        return TimeUs(max(parent.time, *(self.view.lane_time(owner) for owner in self.group.members)))

    monkeypatch.setattr(ledger._Application, "_block_time", fastest)
    caught_by(["block-time"])


def test_a_mutant_that_never_expires_is_caught(monkeypatch: Patch) -> None:
    def agrees_instead(self: Any, request: Any, record: Any, answers: Any) -> None:
        self._agree(request, record, answers)

    monkeypatch.setattr(ledger._Application, "_expire", agrees_instead)
    caught_by(["entries"])


def test_a_mutant_without_patience_is_caught(monkeypatch: Patch) -> None:
    monkeypatch.setattr(ledger._Application, "_agreed", lambda self, record, count, reached: True)
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


def test_a_mutant_that_orders_entries_by_request_alone_is_caught(monkeypatch: Patch) -> None:
    plain = ledger._Application.close

    def disordered(self: Any) -> tuple[Entry, ...]:
        return tuple(sorted(plain(self), key=lambda entry: entry.request, reverse=True))

    monkeypatch.setattr(ledger._Application, "close", disordered)
    caught_by(["entries"])


def test_a_mutant_that_drops_late_answers_is_caught(monkeypatch: Patch) -> None:
    monkeypatch.setattr(ledger._Application, "_supplement", nothing)
    caught_by(["entries"], range(1, 80))


def test_a_mutant_that_opens_another_answer_is_caught(monkeypatch: Patch) -> None:
    plain = requests.openings_to_clients

    def lies(state: ReplicaState, batch: Any) -> list[Effect]:
        for request in batch.request_ids:
            own = state.mine.get(request)
            if own is not None:
                own.openings = {v: replace(o, output=o.output[::-1]) for v, o in own.openings.items()}
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


def test_a_mutant_without_ticks_stalls(monkeypatch: Patch) -> None:
    monkeypatch.setattr(requests, "_tick_is_due", lambda state, best: False)
    caught_by(["open", "no-outcome"])


def test_a_mutant_that_never_fetches_stalls(monkeypatch: Patch) -> None:
    def forgets(state: ReplicaState) -> list[Effect]:
        state.wanted.clear()
        return []

    monkeypatch.setattr(replica, "send_fetches", forgets)
    caught_by(["lagging", "open", "no-outcome", "unordered"])


def test_a_mutant_that_serves_no_fetch_stalls(monkeypatch: Patch) -> None:
    monkeypatch.setattr(replica, "on_fetch", nothing)
    caught_by(["lagging", "open", "no-outcome", "unordered"])


def test_a_mutant_that_reports_no_status_stalls(monkeypatch: Patch) -> None:
    monkeypatch.setattr(replica, "on_status", nothing)
    caught_by(["lagging", "open", "no-outcome", "unordered"], range(1, 120))


def test_a_mutant_whose_views_never_time_out_stalls(monkeypatch: Patch) -> None:
    monkeypatch.setattr(ordering, "_timed_out", lambda state, leader: False)
    caught_by(["lagging", "open", "no-outcome", "unordered"])


def test_a_mutant_that_finalizes_a_block_of_its_own_choice_is_caught(monkeypatch: Patch) -> None:
    plain = finality.finalize_ready

    def impatient(state: ReplicaState) -> list[Effect]:
        block = state.chain.block(state.best[1])
        if block is not None and block.applied is not None and block.header.height > state.chain.final.header.height:
            path = state.chain.path_to_final(block) or []
            if path:
                state.chain.final = block
        return plain(state)

    monkeypatch.setattr(replica, "finalize_ready", impatient)
    caught_by(["believed-final"])
