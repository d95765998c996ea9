"""Every run reads some thousands of malformed messages; a decoder or a replica that trusts its bytes is found out."""

from __future__ import annotations

from typing import Any

import pytest

from dropbeard.agreement import voting
from dropbeard.types import wire
from tests.fuzz.corpus import corpus
from tests.fuzz.worker import Fuzzer

MESSAGES = 6_000


def fuzzed(seed: int, messages: int = MESSAGES, only: str | None = None) -> Fuzzer:
    fuzzer = Fuzzer(seed, only)
    for _ in range(messages):
        fuzzer.step()
    return fuzzer


def test_no_malformed_message_is_anything_but_refused_or_read() -> None:
    fuzzer = fuzzed(1)
    assert fuzzer.wrong == []
    assert fuzzer.counts["rejected"] > MESSAGES // 2
    assert fuzzer.counts["handled"] > MESSAGES // 100


def test_the_corpus_has_every_kind_of_message() -> None:
    kinds = {sample.kind for sample in corpus()}
    votes = {"SignedVote", "Proposal", "CertificateNotice", "Status", "FetchHeader", "BootQuestion", "BootAnswer"}
    assert votes | {"BatchNotice", "FetchBatches", "FetchInput", "InputNotice", "evidence", "certificate"} <= kinds
    assert {f"record {number}" for number in (1, 2, 3, 4, 5, 6, 8)} <= kinds
    assert {"FetchSuccession", "SuccessionNotice"} <= kinds
    assert {"to client Openings", "to client Reply", "to node", "to engine", "engine"} <= kinds


def test_a_mutant_reader_that_leaves_bytes_over_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire.Reader, "end", lambda self: None)
    assert fuzzed(3).wrong


def test_a_mutant_core_that_trusts_a_liars_views_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = voting.on_certificate

    def trusting(state: Any, certificate: Any) -> Any:
        assert certificate.vote.view < 1_000_000
        return plain(state, certificate)

    monkeypatch.setattr("dropbeard.agreement.replica.on_certificate", trusting)
    monkeypatch.setattr("dropbeard.agreement.fetching.on_certificate", trusting)
    assert fuzzed(5, only="CertificateNotice").wrong
