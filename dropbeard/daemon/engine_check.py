"""Does an engine compute its model? Asked of the whole daemon, in batches and out of order, on real pictures.

Three answers to each picture are held against each other: the daemon's on the backend in question, ONNX Runtime's alone
with one picture at a time, and, for the pictures that the manifest records, what the model said when it was written. A
wrong mean, channel order or swapped row shows in the first or the last.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from dropbeard.daemon.new_group import read_labels
from dropbeard.daemon.solo_engine import SoloEngine, solo_engine
from dropbeard.errors import EngineFailed
from dropbeard.serving.backends import ModelBackend, make_engine
from dropbeard.serving.free_images import free_images
from dropbeard.serving.manifest import LogitsRule, Manifest
from dropbeard.types.genesis_file import task_schema
from dropbeard.types.task import PROBABILITY_ONE, Classification, Input, InputKind, TaskSchema

TOLERANCE: Final = {"onnx": 2, "openvino": 330, "tensorrt": 330, "oip": 330}
"""Largest difference of a probability, in 1/65535, between a backend and ONNX Runtime alone: other libraries add up in
another order, 0.5 % is what that may come to; the same library does not."""

RECORDED_TOLERANCE: Final = 660
"""The same between ONNX Runtime or another library here and what the manifest records: image decoders and processors
differ a little too, a wrong mean or channel order by far more."""

CROPS: Final = 7
"""Pieces cut from each free picture, to have more of them, of several sizes."""

ROUNDS: Final = 2


@dataclass(frozen=True, slots=True)
class Checked:
    """Pictures asked, answers got, and the largest differences in probability, 0 to 1."""

    pictures: int
    answers: int
    to_alone: float
    to_recorded: float | None
    worst: str
    """The picture with the largest difference to ONNX Runtime alone."""


def check_engine(
    manifest: Manifest, backend: ModelBackend, url: str | None = None, remote_model: str | None = None
) -> Checked:
    """Run the check. Raises EngineFailed when a difference is too large, or when the daemon does not serve."""
    if not isinstance(manifest.output, LogitsRule):
        raise EngineFailed(f"{manifest.name} does not classify: engine check compares classifications only")
    schema = task_schema(manifest.task, read_labels(None))
    pictures = _pictures(schema)
    alone = _alone(manifest, schema, [given for _, given in pictures])
    with solo_engine(manifest.name, backend, schema, url=url, remote_model=remote_model) as engine:
        answers = _ask(engine, schema, pictures)
    worst, place = max(
        (difference(alone[picture], answer), picture) for picture, rows in answers.items() for answer in rows
    )
    recorded = _recorded(manifest, pictures, answers)
    total = sum(map(len, answers.values()))
    share = None if recorded is None else recorded / PROBABILITY_ONE
    found = Checked(len(pictures), total, worst / PROBABILITY_ONE, share, pictures[place][0])
    if worst > TOLERANCE[backend]:
        raise EngineFailed(
            f"{manifest.name} on {backend} differs from ONNX Runtime alone by {found.to_alone:.4f} for "
            f"{found.worst}, {TOLERANCE[backend] / PROBABILITY_ONE:.4f} is allowed: do not serve with it"
        )
    if recorded is not None and recorded > RECORDED_TOLERANCE:
        raise EngineFailed(
            f"{manifest.name} on {backend} differs from what its manifest records by {share:.4f}, "
            f"{RECORDED_TOLERANCE / PROBABILITY_ONE:.4f} is allowed: its preprocessing is not what it was"
        )
    return found


def difference(expected: Classification, found: Classification) -> int:
    """Largest difference of a probability, 1/65535; a class that one of them does not list has at most its least."""
    rows = [dict(one.choices) for one in (expected, found)]
    least = [min(row.values()) for row in rows]
    largest = 0
    for class_id in rows[0].keys() | rows[1].keys():
        here, there = (row.get(class_id) for row in rows)
        if here is None or there is None:
            known, floor = (there, least[0]) if here is None else (here, least[1])
            largest = max(largest, (known or 0) - floor)
        else:
            largest = max(largest, abs(here - there))
    return largest


def _pictures(schema: TaskSchema) -> list[tuple[str, Input]]:
    """The free pictures as files, and pieces of them as arrays."""
    from dropbeard.serving.images import picture_array

    found: list[tuple[str, Input]] = []
    chance = random.Random(1)  # noqa: S311 - the same pieces every time
    for path in free_images():
        whole = Input(InputKind.ENCODED_IMAGE, (0, 0, 0), path.read_bytes())
        found.append((path.name, whole))
        array = picture_array(whole, schema)
        for number in range(CROPS):
            height, width = (chance.randint(side // 3, side) for side in array.shape[:2])
            top, left = chance.randint(0, array.shape[0] - height), chance.randint(0, array.shape[1] - width)
            piece = array[top : top + height, left : left + width]
            found.append((f"{path.name} #{number}", Input(InputKind.RAW_RGB8, piece.shape, piece.tobytes())))
    return found


def _alone(manifest: Manifest, schema: TaskSchema, pictures: Sequence[Input]) -> list[Classification]:
    engine = make_engine("onnx", manifest, schema)
    engine.load()
    answers = [engine.infer([engine.prepare(given)])[0] for given in pictures]
    engine.unload()
    return [schema.decode_output(answer) for answer in answers]


def _recorded(
    manifest: Manifest, pictures: Sequence[tuple[str, Input]], answers: dict[int, list[Classification]]
) -> int | None:
    """Largest difference to what the manifest records; None when it records nothing."""
    places = {name: place for place, (name, _) in enumerate(pictures)}
    return max(
        (
            difference(Classification(reference.choices), answer)
            for reference in manifest.reference
            for answer in answers[places[reference.picture]]
        ),
        default=None,
    )


def _ask(
    engine: SoloEngine, schema: TaskSchema, pictures: Sequence[tuple[str, Input]]
) -> dict[int, list[Classification]]:
    """By picture: the daemon's answers, one a round."""
    answers: dict[int, list[Classification]] = {place: [] for place in range(len(pictures))}
    for seed in range(ROUNDS):
        order = list(range(len(pictures)))
        random.Random(seed).shuffle(order)  # noqa: S311 - the same order every time
        for place, output in engine.ask([(place, pictures[place][1]) for place in order]):
            answers[place].append(schema.decode_output(output))
    return answers
