"""pycuda and TensorRT, imported in the order in which they can say what is missing.

A TensorRT runtime that is made where CUDA does not work ends the process with a segmentation fault, so nothing of
TensorRT is touched before a device was counted.
"""

from __future__ import annotations

import functools
import importlib
import re
from dataclasses import dataclass
from typing import Any, Final

from dropbeard.errors import EngineFailed, ExtraMissing
from dropbeard.serving.image_engine import one_line

MAJORS: Final = (10, 11)
"""TensorRT versions this is written for: both name tensors, neither has bindings by number."""


@dataclass(frozen=True, slots=True)
class DeviceName:
    """What a plan is built for: another GPU of the same name and compute capability runs it too."""

    name: str
    capability: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Libraries:
    """The modules ``pycuda.driver`` and ``tensorrt``, where CUDA works and there is a device."""

    cuda: Any
    trt: Any

    @property
    def version(self) -> str:
        """TensorRT's full version; a plan runs in no other."""
        return str(self.trt.__version__)

    def device_name(self, ordinal: int) -> DeviceName:
        """What the GPU is. Raises EngineFailed when there is no such GPU."""
        count = self.cuda.Device.count()
        if ordinal >= count:
            raise EngineFailed(f"there is no GPU {ordinal}: this machine has {count}, counted from 0")
        device = self.cuda.Device(ordinal)
        major, minor = device.compute_capability()
        return DeviceName(device.name(), (int(major), int(minor)))


@functools.cache
def load_libraries() -> Libraries:
    """Both modules; EngineFailed or ExtraMissing says in one line why there is no TensorRT here."""
    cuda = _import_pycuda()
    _count_devices(cuda)
    trt = _import_tensorrt()
    major = int(str(trt.__version__).split(".")[0])
    if major not in MAJORS:
        raise EngineFailed(f"TensorRT {trt.__version__} is installed, this needs version {MAJORS[0]} or {MAJORS[1]}")
    return Libraries(cuda, trt)


def _import_pycuda() -> Any:
    try:
        return importlib.import_module("pycuda.driver")
    except ModuleNotFoundError as missing:
        raise _not_installed(missing) from missing
    except ImportError as error:
        text = one_line(error)
        if "libcuda" in text:
            raise EngineFailed(
                "there is no NVIDIA driver on this machine (libcuda.so.1 is missing): install it, "
                "or choose another backend"
            ) from error
        symbol = re.search(r"undefined symbol: (\w+)", text)
        if symbol is not None:
            raise EngineFailed(
                f"the NVIDIA driver is older than the CUDA headers that pycuda was built with (it has no "
                f"{symbol[1]}): build pycuda again with headers of the CUDA version that nvidia-smi shows"
            ) from error
        raise EngineFailed(f"pycuda cannot be imported: {text}") from error


def _not_installed(missing: ModuleNotFoundError) -> ExtraMissing:
    extra = "pip install 'dropbeard[tensorrt]', as engines/README.md says under GPU"
    return ExtraMissing(f"the tensorrt backend needs the package {missing.name}: {extra}")


def _count_devices(cuda: Any) -> None:
    try:
        cuda.init()
        count = cuda.Device.count()
    except cuda.Error as error:
        if "no CUDA-capable device" in str(error):
            raise EngineFailed("there is no CUDA device on this machine: choose another backend") from error
        raise EngineFailed(f"the NVIDIA driver does not start: {one_line(error)}") from error
    if not count:
        raise EngineFailed("there is no CUDA device on this machine: choose another backend")


def _import_tensorrt() -> Any:
    try:
        return importlib.import_module("tensorrt")
    except ModuleNotFoundError as missing:
        raise _not_installed(missing) from missing
    except ImportError as error:
        raise EngineFailed(
            f"TensorRT's libraries cannot be loaded ({one_line(error)}): install tensorrt again, "
            "as engines/README.md says under GPU"
        ) from error
