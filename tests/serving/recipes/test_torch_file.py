"""State dicts are read from both containers, and nothing in them is run or reaches beyond its storage."""

from __future__ import annotations

import os
import pickle
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from dropbeard.errors import ModelMissing
from dropbeard.serving.recipes.torch_file import read_state_dict
from tests.serving.recipes.torch_files import View, legacy_file, pretend_torch, zip_file

DATA: npt.NDArray[np.float32] = np.arange(12, dtype=np.float32)

Writer = Callable[[object, npt.NDArray[np.float32]], bytes]


@pytest.fixture(autouse=True)
def torch_names(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend_torch(monkeypatch)


@pytest.fixture(params=[legacy_file, zip_file])
def write(request: pytest.FixtureRequest) -> Writer:
    writer: Writer = request.param
    return writer


def one(shape: tuple[int, ...], stride: tuple[int, ...], offset: int = 0) -> OrderedDict[str, View]:
    return OrderedDict(weight=View(DATA, offset, shape, stride))


def test_tensors_are_read_by_name(write: Writer) -> None:
    state = OrderedDict(a=View(DATA, 0, (3, 4), (4, 1)), b=View(DATA, 2, (), ()))
    read = read_state_dict(write(state, DATA))
    assert list(read) == ["a", "b"]
    assert np.array_equal(read["a"], DATA.reshape(3, 4))
    assert read["b"] == 2


def test_a_transposed_tensor_is_read_as_it_is_seen(write: Writer) -> None:
    assert np.array_equal(read_state_dict(write(one((4, 3), (1, 4)), DATA))["weight"], DATA.reshape(3, 4).T)


def test_a_tensor_is_no_view_of_the_file(write: Writer) -> None:
    weight = read_state_dict(write(one((12,), (1,)), DATA))["weight"]
    weight[0] = 7
    assert weight.flags.owndata


@pytest.mark.parametrize(
    ("shape", "stride", "offset"),
    [
        ((13,), (1,), 0),
        ((12,), (1,), 1),
        ((2,), (1 << 40,), 0),
        ((3, 4), (4, 2), 0),
        ((2,), (-1,), 5),
        ((-2,), (1,), 0),
        ((2,), (1,), -1),
        ((2, 2), (1,), 0),
    ],
)
def test_a_tensor_beyond_its_storage_is_refused(
    write: Writer, shape: tuple[int, ...], stride: tuple[int, ...], offset: int
) -> None:
    with pytest.raises(ModelMissing, match="install its package again"):
        read_state_dict(write(one(shape, stride, offset), DATA))


class Attack:
    """Makes a folder when it is unpickled by something that runs what it reads."""

    def __init__(self, marker: Path) -> None:
        self.marker = str(marker)

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.mkdir, (self.marker,)


def test_code_in_a_file_is_refused_and_not_run(write: Writer, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    with pytest.raises(ModelMissing, match="mkdir"):
        read_state_dict(write(OrderedDict(weight=Attack(marker)), DATA))
    assert not marker.exists()
    pickle.loads(pickle.dumps(Attack(marker)))
    assert marker.exists()


def test_a_storage_of_another_length_is_refused(write: Writer) -> None:
    with pytest.raises(ModelMissing):
        read_state_dict(write(one((12,), (1,)), DATA[:-1]))


@pytest.mark.parametrize("state", [OrderedDict(weight=1), [1, 2], "text"])
def test_a_file_without_tensors_is_refused(write: Writer, state: object) -> None:
    with pytest.raises(ModelMissing):
        read_state_dict(write(state, DATA))


def test_another_magic_number_is_refused() -> None:
    with pytest.raises(ModelMissing, match="magic"):
        read_state_dict(legacy_file(one((12,), (1,)), DATA, magic=7))


def test_a_file_cut_anywhere_is_refused(write: Writer) -> None:
    whole = write(one((12,), (1,)), DATA)
    for length in range(0, len(whole), 5):
        with pytest.raises(ModelMissing):
            read_state_dict(whole[:length])
