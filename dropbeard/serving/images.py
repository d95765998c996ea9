"""From a client's image to the numbers a model takes, exactly as its manifest says (rule 2.5).

Encoded images are JPEG, PNG or WebP. Of several frames the first counts, transparency is dropped, an EXIF
orientation is ignored: the pixels count as they are stored, so that every owner sees the same ones. Files are
decoded at full size (a JPEG's cheaper draft mode would change pixels), after their header was checked.
"""

from __future__ import annotations

import io
import warnings
from typing import Final

import numpy as np
import numpy.typing as npt

from dropbeard.errors import ExtraMissing, InputInvalid
from dropbeard.serving.manifest import InputRule
from dropbeard.types.task import Input, InputKind, TaskSchema

try:
    from PIL import Image, UnidentifiedImageError
except ImportError as missing:
    raise ExtraMissing("reading images needs the package pillow: pip install 'dropbeard[onnx]'") from missing

FORMATS: Final = ("JPEG", "PNG", "WEBP")
RESAMPLE: Final = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}

# The task's own limit is checked before any pixel is decoded; Pillow's warning would only reach a log.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)


def _open(data: bytes) -> Image.Image:
    # Reads the header only.
    try:
        return Image.open(io.BytesIO(data), formats=FORMATS)
    except UnidentifiedImageError as error:
        raise InputInvalid("the input is not a JPEG, PNG or WebP image") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise InputInvalid(f"the image has too many pixels: {error}") from error
    # A hostile header can make a decoder raise nearly anything.
    except Exception as error:
        raise InputInvalid(f"the image's header is broken: {error}") from error


def _decode(data: bytes, pixels_max: int) -> Image.Image:
    with _open(data) as image:
        width, height = image.size
        if width * height > pixels_max:
            raise InputInvalid(
                f"the image has {width} x {height} = {width * height} pixels, at most {pixels_max} are accepted"
            )
        try:
            return image.convert("RGB")
        # So can a hostile body.
        except Exception as error:
            raise InputInvalid(f"the image is cut off or damaged: {error}") from error


def _picture(given: Input, schema: TaskSchema) -> Image.Image:
    schema.check_input(given)
    if given.kind is InputKind.ENCODED_IMAGE:
        return _decode(given.data, schema.pixels_max)
    height, width, _ = given.shape
    return Image.frombuffer("RGB", (width, height), given.data, "raw", "RGB", 0, 1)


def check_picture(given: Input, schema: TaskSchema) -> None:
    """Decode as an engine would and keep nothing; ``InputInvalid`` when the task does not accept it."""
    _picture(given, schema)


def picture_array(given: Input, schema: TaskSchema) -> npt.NDArray[np.uint8]:
    """The whole picture: height x width x 3, RGB. ``InputInvalid`` when the input is not what the task accepts."""
    return np.asarray(_picture(given, schema))


def pixels(given: Input, schema: TaskSchema, rule: InputRule) -> npt.NDArray[np.uint8]:
    """The centre square, ``crop`` of the shorter side, resized: size x size x 3, RGB.

    ``InputInvalid`` when the input is not what the task accepts.
    """
    if given.kind is InputKind.RAW_RGB8 and given.shape == (rule.size, rule.size, 3) and rule.crop == 1.0:
        # Nothing to cut or to resize: Pillow would copy it three times to find that out.
        schema.check_input(given)
        return np.frombuffer(given.data, np.uint8).reshape(given.shape)
    picture = _picture(given, schema)
    width, height = picture.size
    side = min(width, height) * rule.crop
    box = ((width - side) / 2, (height - side) / 2, (width + side) / 2, (height + side) / 2)
    resized = picture.resize((rule.size, rule.size), RESAMPLE[rule.resample], box=box)
    return np.asarray(resized)


def normalise(picture: npt.NDArray[np.uint8], rule: InputRule) -> npt.NDArray[np.float32]:
    """(pixel - mean) * scale per channel, in the model's channel order: 3 x size x size."""
    ordered = picture[..., ::-1] if rule.channel_order == "bgr" else picture
    # Planes first: the arithmetic then runs along rows, eighteen times as fast as along three channels.
    planes = ordered.transpose(2, 0, 1).astype(np.float32, order="C")
    planes -= np.asarray(rule.mean, np.float32)[:, None, None]
    planes *= np.asarray(rule.scale, np.float32)[:, None, None]
    return planes


def preprocess(given: Input, schema: TaskSchema, rule: InputRule) -> npt.NDArray[np.float32]:
    """One input as the model takes it; ``InputInvalid`` when it is not what the task accepts."""
    return normalise(pixels(given, schema, rule), rule)
