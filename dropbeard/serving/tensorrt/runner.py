"""A plan in slots: while one batch computes, the next is copied in and the one before is copied out.

A slot has an execution context, a stream, pinned memory on the host and memory on the device, all for the largest
batch and made once. Callers fill a slot's pinned memory in their own threads, which needs no CUDA.
"""

from __future__ import annotations

import contextlib
import queue
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from dropbeard.errors import EngineFailed
from dropbeard.serving.engine import Prepared
from dropbeard.serving.image_engine import Copies, Shape, Shapes
from dropbeard.serving.manifest import Manifest
from dropbeard.serving.tensorrt.device import ANSWER_S, CudaThread, cuda_thread
from dropbeard.serving.tensorrt.libraries import Libraries, load_libraries
from dropbeard.serving.tensorrt.messages import logger_of
from dropbeard.serving.tensorrt.plans import plan_key, read_plan

SLOTS: Final = 3
"""One batch copied in, one computing, one copied out."""

NON_BLOCKING_STREAM: Final = 1
"""A stream that the default stream does not wait for, nor it for that."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """One input or output of an engine; its shape is without the batch."""

    name: str
    shape: Shape
    dtype: npt.DTypeLike

    def rows(self, batch: int) -> tuple[int, ...]:
        """The shape of a batch."""
        return (batch, *self.shape)


class Slot:
    """Made, used as a flight, and closed in the CUDA thread; ``fill`` and ``take`` by whoever holds it."""

    landed: Future[None]

    def __init__(self, libraries: Libraries, engine: Any, tensors: tuple[Tensor, Tensor], batch_max: int) -> None:
        self._cuda = cuda = libraries.cuda
        self._given, self._gives = tensors
        self._batch = 0
        self._open: list[Any] = []
        """What has memory of its own, in the order it was made."""
        self._stream: Any = None
        with contextlib.ExitStack() as undo:
            undo.callback(self.close)
            self._context = engine.create_execution_context()
            if self._context is None:
                raise cuda.MemoryError(logger_of(libraries.trt).last_error())
            self._stream = cuda.Stream(NON_BLOCKING_STREAM)
            self._done = cuda.Event(cuda.event_flags.DISABLE_TIMING | cuda.event_flags.BLOCKING_SYNC)
            self._host_in, self._device_in = self._memory(self._given, batch_max)
            self._host_out, self._device_out = self._memory(self._gives, batch_max)
            undo.pop_all()

    def _memory(self, tensor: Tensor, batch_max: int) -> tuple[Any, Any]:
        host = self._cuda.pagelocked_empty(tensor.rows(batch_max), tensor.dtype)
        self._open.append(host.base)
        device = self._cuda.mem_alloc(host.nbytes)
        self._open.append(device)
        if not self._context.set_tensor_address(tensor.name, int(device)):
            raise EngineFailed(f"TensorRT does not take the memory of {tensor.name}")
        return host, device

    def fill(self, batch: Sequence[Prepared]) -> None:
        """Put a batch into the pinned memory."""
        self._batch = len(batch)
        np.stack(batch, out=self._host_in[: self._batch], casting="same_kind")
        self.landed = Future()

    def enqueue(self) -> None:
        """Copy in, run, copy out, mark the end: on this slot's stream, none of it waited for."""
        try:
            self._enqueue(self._cuda, self._batch)
        except EngineFailed:
            self._stream.synchronize()  # what was enqueued before is over when the slot is used again
            raise

    def _enqueue(self, cuda: Any, rows: int) -> None:
        if not self._context.set_input_shape(self._given.name, self._given.rows(rows)):
            raise EngineFailed(f"a batch of {rows} is outside the plan's profile")
        cuda.memcpy_htod_async(self._device_in, self._host_in[:rows], self._stream)
        if not self._context.execute_async_v3(self._stream.handle):
            raise EngineFailed("TensorRT does not run the batch")
        cuda.memcpy_dtoh_async(self._host_out[:rows], self._device_out, self._stream)
        self._done.record(self._stream)

    def wait(self) -> None:
        """Sleep until the copy out is done."""
        self._done.synchronize()

    def take(self) -> npt.NDArray[np.generic]:
        """The logits, copied: the slot's memory is the next batch's."""
        logits: npt.NDArray[np.generic] = self._host_out[: self._batch].copy()
        return logits

    def close(self) -> None:
        """Free everything, the engine's context before the memory that it knows."""
        if self._stream is not None:
            self._stream.synchronize()
        self._context = None
        self._host_in = self._host_out = None
        for memory in self._open:
            memory.free()
        self._open.clear()
        self._device_in = self._device_out = self._stream = self._done = None


