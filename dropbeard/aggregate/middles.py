"""Medians and trimmed means of vectors, scores and tensors, in whole numbers (rule 5.6).

Let m openings be at hand, m >= 2f+1 as in every certificate of an agreed request, f of them lies. In each coordinate:

- The result lies between the least and the largest honest number. (Coordinate by coordinate: a vector of medians need
  not lie among the honest vectors.) A plain mean has no such bound: one liar moves it anywhere.
- ``low`` and ``high`` bound what the result could have become, had any f of the owners opened here answered otherwise;
  had the liars told the truth, it would have been within.

Neither promises that two certificates of one request give the same: other openings, another middle. There is no margin
in votes. *Robust* says that no f owners could have moved a score as far as the task's ``scale``, or an element of a
tensor further; vectors have no scale, and no assurance is named for them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dropbeard.errors import AggregateInvalid
from dropbeard.types.outputs import Numbers, OutputKind
from dropbeard.verification.aggregate import Assurance
from dropbeard.verification.certificate import Verified


@dataclass(frozen=True, slots=True)
class Middle:
    """``value`` between ``low`` and ``high`` (see above), all in the form's stored units, row-major."""

    value: Numbers
    low: tuple[int, ...]
    high: tuple[int, ...]
    assurance: Assurance

    @property
    def reach(self) -> int:
        """The most that f owners could have moved any number, in stored units."""
        rows = zip(self.value.values, self.low, self.high, strict=True)
        return max(max(value - low, high - value) for value, low, high in rows)


def coordinate_median(verified: Verified) -> Middle:
    """The median in each coordinate; of an even number of openings the mean of the two in the middle, rounded down.

    Where more than half of the openings have the same number, that is the median: a map of categories is decided by
    majority. Raises AggregateInvalid unless the task's answers are numbers and 2f+1 are opened.
    """
    rows = _rows(verified)
    f, lower, upper = verified.f, (len(rows) - 1) // 2, len(rows) // 2

    def middle(ordered: Sequence[int], moved: int) -> int:
        return (ordered[lower + moved] + ordered[upper + moved]) // 2

    columns = [sorted(column) for column in zip(*(row.values for row in rows), strict=True)]
    return _middle(rows[0], *([middle(column, moved) for column in columns] for moved in (0, -f, f)))


def trimmed_mean(verified: Verified, trim: int | None = None) -> Middle:
    """The mean, rounded down, of what is left in each coordinate without the ``trim`` least and largest numbers.

    ``trim`` is f unless given; at least f, or a liar would count, and less than half of the openings. Raises
    AggregateInvalid otherwise, and unless the task's answers are numbers and 2f+1 are opened.
    """
    rows = _rows(verified)
    f, cut = verified.f, verified.f if trim is None else trim
    kept = len(rows) - 2 * cut
    if cut < f or kept < 1:
        raise AggregateInvalid(f"trim = {cut} must be at least f = {f} and leave some of {len(rows)} answers")
    columns = [sorted(column) for column in zip(*(row.values for row in rows), strict=True)]
    parts = ([sum(column[cut + moved : cut + moved + kept]) // kept for column in columns] for moved in (0, -f, f))
    return _middle(rows[0], *parts)


def _rows(verified: Verified) -> list[Numbers]:
    rows = [answer.output for answer in verified.answers if isinstance(answer.output, Numbers)]
    if len(rows) != len(verified.answers):
        raise AggregateInvalid("the task's answers are no numbers: a median needs an embedding, scores or a tensor")
    if len(rows) < 2 * verified.f + 1:
        raise AggregateInvalid(f"{len(rows)} answers, a middle among f = {verified.f} liars needs {2 * verified.f + 1}")
    return rows


def _middle(like: Numbers, value: Sequence[int], low: Sequence[int], high: Sequence[int]) -> Middle:
    found = Middle(Numbers(like.form, tuple(value)), tuple(low), tuple(high), Assurance.NONE)
    if found.reach < like.form.scale + (like.form.kind is OutputKind.TENSOR):
        return Middle(found.value, found.low, found.high, Assurance.ROBUST)
    return found
