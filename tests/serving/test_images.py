"""Images become numbers exactly as the manifest says, and hostile ones become one line."""

from __future__ import annotations

import io
import struct
import zlib

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from dropbeard.errors import InputInvalid
from dropbeard.serving.images import pixels, preprocess
from dropbeard.serving.manifest import InputRule
from dropbeard.types.task import Input, InputKind, TaskSchema
from tests.serving.colours import encoded, plain, png

SCHEMA = TaskSchema("images", ("a", "b"), 1, 100_000, 40_000)
RULE = InputRule(
    size=4,
    crop=0.5,
    resample="bilinear",
    channel_order="rgb",
    layout="nchw",
    mean=(1.0, 2.0, 3.0),
    scale=(0.5, 0.25, 2.0),
)


def noise(height: int, width: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.random.default_rng(7).integers(0, 256, (height, width, 3), np.uint8)


def file_of(image: Image.Image, kind: str, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def header_only_png(width: int, height: int) -> bytes:
    """A PNG that claims a size and has nothing behind it."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def test_each_channel_has_its_mean_and_scale() -> None:
    prepared = preprocess(plain(11, 22, 33), SCHEMA, RULE)
    assert prepared.shape == (3, 4, 4)
    assert prepared.dtype == np.float32
    assert [set(channel.ravel()) for channel in prepared] == [{5.0}, {5.0}, {60.0}]


def test_mean_and_scale_are_in_the_models_channel_order() -> None:
    rule = msgspec.structs.replace(RULE, channel_order="bgr")
    prepared = preprocess(plain(11, 22, 33), SCHEMA, rule)
    assert [channel[0, 0] for channel in prepared] == [16.0, 5.0, 16.0]


def test_only_the_centre_is_seen() -> None:
    wide = np.zeros((16, 40, 3), np.uint8)
    wide[2:14, 14:26] = 255  # the centre square is 8 wide, the filter reaches 2 beyond it
    assert (pixels(encoded(png(wide)), SCHEMA, RULE) == 255).all()
    whole = msgspec.structs.replace(RULE, crop=1.0)
    assert not (pixels(encoded(png(wide)), SCHEMA, whole) == 255).all()


def test_a_reduction_averages_the_pixels() -> None:
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 200
    rule = msgspec.structs.replace(RULE, crop=1.0)
    assert (abs(pixels(encoded(png(stripes)), SCHEMA, rule).astype(int) - 100) <= 15).all()


def test_the_two_filters_differ() -> None:
    cubic = msgspec.structs.replace(RULE, resample="bicubic")
    image = encoded(png(noise(20, 20)))
    assert (pixels(image, SCHEMA, RULE) != pixels(image, SCHEMA, cubic)).any()


def test_a_raw_array_and_its_file_are_the_same() -> None:
    picture = noise(30, 20)
    raw = Input(InputKind.RAW_RGB8, (30, 20, 3), picture.tobytes())
    assert (pixels(raw, SCHEMA, RULE) == pixels(encoded(png(picture)), SCHEMA, RULE)).all()


def test_a_raw_array_of_the_models_own_size_is_taken_as_it_is_and_a_wrong_one_is_still_refused() -> None:
    whole = msgspec.structs.replace(RULE, crop=1.0, size=8)
    picture = noise(8, 8)
    given = Input(InputKind.RAW_RGB8, (8, 8, 3), picture.tobytes())
    file = Input(InputKind.ENCODED_IMAGE, (0, 0, 0), file_of(Image.fromarray(picture), "PNG"))
    assert np.array_equal(pixels(given, SCHEMA, whole), picture)
    assert np.array_equal(preprocess(given, SCHEMA, whole), preprocess(file, SCHEMA, whole))
    with pytest.raises(InputInvalid, match="needs 192 bytes, got 191"):
        pixels(Input(InputKind.RAW_RGB8, (8, 8, 3), picture.tobytes()[1:]), SCHEMA, whole)


def test_a_jpeg_is_decoded_at_full_size() -> None:
    data = file_of(Image.fromarray(noise(160, 160)), "JPEG")
    decoded = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    raw = Input(InputKind.RAW_RGB8, (160, 160, 3), decoded.tobytes())
    assert (pixels(encoded(data), SCHEMA, RULE) == pixels(raw, SCHEMA, RULE)).all()


def test_an_exif_orientation_is_ignored() -> None:
    turned = Image.Exif()
    turned[0x0112] = 6
    picture = Image.fromarray(noise(16, 32))
    stored, marked = file_of(picture, "JPEG"), file_of(picture, "JPEG", exif=turned)
    assert marked != stored
    assert (pixels(encoded(marked), SCHEMA, RULE) == pixels(encoded(stored), SCHEMA, RULE)).all()


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "LA", "1", "CMYK"])
def test_other_colour_modes_become_rgb(mode: str) -> None:
    kind = "JPEG" if mode == "CMYK" else "PNG"
    data = file_of(Image.new("RGB", (8, 8), (255, 255, 255)).convert(mode), kind)
    assert (pixels(encoded(data), SCHEMA, RULE) == 255).all()


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "empty"),
        (b"hello", "not a JPEG, PNG or WebP"),
        (b"\xff\xd8\xff", "not a JPEG, PNG or WebP"),
        (file_of(Image.new("RGB", (4, 4)), "GIF"), "not a JPEG, PNG or WebP"),
        (file_of(Image.new("RGB", (4, 4)), "BMP"), "not a JPEG, PNG or WebP"),
        (png(noise(40, 40))[:500], "cut off"),
        (file_of(Image.fromarray(noise(40, 40)), "JPEG")[:700], "cut off"),
        (bytes(100_001), "100001 bytes, at most 100000"),
        (header_only_png(201, 200), "40200 pixels, at most 40000"),
        (header_only_png(10_000, 10_000), "100000000 pixels, at most 40000"),
        (header_only_png(60_000, 60_000), "too many pixels"),
    ],
    ids=lambda value: "file" if isinstance(value, bytes) else value,
)
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_a_bad_file_is_one_line(data: bytes, says: str) -> None:
    with pytest.raises(InputInvalid, match=says) as caught:
        preprocess(encoded(data), SCHEMA, RULE)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("shape", [(4, 4, 4), (4, 5, 3), (0, 0, 3), (201, 200, 3)])
def test_a_raw_array_of_another_shape_is_refused(shape: tuple[int, int, int]) -> None:
    with pytest.raises(InputInvalid):
        preprocess(Input(InputKind.RAW_RGB8, shape, bytes(48)), SCHEMA, RULE)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
@settings(max_examples=60)
@given(place=st.floats(0, 1, exclude_max=True), flip=st.integers(1, 255), kept=st.floats(0, 1))
def test_a_damaged_file_is_an_image_or_refused(kind: str, place: float, flip: int, kept: float) -> None:
    data = bytearray(file_of(Image.fromarray(noise(24, 24)), kind))
    data[int(place * len(data))] ^= flip
    damaged = bytes(data[: max(1, int(kept * 2 * len(data)))])
    try:
        prepared = preprocess(encoded(damaged), SCHEMA, RULE)
    except InputInvalid as error:
        assert "\n" not in str(error)
    else:
        assert prepared.shape == (3, 4, 4)
