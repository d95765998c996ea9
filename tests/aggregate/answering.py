"""Verified certificates with any answers, and every way in which f owners may lie."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hypothesis import strategies as st

from dropbeard.types.entries import EntryKind
from dropbeard.types.ids import Height, OwnerId, RequestId, TimeUs, Version
from dropbeard.types.outputs import Box, Boxes, Element, Numbers, OutputForm, OutputKind, boxes_in_order
from dropbeard.types.task import Classification, Output
from dropbeard.verification.certificate import OwnerAnswer, Verified
from tests.verification.building import filled

SIZES = [(1, 0), (4, 1), (5, 1), (7, 2)]
"""(n, f)."""

VECTOR = OutputForm(OutputKind.EMBEDDING, (3,), Element.I16, 14)
SCORES = OutputForm(OutputKind.SCORES, (3,), Element.I16, 4, scale=100)
CLASSES = 5


def verified(n: int, f: int, answers: Mapping[int, Output], request: int = 1) -> Verified:
    """A verified certificate in which these owners answered this."""
    rows = tuple(
        OwnerAnswer(OwnerId(owner), f"owner {owner}", Version(1), filled(owner), output)
        for owner, output in answers.items()
    )
    return Verified(EntryKind.AGREED, RequestId(filled(request)), Height(1), TimeUs(1), n, f, rows)


def vote(class_id: int, probability: int = 40_000) -> Classification:
    """A top-1 answer."""
    return Classification(((class_id, probability),))


numbers = st.lists(st.integers(-200, 200), min_size=3, max_size=3).map(tuple)
scores = numbers.map(lambda values: Numbers(SCORES, values))
vectors = numbers.map(lambda values: Numbers(VECTOR, values))
votes = st.integers(0, CLASSES - 1).map(vote)


@st.composite
def box_lists(draw: st.DrawFn) -> Boxes:
    """Up to four boxes of two classes on a coarse grid, so that many overlap."""
    grid = st.integers(0, 6)
    found = []
    for _ in range(draw(st.integers(0, 4))):
        x, y, wide, high = draw(st.tuples(grid, grid, st.integers(2, 5), st.integers(2, 5)))
        found.append(Box(draw(st.integers(0, 1)), x, y, x + wide, y + high, draw(st.sampled_from([5, 9]))))
    return boxes_in_order(found)


@st.composite
def full_vectors(draw: st.DrawFn) -> Classification:
    """A probability for every class."""
    values = draw(st.lists(st.integers(0, 13_000), min_size=CLASSES, max_size=CLASSES))
    return Classification(tuple(sorted(enumerate(values), key=lambda row: (-row[1], row[0]))))


@st.composite
def lied_to(draw: st.DrawFn, outputs: st.SearchStrategy[Output]) -> tuple[Verified, Verified, list[int]]:
    """What n-f to n owners answered, the same with f of the opened ones changed at will, and who was changed."""
    n, f = draw(st.sampled_from(SIZES))
    opened = sorted(draw(st.sets(st.integers(0, n - 1), min_size=max(n - f, 1), max_size=n)))
    honest: dict[int, Output] = {owner: draw(outputs) for owner in opened}
    liars = draw(st.permutations(opened))[:f]
    changed = honest | {liar: draw(outputs) for liar in liars}
    return verified(n, f, honest), verified(n, f, changed), list(liars)


def reordered(given: Verified, order: Sequence[int]) -> Verified:
    """The same openings in another order."""
    rows = tuple(given.answers[place] for place in order)
    return Verified(given.kind, given.request, given.height, given.time, given.n, given.f, rows)


def outputs_but(given: Verified, left_out: Sequence[int]) -> list[Output]:
    """Answers of all but these owners."""
    return [answer.output for answer in given.answers if answer.owner not in left_out]
