"""The one thread of a process that calls CUDA on a GPU.

pycuda keeps a stack of contexts for each thread and frees an object only in the thread that made it; TensorRT uses
the device's primary context. So one thread retains that context, makes it current, and does all work in turn; models
that are loaded beside each other share it. While batches fly it takes new work first, and waits for the oldest batch
only when there is none: by then every slot that could be filled is filled. Waiting sleeps on an event (no spinning).
"""

from __future__ import annotations

import atexit
import queue
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from typing import Any, Final, Protocol, TypeVar

from dropbeard.errors import EngineFailed
from dropbeard.serving.image_engine import one_line
from dropbeard.serving.tensorrt.libraries import Libraries

T = TypeVar("T")

ANSWER_S: Final = 60.0
"""How long a caller waits for the thread: far longer than any batch, so a device that takes longer is lost."""

CHECK_BYTES: Final = 256


class Flight(Protocol):
    """A batch on its way through the device; both run in the CUDA thread."""

    landed: Future[None]

    def enqueue(self) -> None:
        """Put the copies and the run on the stream, without waiting for them."""

    def wait(self) -> None:
        """Until all of it is done."""


_contexts: dict[int, Any] = {}
"""Primary contexts, retained once and kept until the process ends: dropping one would destroy it for everybody."""


class CudaThread:
    """Work for one GPU, done in turn."""

    def __init__(self, libraries: Libraries, ordinal: int) -> None:
        self._cuda = libraries.cuda
        self._ordinal = ordinal
        self._work: queue.SimpleQueue[Callable[[], None] | Flight | None] = queue.SimpleQueue()
        self._flying: deque[Flight] = deque()
        self._lost = ""
        self._thread = threading.Thread(target=self._main, name=f"cuda-{ordinal}", daemon=True)
        self._thread.start()

    def call(self, work: Callable[[], T]) -> T:
        """Run ``work`` in the thread and give back what it gives. Raises EngineFailed for whatever CUDA says."""
        answer: Future[T] = Future()

        def run() -> None:
            try:
                self._alive()
                answer.set_result(work())
            except BaseException as wrong:
                answer.set_exception(self._failed(wrong))

        self._put(run)
        return self._answer(answer)

    def launch(self, flight: Flight) -> None:
        """Enqueue a batch and wait until it landed. Raises EngineFailed."""
        self._put(flight)
        self._answer(flight.landed)

    def current(self) -> Any:
        """The primary context, to be made current by another thread that deserialises while this one serves."""
        return self.call(lambda: _contexts[self._ordinal])

    def check(self) -> None:
        """Copy a few bytes to the device and back."""
        self.call(self._round_trip)

    def close(self) -> None:
        """Let everything land, then end the thread."""
        self._work.put(None)
        self._thread.join(timeout=ANSWER_S)

    def _alive(self) -> None:
        if self._lost:
            raise EngineFailed(self._lost)

    def _put(self, work: Callable[[], None] | Flight) -> None:
        self._alive()
        self._work.put(work)

    def _answer(self, answer: Future[T]) -> T:
        try:
            return answer.result(timeout=ANSWER_S)
        except FutureTimeout:
            self._lost = f"GPU {self._ordinal} did not answer within {ANSWER_S:.0f} s: restart the engine"
            raise EngineFailed(self._lost) from None

    def _main(self) -> None:
        try:
            context = self._retain()
        except BaseException as wrong:
            self._lost = f"GPU {self._ordinal} cannot be used: {one_line(wrong)}"
            self._refuse_all()
            return
        context.push()
        try:
            self._serve()
        finally:
            self._cuda.Context.pop()

    def _retain(self) -> Any:
        if self._ordinal not in _contexts:
            _contexts[self._ordinal] = self._cuda.Device(self._ordinal).retain_primary_context()
        return _contexts[self._ordinal]

    def _serve(self) -> None:
        while True:
            try:
                work = self._work.get(block=not self._flying)
            except queue.Empty:
                self._land()
                continue
            if work is None:
                break
            if callable(work):
                work()
            else:
                self._launch(work)
        while self._flying:
            self._land()

    def _launch(self, flight: Flight) -> None:
        try:
            flight.enqueue()
        except BaseException as wrong:
            flight.landed.set_exception(self._failed(wrong))
        else:
            self._flying.append(flight)

    def _land(self) -> None:
        flight = self._flying.popleft()
        try:
            flight.wait()
        except BaseException as wrong:
            flight.landed.set_exception(self._failed(wrong))
        else:
            flight.landed.set_result(None)

    def _refuse_all(self) -> None:
        while True:
            work = self._work.get()
            if work is None:
                return
            if callable(work):
                work()
            else:
                work.landed.set_exception(EngineFailed(self._lost))

    def _failed(self, wrong: BaseException) -> EngineFailed:
        """What went wrong, as an error without a traceback: that would keep CUDA objects for another thread to free.

        After any error but a lack of memory CUDA answers nothing else any more.
        """
        if isinstance(wrong, EngineFailed):
            return type(wrong)(str(wrong))
        if isinstance(wrong, self._cuda.MemoryError):
            return EngineFailed(f"GPU {self._ordinal} is out of memory: lower max_batch, or stop what else uses it")
        if isinstance(wrong, self._cuda.Error):
            self._lost = f"GPU {self._ordinal} was lost ({one_line(wrong)}): restart the engine"
            return EngineFailed(self._lost)
        return EngineFailed(f"{type(wrong).__name__} in the CUDA thread: {one_line(wrong)}")

    def _round_trip(self) -> None:
        device = self._cuda.mem_alloc(CHECK_BYTES)
        try:
            sent = bytes(range(CHECK_BYTES))
            back = bytearray(CHECK_BYTES)
            self._cuda.memcpy_htod(device, sent)
            self._cuda.memcpy_dtoh(back, device)
        finally:
            device.free()
        if back != sent:
            raise EngineFailed(f"GPU {self._ordinal} gives back other bytes than it got: restart the engine")


_threads: dict[int, CudaThread] = {}
_starting = threading.Lock()


def cuda_thread(libraries: Libraries, ordinal: int) -> CudaThread:
    """The thread of a GPU, started at the first call, ended with the process."""
    with _starting:
        if ordinal not in _threads:
            _threads[ordinal] = CudaThread(libraries, ordinal)
        return _threads[ordinal]


@atexit.register
def _end_all() -> None:
    # A thread that ends with a context still current aborts the whole process, after everything else went well.
    for thread in _threads.values():
        thread.close()
