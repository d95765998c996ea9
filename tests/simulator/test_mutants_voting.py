"""Planted bugs in votes, certificates and promises, and the check that catches each."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from dropbeard.agreement import (
    fetching,
    finality,
    holding,
    inspection,
    ledger,
    ordering,
    replica,
    requests,
    restoring,
    turn,
    voting,
)
from dropbeard.agreement.effects import Broadcast, CastVote, Effect
from dropbeard.agreement.events import PeerSpoke
from dropbeard.agreement.ledger_state import StateView
from dropbeard.agreement.records import BatchRecord, VoteRecord
from dropbeard.agreement.replica_state import ReplicaState, Round
from dropbeard.evidence import justification
from dropbeard.simulator import people
from dropbeard.types import group as group_module
from dropbeard.types.ids import Digest
from dropbeard.types.statements import Finalize
from tests.simulator.mutants import DOUBLE_VOTES, STALLS, Patch, caught_by, nothing, without_guard


def test_a_mutant_with_a_quorum_of_f_plus_one_is_caught(monkeypatch: Patch) -> None:
    monkeypatch.setattr(group_module, "quorum_size", lambda n, f: f + 1)
    caught_by(["believed-final", "fork", "guard", "notarize-finalize", "accused"])


def test_a_mutant_with_a_quorum_one_too_small_is_caught(monkeypatch: Patch) -> None:
    monkeypatch.setattr(group_module, "quorum_size", lambda n, f: 2 * f)
    caught_by(["believed-final", "fork", "guard", "notarize-finalize"], "vote-flipper")


def test_a_mutant_without_r1_is_caught_even_without_the_guard(monkeypatch: Patch) -> None:
    without_guard(monkeypatch)
    plain = ordering.drive_view

    def proposes_twice(state: ReplicaState, after_best: StateView | None) -> list[Effect]:
        round_ = state.round(state.view)
        if state.group.leader(state.view) == state.me and state.mono - (state.timer_from_us or state.mono) > 10_000:
            round_.notarized = None
        return plain(state, after_best)

    monkeypatch.setattr(replica, "drive_view", proposes_twice)
    caught_by([*DOUBLE_VOTES, "accused"])


def test_a_mutant_without_r2_is_caught_even_without_the_guard(monkeypatch: Patch) -> None:
    without_guard(monkeypatch)

    def forgets_nullify(round_: Round, header: Digest) -> bool:
        return round_.finalized is None and round_.notarized in (None, header)

    monkeypatch.setattr(voting, "_may_finalize", forgets_nullify)
    caught_by(["nullify-finalize", "accused"])


def test_a_mutant_without_r2_is_stopped_by_the_guard(monkeypatch: Patch) -> None:
    monkeypatch.setattr(voting, "_may_finalize", lambda round_, header: round_.finalized is None)
    caught_by(["guard"])


def test_a_mutant_without_r3_finalizes_what_nobody_notarized_and_is_caught(monkeypatch: Patch) -> None:
    plain = ordering._notarize

    def hasty(state: ReplicaState, block: Any) -> list[Effect]:
        state.round(state.view).finalized = block.header.digest
        vote = Finalize(state.group.id, state.group.epoch, state.view, block.header.digest)
        return [*plain(state, block), CastVote(vote)]

    monkeypatch.setattr(ordering, "_notarize", hasty)
    caught_by([*STALLS, "nullified-final", "second-notarization", "guard"], "equivocating-leader")


def test_a_mutant_that_forgets_votes_over_a_restart_is_caught(monkeypatch: Patch) -> None:
    without_guard(monkeypatch)
    plain = restoring.restore

    def forgetful(state: ReplicaState, records: Any, now: Any) -> list[Effect]:
        state.boot, state.awake = 0, True  # or its peers would tell it
        return plain(state, [r for r in records if not isinstance(r, VoteRecord)], now)

    monkeypatch.setattr("dropbeard.simulator.replica.restore", forgetful)
    caught_by([*DOUBLE_VOTES, "accused"], seeds=range(1, 200))


def test_a_mutant_that_forgets_votes_over_a_restart_is_told_by_its_peers(monkeypatch: Patch) -> None:
    without_guard(monkeypatch)
    plain = restoring.restore

    def forgetful(state: ReplicaState, records: Any, now: Any) -> list[Effect]:
        return plain(state, [r for r in records if not isinstance(r, VoteRecord)], now)

    monkeypatch.setattr("dropbeard.simulator.replica.restore", forgetful)
    caught_by(["halted", "storm", "unobtainable"], "none")


def test_a_mutant_that_forgets_its_lane_over_a_restart_is_caught(monkeypatch: Patch) -> None:
    without_guard(monkeypatch)
    plain = restoring.restore

    def forgetful(state: ReplicaState, records: Any, now: Any) -> list[Effect]:
        state.boot, state.awake = 0, True
        kept = [r for r in records if not (isinstance(r, BatchRecord) and r.signed.batch.owner == state.me)]
        return plain(state, kept, now)

    monkeypatch.setattr("dropbeard.simulator.replica.restore", forgetful)
    caught_by(["double-lane", "accused", "double-commitment", "opened-unpromised", "unobtainable"], "none")


def test_a_mutant_that_sends_before_it_stores_is_caught(monkeypatch: Patch) -> None:
    def cast_without_record(self: Any, signed: Any) -> None:
        self._outgoing.append(Broadcast(signed))
        self._inbox.append(PeerSpoke(self.state.me, signed))

    monkeypatch.setattr(turn.Turn, "_cast", cast_without_record)
    caught_by(["sent-before-stored"])


def test_a_mutant_that_counts_a_signer_twice_is_caught(monkeypatch: Patch) -> None:
    def lenient(group: Any, certificate: Any, checker: Any) -> bool:
        statement, rows = certificate.vote.encode(), certificate.signatures
        return len(rows) >= group.quorum and all(checker.check(signer, statement, s) for signer, s in rows)

    for module in (justification, inspection):
        monkeypatch.setattr(module, "certificate_checks", lenient)
    caught_by(["believed-final", "accused", *STALLS, "second-notarization", "nullified-final"], "forger")


def test_a_mutant_that_checks_no_signature_in_a_certificate_is_caught(monkeypatch: Patch) -> None:
    for module in (justification, inspection):
        monkeypatch.setattr(module, "certificate_checks", lambda group, certificate, checker: True)
    caught_by(["believed-final", "accused", *STALLS, "halted"], "forger")


def test_a_mutant_that_checks_no_signature_of_a_vote_is_caught(monkeypatch: Patch) -> None:
    monkeypatch.setattr(inspection, "_vote_checks", lambda message, checker: True)
    caught_by(["believed-final", "accused", *STALLS, "halted"], "forger", range(1, 200))


def test_a_mutant_that_checks_no_signature_of_a_batch_is_caught(monkeypatch: Patch) -> None:
    monkeypatch.setattr(inspection, "_batch_checks", lambda group, signed, checker: True)
    caught_by([*STALLS, "reply", "accused", "cut", "unobtainable", "halted"], "forger", stretch=3)


def test_a_mutant_that_compares_no_root_is_caught(monkeypatch: Patch) -> None:
    plain = holding.apply_towards

    def believes(state: ReplicaState, block: Any) -> bool:
        if block.applied is None and plain(state, block) is False and block.refused is not None:
            block.refused = None
            block.applied = replace(_applied(state, block), time=block.header.time)
        return block.applied is not None

    def _applied(state: ReplicaState, block: Any) -> Any:
        parent = state.chain.blocks[block.header.parent]
        before = state.chain.state_after(parent)
        ordered = holding.ordered_batches(state, parent.header.cut, block.header.cut, state.me)
        assert before is not None
        assert isinstance(ordered, dict)
        return ledger.apply_block(state.group, before, parent.header, holding.unsigned(ordered), state.judge.verdict)

    for module in (ordering, finality, replica):
        monkeypatch.setattr(module, "apply_towards", believes)
    caught_by(["entries", "block-time", "reply", *STALLS], "lying-header")


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


def test_a_mutant_that_never_fetches_stalls(monkeypatch: Patch) -> None:
    def forgets(state: ReplicaState) -> list[Effect]:
        state.wanted.clear()
        return []

    monkeypatch.setattr(replica, "send_fetches", forgets)
    caught_by(STALLS)


def test_a_mutant_that_serves_no_fetch_stalls(monkeypatch: Patch) -> None:
    monkeypatch.setattr(replica, "on_fetch", nothing)
    caught_by(STALLS)


def test_a_mutant_that_reports_no_status_stalls(monkeypatch: Patch) -> None:
    monkeypatch.setattr(fetching, "want_reported", lambda state: None)
    monkeypatch.setattr(replica, "on_status", nothing)
    caught_by(STALLS, seeds=range(150, 200))


def test_a_mutant_whose_views_never_time_out_stalls(monkeypatch: Patch) -> None:
    monkeypatch.setattr(ordering, "_timed_out", lambda state, leader: False)
    caught_by(STALLS)


def test_a_mutant_that_waits_ten_times_too_long_recovers_too_late(monkeypatch: Patch) -> None:
    plain = ordering._timed_out

    def patient(state: ReplicaState, leader: Any) -> bool:
        since = state.timer_from_us
        if since is not None and state.mono - since < 3_000_000:
            return False
        return plain(state, leader)

    monkeypatch.setattr(ordering, "_timed_out", patient)
    caught_by(["late"], "silent")


def test_a_mutant_that_never_asks_its_peers_stays_down(monkeypatch: Patch) -> None:
    monkeypatch.setattr(replica, "on_boot_question", nothing)
    caught_by(STALLS)


def test_a_mutant_that_promises_twice_what_its_engine_says_twice_is_caught(monkeypatch: Patch) -> None:
    plain = people.answer
    calls = iter(range(10_000_000))

    def changeable(owner: int, version: Any, given: Any) -> bytes:
        said = plain(owner, version, given)
        return said if next(calls) % 2 else said[6:] + said[:6]

    def runs_again(state: ReplicaState, request: Any, given: Any) -> list[Effect]:
        own = state.mine.get(request.id)
        if own is None:
            return requests.admit(state, request, given) if requests.has_room(state) else []
        return requests.run(state, request.id, own) if request.id in state.open_mine else []

    monkeypatch.setattr("dropbeard.simulator.world.answer", changeable)
    monkeypatch.setattr(replica, "on_request", runs_again)
    caught_by(["double-commitment", "opening-mismatch", "accused"], "none")
