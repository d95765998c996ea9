"""How long requests took, by stage."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dropbeard.agreement.effects import SendClient
from dropbeard.agreement.events import AnswersCame, RequestCame
from dropbeard.daemon.stages import BOUNDS_US, REQUESTS_MAX, SLOT_US, SLOTS, STAGES, STEP, Durations, Stages
from dropbeard.types.entries import Entry, EntryKind
from dropbeard.types.ids import ClientKey, Digest, GroupId, Nonce, OwnerId, RequestId, TimeUs, Version
from dropbeard.types.messages import Openings, Rejected, RejectReason, Reply
from dropbeard.types.requests import Opening, Request
from dropbeard.types.task import Input, InputKind

CLIENT = ClientKey(b"c" * 32)
GIVEN = Input(InputKind.ENCODED_IMAGE, (0, 0, 0), b"picture")


def asked(nonce: int = 1) -> Request:
    return Request(CLIENT, GroupId(bytes(32)), Nonce(nonce), TimeUs(9), 1, b"", GIVEN.digest())


def opened(request: RequestId) -> SendClient:
    one = Opening(request, OwnerId(0), Version(1), Digest(bytes(32)), b"answer", b"s" * 32)
    return SendClient(CLIENT, Openings((one,)))


def replied(request: RequestId, kind: EntryKind = EntryKind.AGREED) -> SendClient:
    return SendClient(CLIENT, Reply((), (), ((0, Entry(kind, request, CLIENT, ())),), 1, ()))


def figures(stages: Stages, now_us: int) -> dict[str, tuple[int, int]]:
    return {part.stage: (part.count, part.sum_us) for part in stages.parts(now_us)}


def test_each_stage_of_a_request_is_timed_once() -> None:
    stages, request = Stages(), asked()
    stages.came([RequestCame(request, GIVEN)], 1_000)
    stages.came([AnswersCame(Version(1), ((request.id, b"answer"),))], 6_000)
    stages.sent([opened(request.id), opened(request.id)], 8_000)
    stages.sent([replied(request.id), replied(request.id)], 38_000)
    stages.sent([opened(request.id)], 50_000)
    expected = {"infer": (1, 5_000), "promise": (1, 2_000), "agree": (1, 30_000), "total": (1, 37_000)}
    assert figures(stages, 50_000) == expected
    assert stages.outcomes == {"agreed": 1}


def test_a_request_that_was_agreed_without_this_node_still_counts_as_a_whole() -> None:
    stages, request = Stages(), asked()
    stages.came([RequestCame(request, GIVEN)], 0)
    stages.sent([replied(request.id)], 30_000)
    assert figures(stages, 30_000)["agree"] == (0, 0)
    assert figures(stages, 30_000)["total"] == (1, 30_000)


def test_what_expires_or_is_rejected_is_counted_and_has_no_time() -> None:
    stages, first, second = Stages(), asked(1), asked(2)
    stages.came([RequestCame(first, GIVEN), RequestCame(second, GIVEN)], 0)
    stages.sent([replied(first.id, EntryKind.EXPIRED)], 10)
    refusal = SendClient(CLIENT, Rejected(second.id, RejectReason.BUSY, 0, ""))
    stages.sent([refusal, refusal], 10)
    assert stages.outcomes == {"expired": 1, "rejected_busy": 1}
    assert figures(stages, 10)["total"] == (0, 0)


def test_requests_that_this_node_was_never_asked_are_not_followed() -> None:
    stages = Stages()
    stages.sent([replied(asked().id), opened(asked().id)], 5)
    assert stages.outcomes == {}
    assert set(figures(stages, 5).values()) == {(0, 0)}


def test_the_table_of_requests_is_bounded() -> None:
    stages = Stages()
    for nonce in range(REQUESTS_MAX + 10):
        stages._start(RequestId(nonce.to_bytes(32, "big")), 0)
    assert len(stages._under_way) == REQUESTS_MAX


def test_what_is_older_than_a_minute_leaves_the_percentiles_and_stays_in_the_sum() -> None:
    durations = Durations()
    durations.note(1_000_000, 0)
    durations.note(1_000, SLOTS * SLOT_US)
    part = durations.part("x", SLOTS * SLOT_US)
    assert (part.recent, part.count, part.sum_us) == (1, 2, 1_001_000)
    assert part.p99_us is not None
    assert part.p99_us < 1_200
    assert durations.part("x", 3 * SLOTS * SLOT_US).p50_us is None


@given(st.lists(st.integers(0, BOUNDS_US[-1]), min_size=1, max_size=200))
def test_a_percentile_is_never_below_the_true_one_and_a_step_above_at_most(values: list[int]) -> None:
    durations = Durations()
    for value in values:
        durations.note(value, 0)
    part = durations.part("x", 0)
    for share, found in ((0.5, part.p50_us), (0.99, part.p99_us)):
        true = sorted(values)[max(0, -(-int(share * 1000) * len(values) // 1000) - 1)]
        assert found is not None
        assert true <= found <= max(BOUNDS_US[0], true * STEP + 1)


def test_buckets_are_cumulative_and_ascend() -> None:
    durations = Durations()
    for value in (50, 500, 5_000, 500_000_000):
        durations.note(value, 0)
    buckets = durations.part("x", 0).buckets
    bounds, counts = zip(*buckets, strict=True)
    assert list(bounds) == sorted(set(bounds))
    assert list(counts) == sorted(counts)
    assert counts[-1] == 3
    assert set(bounds) <= set(BOUNDS_US)


def test_the_rate_is_of_the_last_minute_or_of_the_time_since_the_start() -> None:
    stages = Stages()
    for nonce in range(20):
        request = asked(nonce)
        stages.came([RequestCame(request, GIVEN)], 0)
        stages.sent([replied(request.id)], 1_000)
    assert stages.per_second(1_000_000, 10_000_000) == 2.0
    assert stages.per_second(1_000_000, 600_000_000) == round(20 / 60, 2)
    assert len(STAGES) == 4
