"""What aggregates make of real answers when owners lie: every choice of 0 to f+1 liars, of several kinds.

The four models of the demo answer each picture once, as their engines do. What a certificate of these answers says is
then put together, with lies in place of the liars' own; nothing is sent: aggregates are functions of certificates. An
undecided answer counts as wrong. Histories and calibrations come from the other half of the pictures, where everybody
was honest: the worst case for weights, whose liars have the best history they can.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from dropbeard.aggregate import (
    Calibration,
    calibrate,
    conformal_set,
    coordinate_median,
    history_of,
    plurality,
    trimmed_mean,
    weighted_vote,
)
from dropbeard.aggregate.conformal import score
from dropbeard.daemon.local_group import OWNERS
from dropbeard.daemon.new_group import read_labels
from dropbeard.serving.backends import make_engine
from dropbeard.serving.catalogue import fetch
from dropbeard.serving.manifest import load_manifest
from dropbeard.serving.outputs import softmax, top_choices
from dropbeard.types.entries import EntryKind
from dropbeard.types.genesis_file import task_schema
from dropbeard.types.ids import Digest, Height, OwnerId, RequestId, TimeUs, Version
from dropbeard.types.outputs import Element, Numbers, OutputForm, OutputKind
from dropbeard.types.task import PROBABILITY_ONE, Classification, Input, InputKind, Output
from dropbeard.verification.certificate import OwnerAnswer, Verified

N: Final = 4
F: Final = 1
CLOSE: Final = 0.005
"""How far below the best single owner plurality may be where nobody lies."""

MISS: Final = Fraction(1, 10)
TARGET: Final = 7
"""The class that targeted liars name, whatever the picture shows."""

AGGREGATES: Final = (
    "best single owner",
    "mean owner",
    "plurality",
    "weighted vote",
    "coordinate median",
    "trimmed mean",
    "plain mean",
)

Votes = tuple[Classification, ...]


@dataclass(frozen=True, slots=True)
class Sample:
    """By picture: each owner's top 5, each owner's whole vector [owners, classes] in 1/65535, and the truth."""

    votes: list[Votes]
    vectors: list[npt.NDArray[np.int64]]
    truths: list[int]

    @property
    def classes(self) -> int:
        """Of the task."""
        return int(self.vectors[0].shape[1])


def sample_of(pictures: Sequence[tuple[Path, int]], threads: int) -> Sample:
    """Every model of the demo answers every picture."""
    schema = task_schema("imagenet", read_labels(None))
    columns: list[list[Classification]] = []
    vectors: list[list[npt.NDArray[np.int64]]] = []
    for _, model in OWNERS:
        fetch(model)
        engine = make_engine("onnx", load_manifest(model), schema, threads=threads)
        engine.load()
        inputs = (Input(InputKind.ENCODED_IMAGE, (0, 0, 0), path.read_bytes()) for path, _ in pictures)
        logits = [engine.logits([engine.prepare(given)]) for given in inputs]
        engine.unload()
        columns.append([schema.decode_output(top_choices(row, schema.top_k)[0]) for row in logits])
        vectors.append([np.rint(softmax(row)[0] * PROBABILITY_ONE).astype(np.int64) for row in logits])
    whole = [np.stack(rows) for rows in zip(*vectors, strict=True)]
    return Sample(list(zip(*columns, strict=True)), whole, [truth for _, truth in pictures])


Lie = Callable[[Sample, int, int], int]
"""The class that an owner names for the picture at a place."""


def certificate(answers: Sequence[Output], number: int) -> Verified:
    """What a certificate with these answers says."""
    rows = tuple(
        OwnerAnswer(OwnerId(owner), OWNERS[owner][0], Version(1), Digest(bytes(32)), answer)
        for owner, answer in enumerate(answers)
    )
    request = RequestId(number.to_bytes(32, "big"))
    return Verified(EntryKind.AGREED, request, Height(1), TimeUs(1), N, F, rows)


def _random(sample: Sample, place: int, liar: int) -> int:
    return random.Random(place * N + liar).randrange(sample.classes)


def _targeted(sample: Sample, place: int, _: int) -> int:
    return TARGET if sample.truths[place] != TARGET else TARGET + 1


def _runner_up(sample: Sample, place: int, _: int) -> int:
    weights: dict[int, int] = {}
    for answer in sample.votes[place]:
        for rank, (class_id, probability) in enumerate(answer.choices):
            weights[class_id] = weights.get(class_id, 0) + probability + (rank == 0) * PROBABILITY_ONE
    weights.pop(sample.truths[place], None)
    return max(weights, key=lambda class_id: (weights[class_id], -class_id))


LIES: Final[Mapping[str, Lie]] = {
    "random": _random,
    "targeted": _targeted,
    "colluding on the runner-up": _runner_up,
}
"""Random: any class, another one for each liar and picture. Targeted: one class. Colluding: all liars, knowing what the
others answer and what is true, name the wrong class that has most behind it. Each lies with full confidence."""


def lied(sample: Sample, place: int, liars: Sequence[int], lie: Lie | None) -> tuple[Votes, npt.NDArray[np.int64]]:
    """A picture's answers with the liars' lies in them."""
    votes, vectors = list(sample.votes[place]), sample.vectors[place].copy()
    for liar in liars if lie is not None else ():
        class_id = lie(sample, place, liar) if lie is not None else 0
        listed = len(votes[liar].choices)
        rest = [(other, 0) for other in range(listed) if other != class_id]
        votes[liar] = Classification(((class_id, PROBABILITY_ONE), *rest[: listed - 1]))
        vectors[liar] = 0
        vectors[liar, class_id] = PROBABILITY_ONE
    return tuple(votes), vectors


@dataclass(frozen=True, slots=True)
class Learnt:
    """What a client knows from other pictures."""

    weights: Mapping[OwnerId, int]
    calibrations: Mapping[OwnerId, Calibration]


def learn(sample: Sample, places: Sequence[int]) -> Learnt:
    """Weights and calibrations from these pictures, all owners honest."""
    owners = [OwnerId(owner) for owner in range(N)]
    records = history_of((certificate(sample.votes[place], place) for place in places), owners)
    calibrations = {
        owner: calibrate([score(sample.votes[place][owner], sample.truths[place]) for place in places], MISS)
        for owner in owners
    }
    return Learnt({owner: record.weight for owner, record in records.items()}, calibrations)


@dataclass(frozen=True, slots=True)
class Row:
    """One scenario. ``right`` by aggregate, ``undecided`` (plurality) and ``held`` (the truth, by the conformal set)
    are shares of the pictures over every choice of liars; ``stated`` is the coverage that the set states.
    """

    liars: int
    lie: str
    right: dict[str, float]
    undecided: float
    held: float
    stated: float
    set_size: float


def scenarios(sample: Sample) -> Iterator[Row]:
    """0 to f+1 liars of every kind."""
    places = range(len(sample.truths))
    # A picture is judged by what the other half taught.
    learnt = [learn(sample, [place for place in places if place % 2 != half]) for half in (0, 1)]
    yield _row(sample, learnt, 0, "", None)
    for count in range(1, F + 2):
        for name, lie in LIES.items():
            yield _row(sample, learnt, count, name, lie)


def _row(sample: Sample, learnt: Sequence[Learnt], count: int, name: str, lie: Lie | None) -> Row:
    right: Counter[str] = Counter()
    undecided = held = size = cases = 0
    stated = Fraction(0)
    best = best_owner(sample)
    for liars in combinations(range(N), count):
        for place, truth in enumerate(sample.truths):
            votes, vectors = lied(sample, place, liars, lie)
            known, verified = learnt[place % 2], certificate(votes, place)
            firsts = [vote.choices[0][0] for vote in votes]
            found = _of_votes(verified, known) | _of_vectors(vectors, place) | {"best single owner": firsts[best]}
            right.update(aggregate for aggregate, label in found.items() if label == truth)
            right["mean owner"] += firsts.count(truth)
            combined = conformal_set(verified, known.calibrations, sample.classes)
            shown = range(sample.classes) if combined.classes is None else [row[0] for row in combined.classes]
            undecided, cases = undecided + (found["plurality"] is None), cases + 1
            held, size, stated = held + (truth in shown), size + len(shown), combined.coverage
    shares = {aggregate: right[aggregate] / cases for aggregate in AGGREGATES}
    shares["mean owner"] /= N
    return Row(count, name, shares, undecided / cases, held / cases, float(stated), size / cases)


def _of_votes(verified: Verified, known: Learnt) -> dict[str, int | None]:
    return {"plurality": plurality(verified).label, "weighted vote": weighted_vote(verified, known.weights).label}


def _of_vectors(vectors: npt.NDArray[np.int64], place: int) -> dict[str, int | None]:
    form = OutputForm(OutputKind.TENSOR, (int(vectors.shape[1]),), Element.U16)
    verified = certificate([Numbers(form, tuple(row.tolist())) for row in vectors], place)
    middles = {"coordinate median": coordinate_median(verified), "trimmed mean": trimmed_mean(verified)}
    found: dict[str, int | None] = {key: int(np.argmax(one.value.values)) for key, one in middles.items()}
    return found | {"plain mean": int(np.argmax(vectors.sum(axis=0)))}


def best_owner(sample: Sample) -> int:
    """The owner that is right most often when nobody lies."""
    hits = [
        sum(votes[owner].choices[0][0] == truth for votes, truth in zip(sample.votes, sample.truths, strict=True))
        for owner in range(N)
    ]
    return hits.index(max(hits))


def markdown(sample: Sample, rows: Sequence[Row]) -> str:
    """The table, and whether plurality is as good as it has to be."""
    heads = ["liars", "lie", *AGGREGATES, "undecided", "conformal: held (stated), classes"]
    lines = [" | ".join(["", *heads, ""]).strip(), "|" + "---|" * len(heads)]
    for row in rows:
        cells = [str(row.liars), row.lie, *(f"{row.right[aggregate]:.3f}" for aggregate in AGGREGATES)]
        cells += [f"{row.undecided:.3f}", f"{row.held:.3f} ({row.stated:.3f}), {row.set_size:.2f}"]
        lines.append("| " + " | ".join(cells) + " |")
    calm = rows[0].right
    targeted = next(row.right for row in rows if (row.liars, row.lie) == (1, "targeted"))
    ahead = calm["plurality"] - calm["best single owner"]
    is_close, is_above = ahead >= -CLOSE - 1e-9, targeted["plurality"] > calm["mean owner"]
    return "\n".join(
        [
            *lines,
            "",
            f"{len(sample.truths)} pictures. No liar: plurality - best single owner = {ahead:+.4f}, at least {-CLOSE}: "
            f"{'holds' if is_close else 'FAILS'}.",
            f"One targeted liar: plurality {targeted['plurality']:.3f}, mean owner {targeted['mean owner']:.3f}, "
            f"without the liar {calm['mean owner']:.3f}; above both: {'holds' if is_above else 'FAILS'}.",
        ]
    )