class TensorrtRunner:
    """A plan of this machine's, on one GPU."""

    in_flight: Final = SLOTS
    is_tuned: Final = True

    def __init__(self, batch_max: int, device: int = 0, libraries: Libraries | None = None) -> None:
        self._batch_max = batch_max
        self._ordinal = device
        self._given_libraries = libraries
        self._runtime: Any = None
        self._engine: Any = None
        self._slots: list[Slot] = []
        self._free: queue.SimpleQueue[Slot] = queue.SimpleQueue()
        self._thread: CudaThread

    def open(self, manifest: Manifest, model: bytes) -> Shapes:
        """Load the plan that was built from this model for this device, and make the slots."""
        libraries = self._given_libraries or load_libraries()
        if self._batch_max > manifest.profile.batch_max:
            raise EngineFailed(
                f"max_batch is {self._batch_max}, the profile of {manifest.name} ends at {manifest.profile.batch_max}: "
                "lower engine.max_batch"
            )
        plan = read_plan(plan_key(manifest, libraries.device_name(self._ordinal), libraries.version), manifest.name)
        self._thread = cuda_thread(libraries, self._ordinal)
        context = self._thread.current()
        # Here and not in the CUDA thread: it takes long, and what is loaded already goes on serving.
        context.push()
        try:
            self._runtime, self._engine = _deserialise(libraries.trt, plan, manifest.name)
        finally:
            libraries.cuda.Context.pop()
        return self._thread.call(lambda: self._make_slots(libraries, manifest.name))

    def _make_slots(self, libraries: Libraries, name: str) -> Shapes:
        try:
            tensors = _tensors(libraries.trt, self._engine, name)
            for _ in range(SLOTS):
                slot = Slot(libraries, self._engine, tensors, self._batch_max)
                self._slots.append(slot)
        except BaseException:
            self._close_slots()
            raise
        for slot in self._slots:
            self._free.put(slot)
        return Shapes((tensors[0].shape,), (tensors[1].shape,))

    def run(self, batch: Sequence[Prepared], copies: Copies) -> npt.NDArray[np.generic]:
        """Through a free slot; with all of them taken, wait for the first that lands."""
        with self._slot() as slot:
            with copies.timed():
                slot.fill(batch)
            self._thread.launch(slot)
            with copies.timed():
                return slot.take()

    @contextlib.contextmanager
    def _slot(self) -> Iterator[Slot]:
        try:
            slot = self._free.get(timeout=ANSWER_S)
        except queue.Empty:
            raise EngineFailed(f"no batch landed within {ANSWER_S:.0f} s: restart the engine") from None
        try:
            yield slot
        finally:
            self._free.put(slot)

    def check(self) -> None:
        """Copy a few bytes to the device and back."""
        self._thread.check()

    def close(self) -> None:
        """Free the slots and the engine."""
        with contextlib.suppress(EngineFailed):  # of a lost device nothing can be given back
            self._thread.call(self._close_slots)

    def _close_slots(self) -> None:
        while not self._free.empty():
            self._free.get_nowait()
        while self._slots:
            self._slots.pop().close()
        self._engine = self._runtime = None


def _deserialise(trt: Any, plan: memoryview, name: str) -> tuple[Any, Any]:
    """The runtime, which must live as long as its engine, and the engine."""
    logger = logger_of(trt)
    logger.clear()
    runtime = trt.Runtime(logger)
    engine = runtime.deserialize_cuda_engine(plan)
    if engine is None:
        raise EngineFailed(
            f"TensorRT cannot load the plan of {name} ({logger.last_error()}); "
            f"run: dropbeard engine build {name} --backend tensorrt"
        )
    return runtime, engine


def _tensors(trt: Any, engine: Any, name: str) -> tuple[Tensor, Tensor]:
    """The one input and the one output."""
    by_mode: dict[Any, list[Tensor]] = {trt.TensorIOMode.INPUT: [], trt.TensorIOMode.OUTPUT: []}
    for index in range(engine.num_io_tensors):
        tensor = engine.get_tensor_name(index)
        shape = tuple(engine.get_tensor_shape(tensor))[1:]
        by_mode[engine.get_tensor_mode(tensor)].append(
            Tensor(tensor, shape, trt.nptype(engine.get_tensor_dtype(tensor)))
        )
    given, gives = by_mode[trt.TensorIOMode.INPUT], by_mode[trt.TensorIOMode.OUTPUT]
    if len(given) != 1 or len(gives) != 1:
        raise EngineFailed(f"{name} takes {len(given)} inputs and gives {len(gives)} outputs, expected one of each")
    return given[0], gives[0]
