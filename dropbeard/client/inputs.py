"""What a caller may pass as an image, turned into a task input without changing its bytes (rule 2.5)."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from dropbeard.errors import InputInvalid
from dropbeard.types.limits import INPUT_BYTES_MAX
from dropbeard.types.task import Input, InputKind


def input_from(image: Any) -> Input:
    """A path (file as it is; ``.npy`` as a raw array), an image file's bytes, a PIL image (sent as PNG), or a uint8
    array H x W x 3 (sent raw). InputInvalid for anything else, or a file that cannot be read.
    """
    if isinstance(image, Input):
        return image
    if isinstance(image, str | Path):
        return _from_file(Path(image))
    if isinstance(image, bytes | bytearray | memoryview):
        return Input(InputKind.ENCODED_IMAGE, (0, 0, 0), bytes(image))
    if hasattr(image, "__array_interface__") and not hasattr(image, "convert"):
        return _from_array(image)
    if hasattr(image, "convert") and hasattr(image, "save"):
        data = io.BytesIO()
        image.convert("RGB").save(data, format="PNG")
        return Input(InputKind.ENCODED_IMAGE, (0, 0, 0), data.getvalue())
    raise InputInvalid(f"cannot take {type(image).__name__} as an image: pass a path, bytes, a PIL image or an array")


def _from_file(path: Path) -> Input:
    try:
        if path.stat().st_size > INPUT_BYTES_MAX:
            raise InputInvalid(f"{path} has more than {INPUT_BYTES_MAX} bytes")
        data = path.read_bytes()
    except OSError as wrong:
        raise InputInvalid(f"cannot read {path}: {wrong.strerror}") from wrong
    if path.suffix == ".npy":
        return _from_array(_load_array(path, data))
    return Input(InputKind.ENCODED_IMAGE, (0, 0, 0), data)


def _load_array(path: Path, data: bytes) -> Any:
    import numpy as np

    try:
        return np.load(io.BytesIO(data), allow_pickle=False)
    except (ValueError, OSError, EOFError) as wrong:
        raise InputInvalid(f"{path} is not a numpy array file: {wrong}") from wrong


def _from_array(array: Any) -> Input:
    import numpy as np

    values = np.asarray(array)
    if values.dtype != np.uint8 or values.ndim != 3 or values.shape[2] != 3:
        raise InputInvalid(f"an array input is uint8 of shape (height, width, 3), not {values.dtype} {values.shape}")
    height, width, _ = values.shape
    return Input(InputKind.RAW_RGB8, (int(height), int(width), 3), np.ascontiguousarray(values).tobytes())
