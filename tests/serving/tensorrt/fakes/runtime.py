"""A TensorRT runtime without a GPU: its classes are bound, name by name and signature by signature, to the real ones.

What it computes is the mean-colour model of tests/serving/colours.py, in the memory of the fake driver, when the
stream that it was put on gets there.
"""

from __future__ import annotations

import ctypes
import inspect
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

import numpy as np

T = TypeVar("T")

CALLBACK = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
ALIGNMENT = 256
LIBRARIES = ("libnvinfer", "libnvinfer_plugin", "libnvonnxparser")


def load_driver(folder: Path, major: str = "11") -> ctypes.CDLL:
    """The fake driver, in this process, where pycuda and the bindings will find it; before either is imported."""
    if major == "10":
        sys.path.insert(0, str(folder / "tensorrt10"))
    names = ("libcuda.so.1", *(f"{name}.so.{major}" for name in LIBRARIES))
    driver, *_ = [ctypes.CDLL(str(folder / name), mode=ctypes.RTLD_GLOBAL) for name in names]
    driver.fake_last_violation.restype = ctypes.c_char_p
    driver.fake_enqueue.argtypes = [ctypes.c_void_p, CALLBACK, ctypes.c_void_p]
    driver.fake_is_device.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
    driver.fake_set_memory.argtypes = [ctypes.c_size_t]
    return driver


def plan_of(batch_max: int, side: int = 8, contexts: int = 8) -> bytes:
    """What the fake runtime takes for a plan; ``contexts`` are as many as there is memory for."""
    return json.dumps({"batch_max": batch_max, "side": side, "contexts": contexts}).encode()


def fake_tensorrt(real: ModuleType, driver: ctypes.CDLL) -> Any:
    """A module with the real one's enums and logger, and the runtime below."""
    module: Any = ModuleType("fake_tensorrt")
    for name in ("ILogger", "TensorIOMode", "DataType", "nptype", "__version__"):
        setattr(module, name, getattr(real, name))
    bound = Contract(real)
    context: Any = bound("IExecutionContext")(_context_class(real, driver))
    engine: Any = bound("ICudaEngine")(_engine_class(real, context))
    module.Runtime = bound("Runtime")(_runtime_class(driver, engine))
    return module


class Contract:
    """Every method of a fake class exists in the real one and is called as that allows."""

    def __init__(self, real: ModuleType) -> None:
        self._real = real

    def __call__(self, name: str) -> Callable[[type[T]], type[T]]:
        real = getattr(self._real, name)

        def bind(fake: type[T]) -> type[T]:
            for method, body in list(vars(fake).items()):
                if method.startswith("_"):
                    continue
                assert hasattr(real, method), f"TensorRT {self._real.__version__} has no {name}.{method}"
                if isinstance(body, property):
                    assert isinstance(inspect.getattr_static(real, method), property), f"{name}.{method}"
                else:
                    setattr(fake, method, _checked(body, signatures(getattr(real, method), method)))
            return fake

        return bind


def signatures(real: Any, name: str) -> list[inspect.Signature]:
    """Of a pybind11 method, which has none but in the first lines of its docstring."""
    found = []
    for line in re.finditer(rf"^(?:\d+\. )?{name}\((.*)\) -> .+$", real.__doc__, re.M):
        if line[1] != "*args, **kwargs":
            found.append(inspect.Signature([_parameter(part) for part in _split(line[1])]))
    assert found, f"{name} has no signature in its docstring"
    return found


def _parameter(text: str) -> inspect.Parameter:
    default = None if "=" in text else inspect.Parameter.empty
    return inspect.Parameter(text.partition(":")[0], inspect.Parameter.POSITIONAL_OR_KEYWORD, default=default)


def _split(text: str) -> list[str]:
    """At the commas outside of brackets."""
    parts, depth, part = [], 0, ""
    for letter in text:
        depth += (letter in "([{<") - (letter in ")]}>")
        if letter == "," and depth == 0:
            parts.append(part.strip())
            part = ""
        else:
            part += letter
    return [*parts, part.strip()]


