"""The free pictures come from the cache, an installed package or one wheel, or there is one clear error."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from dropbeard.errors import ExtraMissing
from dropbeard.serving.free_images import PICTURE_BYTES_MAX, PICTURES, free_images, read_wheel
from dropbeard.serving.packages import package_directory


def wheel(folder: Path, contents: dict[str, bytes]) -> Path:
    path = folder / "some.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in contents.items():
            archive.writestr(f"skimage/data/{name}", data)
    return path


def test_the_pictures_are_read_out_of_a_wheel(tmp_path: Path) -> None:
    contents = {picture.file: picture.file.encode() for picture in PICTURES}
    assert list(read_wheel(wheel(tmp_path, contents))) == [(picture, picture.file.encode()) for picture in PICTURES]


def test_a_wheel_without_them_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ExtraMissing, match="name pictures of your own"):
        list(read_wheel(wheel(tmp_path, {})))


def test_a_picture_that_unpacks_too_large_is_refused(tmp_path: Path) -> None:
    contents = {picture.file: bytes(PICTURE_BYTES_MAX + 1) for picture in PICTURES}
    with pytest.raises(ExtraMissing, match="too large"):
        list(read_wheel(wheel(tmp_path, contents)))


def test_a_file_that_is_no_wheel_is_one_clear_error(tmp_path: Path) -> None:
    path = tmp_path / "some.whl"
    path.write_bytes(b"no zip")
    with pytest.raises(ExtraMissing, match=r"some\.whl is not as expected"):
        list(read_wheel(path))


@pytest.mark.skipif(package_directory("skimage") is not None, reason="the pictures are installed here")
def test_without_a_registry_there_is_one_clear_error(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"NO_INDEX": "1", "FIND_LINKS": str(tmp_path), "CONFIG_FILE": "/dev/null"}.items():
        monkeypatch.setenv(f"PIP_{name}", value)
    asked: list[str] = []
    with pytest.raises(ExtraMissing, match="name pictures of your own instead") as caught:
        free_images(asked.append)
    assert asked == ["scikit-image==0.26.0"]
    assert "\n" not in str(caught.value)
    assert not cache.exists()
