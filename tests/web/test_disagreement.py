"""Who disagrees with whom, over verified certificates."""

from __future__ import annotations

from dropbeard.types.entries import EntryKind
from dropbeard.types.ids import OwnerId
from dropbeard.verification.certificate import Verified, verify
from dropbeard.web.disagreement import Compared, disagreement
from tests.verification.building import Plan, build, output, world

WORLD = world(4)
A, B, C, D = map(OwnerId, range(4))


def verified(plan: Plan) -> Verified:
    return verify(build(WORLD, plan), WORLD.group)


def test_pairs_are_counted_where_both_answered() -> None:
    found = disagreement([verified(Plan(base=(0, 1, 2, 3), votes={3: output(7)})), verified(Plan(base=(0, 1, 2)))])
    assert found.certificates == 2
    assert found.of(A, B) == Compared(2, 0)
    assert found.of(D, A) == found.of(A, D) == Compared(1, 1)
    assert found.of(A, D).share == 1


def test_an_owner_is_compared_with_what_the_group_agreed_on() -> None:
    found = disagreement([verified(Plan(base=(0, 1, 2, 3), votes={3: output(7)}))])
    assert found.with_group == {A: Compared(1, 0), B: Compared(1, 0), C: Compared(1, 0), D: Compared(1, 1)}


def test_undecided_certificates_say_nothing_of_the_group_and_expired_ones_nothing_at_all() -> None:
    tie = verified(Plan(base=(0, 1, 2, 3), votes={2: output(7), 3: output(7)}))
    found = disagreement([tie, verified(Plan(kind=EntryKind.EXPIRED, base=(0, 1)))])
    assert found.certificates == 2
    assert (found.with_group, found.of(A, D), found.of(A, B)) == ({}, Compared(1, 1), Compared(1, 0))


def test_without_certificates_nothing_is_known() -> None:
    assert disagreement([]).of(A, B).share is None
