"""What a report says about its machine: a card of facts, and what the steps that bound every system cost on it."""

from __future__ import annotations

import os
import platform
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

from blake3 import blake3

from dropbeard.signing.ecdsa_p256 import PrivateKey
from perf._measure import commit, machine

ROUNDS: Final = 200
FSYNCS: Final = 50
SMALL_BYTES: Final = 972
LARGE_BYTES: Final = 150_528
PACKAGES: Final = ("blake3", "cryptography", "numpy", "onnxruntime", "openvino", "pycapnp", "pyzmq", "tensorrt")
GPU_S: Final = 10.0


def card() -> dict[str, Any]:
    """Facts, and microseconds of one signature, digest and fsync: the median of many."""
    return {
        "machine": machine(),
        "commit": commit(),
        "date": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "kernel": platform.release(),
        "load_average": [round(one, 2) for one in os.getloadavg()],
        "gpu": gpu(),
        "packages": {name: _version(name) for name in PACKAGES if _version(name)},
        "costs_us": costs(),
    }


def costs() -> dict[str, float]:
    """Floors of anything that signs, hashes and keeps."""
    key = PrivateKey.generate()
    data, large = bytes(SMALL_BYTES), bytes(LARGE_BYTES)
    signature = key.sign(data)
    return {
        "P-256 signature made": _us(lambda: key.sign(data)),
        "P-256 signature checked": _us(lambda: key.public.verify(data, signature)),
        f"BLAKE3 of {SMALL_BYTES} bytes": _us(lambda: blake3(data).digest()),
        f"BLAKE3 of {LARGE_BYTES} bytes": _us(lambda: blake3(large).digest()),
        "fsync of 4 KiB appended": _fsync_us(),
    }


def _us(work: Callable[[], object], rounds: int = ROUNDS) -> float:
    times = []
    for _ in range(rounds):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return round(statistics.median(times) * 1e6, 1)


def _fsync_us() -> float:
    with tempfile.TemporaryFile() as file:

        def append() -> None:
            file.write(bytes(4096))
            file.flush()
            os.fsync(file.fileno())

        return _us(append, FSYNCS)


def gpu() -> str:
    """What nvidia-smi names; empty without one."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return ""
    asked = [program, "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
    try:
        return subprocess.run(asked, check=True, capture_output=True, text=True, timeout=GPU_S).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def write_card(path: Path, facts: dict[str, Any]) -> None:
    """As a table for people."""
    flat = {key: value for key, value in facts.items() if not isinstance(value, dict)}
    rows = [*flat.items(), *facts["packages"].items(), *((f"{what}, us", us) for what, us in facts["costs_us"].items())]
    lines = ["# Hardware", "", "| what | |", "|---|---|", *(f"| {what} | {value or 'none'} |" for what, value in rows)]
    path.write_text("\n".join(lines) + "\n")
