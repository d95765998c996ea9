"""Pickled arrays are read, and nothing else is."""

from __future__ import annotations

import datetime
import pickle

import numpy as np
import pytest

from dropbeard.errors import ModelMissing
from dropbeard.serving.recipes.array_pickle import read_arrays


def test_arrays_in_containers_are_read() -> None:
    kernel = np.arange(6, dtype=np.float32).reshape(2, 3)
    read = read_arrays(pickle.dumps({"layer": [kernel, kernel[0]]}, protocol=3))
    assert isinstance(read, dict)
    assert np.array_equal(read["layer"][0], kernel)
    assert np.array_equal(read["layer"][1], kernel[0])


@pytest.mark.parametrize("value", [print, datetime.date(2000, 1, 1), np.float32, np.random.default_rng])
def test_any_other_name_is_refused(value: object) -> None:
    with pytest.raises(ModelMissing, match="it names"):
        read_arrays(pickle.dumps(value))


@pytest.mark.parametrize("data", [b"", b"text", pickle.dumps([1, 2])[:-1]])
def test_a_broken_pickle_is_refused(data: bytes) -> None:
    with pytest.raises(ModelMissing, match="install its package again"):
        read_arrays(data)