def _checked(body: Any, allowed: list[inspect.Signature]) -> Any:
    def call(self: Any, *args: Any, **named: Any) -> Any:
        for signature in allowed:
            try:
                signature.bind(self, *args, **named)
            except TypeError:
                continue
            return body(self, *args, **named)
        raise TypeError(f"{body.__name__} is not called as the real one allows: {args} {named}")

    return call


def _runtime_class(driver: ctypes.CDLL, engine_class: Any) -> type:
    class Runtime:
        def __init__(self, logger: Any) -> None:
            self._logger = logger

        def deserialize_cuda_engine(self, serialized_engine: Any) -> Any:
            assert driver.fake_is_primary(), "TensorRT would use the primary context, another is current"
            try:
                return engine_class(self, **json.loads(bytes(serialized_engine)))
            except ValueError:
                severity = type(self._logger).Severity.ERROR
                self._logger.log(severity, "IRuntime: the plan was generated on an incompatible device")
                return None

    return Runtime


def _engine_class(real: ModuleType, context_class: Any) -> type:
    class Engine:
        def __init__(self, runtime: Any, batch_max: int, side: int, contexts: int) -> None:
            self._runtime, self._batch_max, self._side, self._contexts = runtime, batch_max, side, contexts

        @property
        def num_io_tensors(self) -> int:
            return 2

        def get_tensor_name(self, index: int) -> str:
            return ["images", "logits"][index]

        def get_tensor_mode(self, name: str) -> Any:
            return real.TensorIOMode.INPUT if name == "images" else real.TensorIOMode.OUTPUT

        def get_tensor_dtype(self, name: str) -> Any:
            return real.DataType.FLOAT

        def get_tensor_shape(self, name: str) -> Any:
            return real.Dims((-1, 3, self._side, self._side) if name == "images" else (-1, 4))

        def create_execution_context(self, strategy: Any = None) -> Any:
            self._contexts -= 1
            return context_class(self) if self._contexts >= 0 else None

    return Engine


def _context_class(real: ModuleType, driver: ctypes.CDLL) -> type:
    class Context:
        def __init__(self, engine: Any) -> None:
            self._engine, self._batch = engine, 0
            self._at: dict[str, int] = {}
            self._kept: list[Any] = []

        def set_input_shape(self, name: str, shape: Any) -> bool:
            side = self._engine._side
            if name != "images" or tuple(shape[1:]) != (3, side, side) or not 1 <= shape[0] <= self._engine._batch_max:
                return False
            self._batch = shape[0]
            return True

        def set_tensor_address(self, name: str, memory: int) -> bool:
            self._at[name] = int(memory)
            return int(memory) % ALIGNMENT == 0

        def execute_async_v3(self, stream_handle: int) -> bool:
            assert int(stream_handle) != 0, "the default stream"
            assert driver.fake_is_primary(), "TensorRT would use the primary context, another is current"
            batch, side = self._batch, self._engine._side
            if not batch:
                return False
            images, logits = self._at["images"], self._at["logits"]
            assert driver.fake_is_device(images, batch * 3 * side * side * 4), "the input is not in device memory"
            assert driver.fake_is_device(logits, batch * 4 * 4), "the output is not in device memory"

            def compute(_: Any) -> None:
                given = _floats(images, batch * 3 * side * side).reshape(batch, 3, side * side)
                gives = _floats(logits, batch * 4).reshape(batch, 4)
                gives[:, :3], gives[:, 3] = given.mean(axis=2), 8

            self._kept.append(CALLBACK(compute))
            return bool(driver.fake_enqueue(int(stream_handle), self._kept[-1], None) == 0)

    return Context


def _floats(at: int, count: int) -> Any:
    return np.ctypeslib.as_array((ctypes.c_float * count).from_address(at))
