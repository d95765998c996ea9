"""Answers as output tensors (rule 5.6) and response parameters.

The main output is what the metadata names (main_output.py); the others come when they are asked for by name.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np

from dropbeard.client.answers import Answer
from dropbeard.gateway.calls import CERTIFICATE, LEVELS, OURS, Options, Parameter, Wanted
from dropbeard.gateway.faults import Fault, Reason
from dropbeard.gateway.main_output import SCORES, main_output, main_tensor, scores_of
from dropbeard.gateway.tensors import Output, shown
from dropbeard.types.group import Group
from dropbeard.types.task import PROBABILITY_ONE, TaskSchema
from dropbeard.verification.aggregate import Assurance

UNDECIDED: Final = -1

Column = Callable[[Answer], Any]


def best_of(answer: Answer, count: int) -> list[int]:
    """The first classes by votes, then by the owners' median probability, then by id: rule 5.6's order for display."""
    votes = Counter(owner.class_id for owner in answer.owners)
    named: dict[int, list[int]] = {}
    for owner in answer.owners:
        for class_id, _, probability in owner.choices:
            named.setdefault(class_id, []).append(round(probability * PROBABILITY_ONE))

    def twice_median(class_id: int) -> int:
        values = sorted(named[class_id] + [0] * (len(answer.owners) - len(named[class_id])))
        return values[(len(values) - 1) // 2] + values[len(values) // 2]

    return sorted(named, key=lambda class_id: (-votes[class_id], -twice_median(class_id), class_id))[:count]


_NUMBERS: Final[Mapping[str, tuple[str, type[np.generic], Column]]] = {
    "label": ("INT64", np.int64, lambda answer: UNDECIDED if answer.class_id is None else answer.class_id),
    "margin": ("INT32", np.int32, lambda answer: answer.margin),
}
_TEXTS: Final[Mapping[str, Column]] = {
    "label_text": lambda answer: (answer.label or "").encode(),
    "assurance": lambda answer: answer.assurance.value.encode(),
    "request": lambda answer: answer.request_id.encode(),
}
CERTIFICATES: Final = "certificate"
_OF_CLASSES: Final = ("label", "label_text")


def names_of(task: TaskSchema) -> tuple[str, ...]:
    """Every output that can be asked for."""
    columns = [name for name in (*_NUMBERS, *_TEXTS) if task.form is None or name not in _OF_CLASSES]
    return (main_output(task).name, *columns, CERTIFICATES)


def is_decided(answer: Answer) -> bool:
    """Whether the group says anything: numbers and boxes always do, classes need a margin."""
    return answer.class_id is not None or answer.measured is not None


def check_wanted(wanted: Sequence[Wanted], group: Group) -> tuple[Wanted, ...]:
    """What to give; Fault for an output that the model has not, before the group is asked."""
    names, classifies = names_of(group.task), group.task.form is None
    for one in wanted:
        if one.name not in names:
            raise Fault(Reason.INVALID, f"the model has no output {shown(one.name)}; it has {', '.join(names)}")
        if one.class_count and not (classifies and one.name == SCORES):
            raise Fault(Reason.INVALID, f"class_count is for the output {SCORES} of a classification")
        if one.class_count < 0:
            raise Fault(Reason.INVALID, "class_count must not be negative")
    if len({one.name for one in wanted}) < len(wanted):
        raise Fault(Reason.INVALID, "an output is asked for twice")
    return tuple(wanted) or (Wanted(names[0]),)


def outputs_of(answers: Sequence[Answer], wanted: Sequence[Wanted], group: Group) -> tuple[Output, ...]:
    """The tensors of checked wishes, a row for each answer."""
    return tuple(_output(answers, one, group) for one in wanted)


def _output(answers: Sequence[Answer], wanted: Wanted, group: Group) -> Output:
    rows = len(answers)
    if wanted.class_count:
        return _classified(answers, wanted.class_count, group)
    if wanted.name == main_output(group.task).name:
        return main_tensor(answers, group)
    if wanted.name in _NUMBERS:
        datatype, kind, column = _NUMBERS[wanted.name]
        return Output(wanted.name, datatype, (rows, 1), np.array([[column(answer)] for answer in answers], kind))
    if wanted.name in _TEXTS:
        return Output(wanted.name, "BYTES", (rows, 1), [_TEXTS[wanted.name](answer) for answer in answers])
    certificates = [answer.certificate.data for answer in answers]
    return Output(CERTIFICATES, "BYTES", (rows, 1), certificates, is_text=False)


def _classified(answers: Sequence[Answer], count: int, group: Group) -> Output:
    """The classification extension: "SCORE:INDEX:LABEL" of the best classes. Every row has as many."""
    best = [best_of(answer, min(count, group.task.classes)) for answer in answers]
    width = max(len(row) for row in best)
    elements: list[bytes] = []
    for answer, row in zip(answers, best, strict=True):
        scores = scores_of(answer, group)
        unnamed = (class_id for class_id in range(group.task.classes) if class_id not in row)
        whole = [*row, *(next(unnamed) for _ in range(width - len(row)))]
        elements += [f"{scores[i]:f}:{i}:{group.task.labels[i]}".encode() for i in whole]
    return Output(SCORES, "BYTES", (len(answers), width), elements)


def parameters_of(answers: Sequence[Answer], options: Options) -> dict[str, Parameter]:
    """The weakest of the call's answers in numbers; of a single one its request and its certificate, too."""
    weakest = min(answers, key=lambda answer: (LEVELS.index(answer.assurance.value), answer.margin))
    found: dict[str, Parameter] = {
        f"{OURS}decided": all(map(is_decided, answers)),
        f"{OURS}margin": weakest.margin,
        f"{OURS}assurance": weakest.assurance.value,
    }
    if len(answers) == 1:
        found[f"{OURS}request"] = answers[0].request_id
        if options.certificate:
            found[CERTIFICATE] = Output("", "BYTES", (1,), [answers[0].certificate.data], is_text=False).values()[0]
    return found


def check_required(answers: Sequence[Answer], require: str) -> None:
    """Fault unless every answer is as settled as the call requires."""
    for number, answer in enumerate(answers):
        decided = is_decided(answer)
        enough = decided if require == "decided" else answer.assurance.covers(_assurance(require))
        if not enough:
            state = (
                f"has a margin of {answer.margin} (assurance {answer.assurance.value})" if decided else "is undecided"
            )
            raise Fault(Reason.UNSETTLED, f"row {number} {state}, required is {require}; request {answer.request_id}")


def _assurance(require: str) -> Assurance:
    return Assurance.NONE if require == "none" else Assurance(require)
