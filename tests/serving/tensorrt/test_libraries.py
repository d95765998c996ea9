"""What is missing for TensorRT is one line that says what to do, each in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from dropbeard.serving.packages import package_directory

TIMEOUT_S = 60

ASK = """
import ctypes, sys
from dropbeard.errors import DropbeardError
from dropbeard.serving.tensorrt.libraries import load_libraries
{before}
try:
    print(load_libraries().version)
except DropbeardError as wrong:
    print(type(wrong).__name__, wrong)
"""


def said(before: str = "") -> str:
    command = [sys.executable, "-c", ASK.format(before=before)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=True)
    return done.stdout


def preload(folder: Path, *names: str) -> str:
    return "\n".join(f"ctypes.CDLL({str(folder / name)!r}, mode=ctypes.RTLD_GLOBAL)" for name in names)


@pytest.mark.skipif(package_directory("pycuda") is not None, reason="pycuda is installed")
def test_without_pycuda_the_extra_is_named() -> None:
    assert said().startswith("ExtraMissing the tensorrt backend needs the package pycuda: pip install")


def test_without_a_driver_that_is_said(prepared: Path) -> None:
    assert said().startswith("EngineFailed there is no NVIDIA driver on this machine (libcuda.so.1 is missing)")


def test_without_a_device_that_is_said(prepared: Path) -> None:
    none = preload(prepared, "libcuda.so.1") + "\nctypes.CDLL('libcuda.so.1').fake_set_devices(0)"
    assert said(none).startswith("EngineFailed there is no CUDA device on this machine")


def test_a_driver_older_than_the_headers_is_said_with_the_symbol(prepared: Path) -> None:
    words = said(preload(prepared / "old", "libcuda.so.1"))
    assert words.startswith("EngineFailed the NVIDIA driver is older than the CUDA headers that pycuda was built with")
    assert "(it has no cu" in words


def test_without_tensorrts_libraries_that_is_said(prepared: Path) -> None:
    words = said(preload(prepared, "libcuda.so.1"))
    assert words.startswith("EngineFailed TensorRT's libraries cannot be loaded (libnv")


def test_with_all_of_them_the_version_is_known(prepared: Path) -> None:
    names = ("libcuda.so.1", "libnvinfer.so.11", "libnvinfer_plugin.so.11", "libnvonnxparser.so.11")
    assert said(preload(prepared, *names)).startswith("11.")
