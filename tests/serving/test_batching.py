"""The queue in virtual time: greedy, earliest deadline first, shedding, credits."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dropbeard.serving.batching import Admission, BatchCost, Batcher, Taken

NEVER = 10**12


def line_cost(fixed: int, each: int) -> BatchCost:
    """A cost that was measured often enough to be known."""
    cost = BatchCost()
    for size in (1, 8, 1, 8):
        cost.observe(size, fixed + each * size)
    return cost


def queue(max_batch: int = 4, queue_max: int = 100, cost: BatchCost | None = None) -> Batcher[str]:
    """A queue whose credits have been granted."""
    batcher: Batcher[str] = Batcher(max_batch, queue_max, cost or BatchCost())
    batcher.grant()
    return batcher


def add(batcher: Batcher[str], names: str, deadline_us: int = NEVER) -> None:
    for name in names:
        assert batcher.add(name, deadline_us) is Admission.ACCEPTED


def taken(batch: str = "", shed: str = "") -> Taken[str]:
    return Taken(tuple(batch), tuple(shed))


def test_a_batch_leaves_at_once_with_what_is_there() -> None:
    batcher = queue()
    add(batcher, "a")
    assert batcher.take(0) == taken("a")
    assert batcher.take(0) == taken()


def test_a_batch_has_at_most_max_batch_items() -> None:
    batcher = queue(max_batch=3)
    add(batcher, "abcde")
    assert batcher.take(0) == taken("abc")
    assert batcher.take(0) == taken("de")


def test_the_earliest_deadline_goes_first() -> None:
    batcher = queue(max_batch=2)
    add(batcher, "a", 300)
    add(batcher, "b", 100)
    add(batcher, "c", 200)
    assert batcher.take(0) == taken("bc")
    assert batcher.take(0) == taken("a")


def test_equal_deadlines_leave_in_the_order_they_came() -> None:
    batcher = queue(max_batch=9)
    add(batcher, "dcab", 50)
    assert batcher.take(0) == taken("dcab")


def test_what_is_overdue_is_handed_back() -> None:
    batcher = queue()
    add(batcher, "a", 99)
    add(batcher, "b", 101)
    assert batcher.take(100) == taken("b", shed="a")


def test_what_cannot_finish_in_time_is_handed_back() -> None:
    batcher = queue(cost=line_cost(0, 10))
    add(batcher, "a", 109)
    add(batcher, "b", 130)
    assert batcher.take(100) == taken("b", shed="a")


def test_an_exactly_met_deadline_is_met() -> None:
    batcher = queue(cost=line_cost(0, 10))
    add(batcher, "a", 110)
    add(batcher, "bc", 130)
    assert batcher.take(100) == taken("a")
    assert batcher.take(110) == taken("bc")


def test_company_never_makes_the_most_urgent_item_late() -> None:
    batcher = queue(max_batch=8, cost=line_cost(20, 10))
    add(batcher, "a", 145)
    add(batcher, "bcde")
    assert batcher.take(100) == taken("ab")
    assert batcher.take(140) == taken("cde")


def test_a_queue_that_a_prediction_condemns_still_runs_its_best_item() -> None:
    batcher = queue(cost=line_cost(0, 1000))
    add(batcher, "a", 150)
    add(batcher, "b", 170)
    assert batcher.take(100) == taken("b", shed="a")


def test_a_wrong_prediction_is_unlearned() -> None:
    batcher = queue(max_batch=1, cost=line_cost(0, 1_000_000))
    now = 0
    for _ in range(200):
        add(batcher, "a", now + 50)
        assert batcher.take(now).batch == ("a",)
        batcher.finished(1, 10)
        batcher.grant()
        now += 10
    add(batcher, "ab", now + 50)
    assert batcher.take(now) == taken("a")
    assert batcher.take(now + 10) == taken("b")


def test_an_overdue_queue_runs_nothing() -> None:
    batcher = queue(cost=line_cost(0, 10))
    add(batcher, "ab", 100)
    assert batcher.take(100) == taken(shed="ab")


def test_without_a_credit_the_queue_is_busy() -> None:
    batcher: Batcher[str] = Batcher(4, 2, BatchCost())
    assert batcher.add("a", NEVER) is Admission.BUSY
    assert batcher.grant() == 2
    add(batcher, "ab")
    assert batcher.add("c", NEVER) is Admission.BUSY
    assert batcher.grant() == 0


def test_what_leaves_the_queue_frees_its_credits() -> None:
    batcher = queue(max_batch=2, queue_max=4, cost=line_cost(0, 10))
    add(batcher, "a", 5)
    add(batcher, "bcd")
    assert batcher.take(0) == taken("bc", shed="a")
    assert batcher.grant() == 3
    assert batcher.grant() == 0


@pytest.mark.parametrize(("max_batch", "queue_max"), [(0, 1), (1, 0)])
def test_a_queue_that_can_hold_or_run_nothing_is_refused(max_batch: int, queue_max: int) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        Batcher(max_batch, queue_max, BatchCost())


def test_an_unmeasured_batch_costs_nothing() -> None:
    assert BatchCost().predict_us(8) == 0


def test_one_measured_size_speaks_for_others_in_proportion() -> None:
    cost = BatchCost()
    cost.observe(4, 400)
    assert (cost.predict_us(1), cost.predict_us(8)) == (100, 800)


def test_two_measured_sizes_tell_the_fixed_part_from_the_rest() -> None:
    cost = line_cost(300, 20)
    assert (cost.predict_us(1), cost.predict_us(4), cost.predict_us(16)) == (320, 380, 620)


def test_a_larger_batch_is_never_predicted_to_be_cheaper() -> None:
    cost = BatchCost()
    cost.observe(1, 500)
    cost.observe(8, 100)
    assert cost.predict_us(1) <= cost.predict_us(2) <= cost.predict_us(64)


def test_a_new_cost_replaces_the_old_one() -> None:
    cost = line_cost(0, 1000)
    for _ in range(100):
        cost.observe(1, 10)
        cost.observe(8, 80)
    assert abs(cost.predict_us(4) - 40) <= 1


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.integers(0, 500)),
        st.tuples(st.just("take"), st.integers(0, 60)),
        st.tuples(st.just("grant"), st.just(0)),
    ),
    max_size=80,
)


@given(STEPS, st.integers(1, 5), st.integers(1, 9))
def test_every_accepted_item_leaves_once_and_the_queue_is_bounded(
    steps: list[tuple[str, int]], max_batch: int, queue_max: int
) -> None:
    batcher: Batcher[int] = Batcher(max_batch, queue_max, line_cost(5, 10))
    now, accepted, left, credit = 0, [], [], 0
    for number, (verb, value) in enumerate(steps):
        if verb == "grant":
            credit += batcher.grant()
        elif verb == "add":
            admission = batcher.add(number, now + value)
            assert (admission is Admission.ACCEPTED) == (credit > 0)
            if admission is Admission.ACCEPTED:
                credit -= 1
                accepted.append(number)
        else:
            now += value
            result = batcher.take(now)
            assert len(result.batch) <= max_batch
            left += [*result.batch, *result.shed]
        assert credit + len(batcher) <= queue_max
    while len(batcher):
        result = batcher.take(now)
        left += [*result.batch, *result.shed]
    assert sorted(left) == accepted


def test_what_is_taken_and_not_finished_comes_first() -> None:
    batcher = queue(max_batch=1, cost=line_cost(0, 100))
    add(batcher, "abc", 10_000)
    for _ in "abc":
        batcher.take(0)
    add(batcher, "de", 250)
    # One of the three may be about to end: two are waited for, and the fourth would be done at 300.
    assert batcher.take(0) == taken("e", "d")


def test_a_finished_batch_is_not_waited_for() -> None:
    batcher = queue(max_batch=1, cost=line_cost(0, 100))
    add(batcher, "abc", 10_000)
    for _ in "abc":
        batcher.take(0)
    batcher.finished(1, 100)
    batcher.abandoned()
    add(batcher, "d", 250)
    assert batcher.take(0) == taken("d")


@pytest.mark.parametrize(
    ("waiting", "sizes"),
    [
        (3, [3]),
        (4, [4]),
        (5, [5]),
        (8, [8]),
        (9, [9]),
        (12, [8, 4]),
        (13, [8, 5]),
        (17, [8, 9]),
        (40, [8] * 5),
    ],
)
def test_preferred_sizes_are_taken_where_the_rest_fills_one_too(waiting: int, sizes: list[int]) -> None:
    batcher: Batcher[int] = Batcher(16, 100, BatchCost(), (4, 8))
    batcher.grant()
    for number in range(waiting):
        batcher.add(number, NEVER)
    found = []
    while len(batcher):
        found.append(len(batcher.take(0).batch))
    assert sum(found) == waiting
    assert found == sizes


def test_the_largest_batch_may_be_a_preferred_one_and_larger_ones_do_not_count() -> None:
    batcher: Batcher[int] = Batcher(16, 100, BatchCost(), (4, 16, 32))
    batcher.grant()
    for number in range(40):
        batcher.add(number, NEVER)
    assert [len(batcher.take(0).batch) for _ in range(4)] == [16, 16, 4, 4]
