"""Parameters keep their bounds and their order, which the group's id fixes."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest

from dropbeard.errors import ConfigInvalid
from dropbeard.types.parameters import Parameters
from dropbeard.verification.portable_genesis import PARAMETERS

NAMES = [spec.name for spec in fields(Parameters)]
BOUNDS = {spec.name: (spec.metadata["least"], spec.metadata["most"]) for spec in fields(Parameters)}


@pytest.mark.parametrize("name", NAMES)
def test_a_value_at_its_bounds_is_accepted(name: str) -> None:
    values = [getattr(replace(Parameters(), **{name: bound}), name) for bound in BOUNDS[name]]
    assert values == list(BOUNDS[name])


@pytest.mark.parametrize("name", NAMES)
def test_a_value_beyond_its_bounds_is_refused_by_name(name: str) -> None:
    least, most = BOUNDS[name]
    for value in (least - 1, most + 1):
        with pytest.raises(ConfigInvalid, match=name):
            replace(Parameters(), **{name: value})


@pytest.mark.parametrize("at", range(len(NAMES)), ids=NAMES)
def test_each_value_is_eight_bytes_at_its_place(at: int) -> None:
    least, most = BOUNDS[NAMES[at]]
    encoded = replace(Parameters(), **{NAMES[at]: most}).encode()
    assert len(encoded) == 8 * len(NAMES)
    assert int.from_bytes(encoded[8 * at : 8 * at + 8], "little") == most
    assert least < most < 1 << 63


def test_the_order_is_the_one_that_the_portable_verifier_was_given() -> None:
    assert list(PARAMETERS) == NAMES
