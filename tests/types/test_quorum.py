"""The sizes of agreement, held against what they are for."""

from __future__ import annotations

from itertools import product

from dropbeard.types.quorum import most_faults, quorum_size, weak_quorum_size

SIZES = [(n, f) for n, f in product(range(1, 65), range(22)) if n >= 3 * f + 1]


def test_a_quorum_is_the_smallest_of_which_any_two_share_an_honest_replica() -> None:
    for n, f in SIZES:
        assert 2 * quorum_size(n, f) - n > f >= 2 * (quorum_size(n, f) - 1) - n
        assert quorum_size(n, f) <= n - f


def test_a_weak_quorum_has_one_more_than_may_lie() -> None:
    assert [weak_quorum_size(f) for f in range(4)] == [1, 2, 3, 4]


def test_a_group_tolerates_as_many_as_it_has_more_than_three_times_as_many_owners() -> None:
    assert [most_faults(n) for n in range(1, 65)] == [max(f for m, f in SIZES if m == n) for n in range(1, 65)]
