"""Bugs planted into what calls CUDA, each in a process of its own: the judge of fakes/scenario.py sees them all.

Each mutant has the words by which it is caught, the piece of source that is replaced, and what stands there instead.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
TIMEOUT_S = 60

COPY_IN = "        cuda.memcpy_htod_async(self._device_in, self._host_in[:rows], self._stream)\n"
RUN = "        if not self._context.execute_async_v3(self._stream.handle):\n"
REFUSED = '            raise EngineFailed("TensorRT does not run the batch")\n'
SHAPE = "        if not self._context.set_input_shape(self._given.name, self._given.rows(rows)):\n"
COPY_OUT = "cuda.memcpy_dtoh_async(self._host_out[:rows], self._device_out, self._stream)"
PINNED = (
    "host = self._cuda.pagelocked_empty(tensor.rows(batch_max), tensor.dtype)\n        self._open.append(host.base)"
)

MUTANTS: dict[str, tuple[str, str, str]] = {
    "does not wait for the end": ("answered wrongly", "self._done.synchronize()", "pass"),
    "copies out on another stream": ("answered wrongly", COPY_OUT, COPY_OUT.replace("self._stream", "cuda.Stream(1)")),
    "copies out on the default stream": ("the default stream", COPY_OUT, COPY_OUT.replace(", self._stream", "")),
    "runs on the default stream": ("the default stream", RUN, RUN.replace("self._stream.handle", "0")),
    "marks the end on the default stream": (
        "answered wrongly",
        "self._done.record(self._stream)",
        "self._done.record()",
    ),
    "copies out before it runs": (
        "answered wrongly",
        f"{RUN}{REFUSED}        {COPY_OUT}\n",
        f"        {COPY_OUT}\n{RUN}{REFUSED}",
    ),
    "does not copy in": ("answered wrongly", COPY_IN, ""),
    "uses pageable memory": ("pageable memory", PINNED, "host = np.empty(tensor.rows(batch_max), tensor.dtype)"),
    "copies from memory that is gone": ("answered wrongly", COPY_IN, COPY_IN.replace("[:rows]", "[:rows].copy()")),
    "has device memory for one image": (
        "invalid argument",
        "mem_alloc(host.nbytes)",
        "mem_alloc(host.nbytes // batch_max)",
    ),
    "tells an address that is not aligned": (
        "does not take the memory",
        "tensor.name, int(device))",
        "tensor.name, int(device) + 4)",
    ),
    "does not tell the shape": ("does not run the batch", SHAPE, "        if False:\n"),
    "gives away the slot's own memory": (
        "answered wrongly",
        "self._host_out[: self._batch].copy()",
        "self._host_out[: self._batch]",
    ),
    "gives back the rows of a larger batch": (
        "wrong shape",
        "self._batch = len(batch)",
        "self._batch = max(self._batch, len(batch))",
    ),
    "lets two batches into one slot": (
        "did not answer within",
        "slot.fill(batch)",
        "slot.fill(batch); self._free.put(slot)",
    ),
    "does not free": ("left on the device", "self._thread.call(self._close_slots)", "pass"),
    "frees in another thread": (
        "invalid device context",
        "self._thread.call(self._close_slots)",
        "self._close_slots()",
    ),
    "makes its memory in another thread": (
        "no currently active context",
        "return self._thread.call(lambda: ",
        "return ((lambda: 0) and ",
    ),
    "does not make the context current": (
        "no currently active context",
        "context.push()\n        try:\n            self._serve",
        "try:\n            self._serve",
    ),
    "leaves the context current": (
        "context stack was not empty",
        "            self._cuda.Context.pop()",
        "            pass",
    ),
    "has a context of its own": ("would use the primary context", "retain_primary_context()", "make_context()"),
    "loads without a context": (
        "non-current context",
        "context.push()\n        try:\n            self._runtime",
        "self._thread.check()\n        try:\n            self._runtime",
    ),
    "has one slot": ("no two batches", "SLOTS: Final = 3", "SLOTS: Final = 1"),
    "waits for each batch at once": (
        "no two batches",
        "self._flying.append(flight)",
        "self._flying.append(flight); self._land()",
    ),
    "spins while it waits": ("a wait that spins", " | cuda.event_flags.BLOCKING_SYNC", ""),
    "is held up by the default stream": (
        "the default stream holds up",
        "NON_BLOCKING_STREAM: Final = 1",
        "NON_BLOCKING_STREAM: Final = 0",
    ),
}

HARMLESS: dict[str, tuple[str, str]] = {
    "copies more than it needs": (COPY_IN, COPY_IN.replace("[:rows]", "")),
    "has a slot more": ("SLOTS: Final = 3", "SLOTS: Final = 4"),
}


def judge(prepared: Path, *planted: str, major: str = "11") -> tuple[int, str]:
    """Exit code and words of one life."""
    command = [sys.executable, "-m", "tests.serving.tensorrt.fakes.scenario", str(prepared), major, *planted]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("major", ["10", "11"])
def test_the_backend_as_it_is_has_nothing_wrong(prepared: Path, major: str) -> None:
    assert judge(prepared, major=major) == (0, "")


@pytest.mark.parametrize("name", HARMLESS)
def test_a_harmless_change_has_nothing_wrong(prepared: Path, name: str) -> None:
    assert judge(prepared, *HARMLESS[name]) == (0, "")


@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutant_of_the_executor_is_caught(prepared: Path, name: str) -> None:
    caught_by, *planted = MUTANTS[name]
    code, words = judge(prepared, *planted)
    assert code != 0
    assert caught_by in words
