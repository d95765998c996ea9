"""What a caller may pass as an image."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dropbeard.client.inputs import input_from
from dropbeard.errors import InputInvalid
from dropbeard.types.task import InputKind

ARRAY = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)


def test_a_file_goes_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(b"exactly these bytes")
    for given in (input_from(path), input_from(str(path)), input_from(b"exactly these bytes")):
        assert (given.kind, given.shape, given.data) == (InputKind.ENCODED_IMAGE, (0, 0, 0), b"exactly these bytes")


def test_an_array_goes_raw_with_its_shape(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", ARRAY)
    for given in (input_from(ARRAY), input_from(np.asfortranarray(ARRAY)), input_from(tmp_path / "a.npy")):
        assert (given.kind, given.shape, given.data) == (InputKind.RAW_RGB8, (4, 4, 3), bytes(range(48)))


def test_a_pil_image_goes_as_a_lossless_file() -> None:
    given = input_from(Image.fromarray(ARRAY))
    assert given.kind is InputKind.ENCODED_IMAGE
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(given.data))), ARRAY)


@pytest.mark.parametrize("image", [3, None, ARRAY.astype(np.float32), ARRAY[:, :, :1], ARRAY[0]])
def test_anything_else_is_refused_with_what_to_pass(image: object) -> None:
    with pytest.raises(InputInvalid):
        input_from(image)


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputInvalid, match="cannot read"):
        input_from(tmp_path / "none.jpg")
    (tmp_path / "a.npy").write_bytes(b"no array")
    with pytest.raises(InputInvalid, match="not a numpy array"):
        input_from(tmp_path / "a.npy")
