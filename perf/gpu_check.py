"""Everything that only a GPU can tell, in one run and one report: what an owner with a GPU runs first.

``python -m perf.gpu_check``: facts of the machine, plans built, copies, parity with ONNX Runtime, throughput by batch
size, overlap, then a group of four nodes whose engines share the GPU: 200 images, every certificate verified again from
its bytes, and a model update under that load; then the same group in a closed loop. ``--backend onnx`` runs the same on
a CPU.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import cycle, islice, pairwise
from pathlib import Path
from typing import Any, Final, get_args

import numpy as np

from dropbeard.client.client import Client
from dropbeard.daemon.engine_check import check_engine
from dropbeard.daemon.local_group import OWNERS, LocalGroup
from dropbeard.errors import ClientError, DropbeardError, GroupUnreachable
from dropbeard.serving.backends import ModelBackend
from dropbeard.serving.catalogue import fetch_set
from dropbeard.serving.free_images import free_images
from dropbeard.serving.manifest import ImageBackend, load_manifest
from dropbeard.types.certificates import decode_certificate
from dropbeard.types.node_config import EngineTable
from dropbeard.verification.certificate import verify
from perf.engines import measure
from perf.imagenet import SIDE
from perf.imagenet import certified as certified_load
from perf.updates import take_update

TIMEOUT_S: Final = 60.0
START_S: Final = 300.0
CONNECT_S: Final = 0.5
IN_FLIGHT: Final = 32

COPY_IMAGES: Final = 32
COPY_SIDE: Final = 260
COPIES: Final = 50
LOADS: Final = (64, 256, 512)
"""Requests kept open in the closed loops."""
LOAD_BATCH: Final = 32
LOAD_QUEUE: Final = 1_024
WARM_S: Final = 3.0


def machine(backend: ImageBackend, device: int) -> dict[str, Any]:
    """What it ran on."""
    facts: dict[str, Any] = {"python": platform.python_version(), "kernel": platform.release()}
    if backend == "tensorrt":
        from dropbeard.serving.tensorrt.libraries import load_libraries

        libraries = load_libraries()
        name = libraries.device_name(device)
        facts |= {
            "gpu": name.name,
            "compute_capability": ".".join(map(str, name.capability)),
            "memory_bytes": libraries.cuda.Device(device).total_memory(),
            "driver_cuda": libraries.cuda.get_driver_version(),
            "pycuda_cuda": libraries.cuda.get_version(),
            "tensorrt": libraries.version,
        }
    return facts


def build_plans(device: int) -> dict[str, Any]:
    """Seconds and bytes of each model's plan."""
    from dropbeard.serving.tensorrt.command import build

    rows = {}
    for _, model in OWNERS:
        started = time.monotonic()
        path, _ = build(model, device, again=True)
        rows[model] = {"seconds": round(time.monotonic() - started, 1), "bytes": path.stat().st_size}
    return rows


def copies(device: int) -> dict[str, float]:
    """A batch of the largest images in pinned memory, to the device and back: microseconds, by the device's clock."""
    from dropbeard.serving.tensorrt.device import cuda_thread
    from dropbeard.serving.tensorrt.libraries import load_libraries

    libraries = load_libraries()
    cuda = libraries.cuda

    def work() -> dict[str, float]:
        host = cuda.pagelocked_empty((COPY_IMAGES, 3, COPY_SIDE, COPY_SIDE), np.float32)
        there, stream = cuda.mem_alloc(host.nbytes), cuda.Stream(1)
        marks = [cuda.Event() for _ in range(3)]
        marks[0].record(stream)
        for _ in range(COPIES):
            cuda.memcpy_htod_async(there, host, stream)
        marks[1].record(stream)
        for _ in range(COPIES):
            cuda.memcpy_dtoh_async(host, there, stream)
        marks[2].record(stream)
        marks[2].synchronize()
        to_us, from_us = (before.time_till(after) * 1e3 / COPIES for before, after in pairwise(marks))
        there.free()
        host.base.free()
        return {
            "bytes": COPY_IMAGES * 3 * COPY_SIDE**2 * 4,
            "to_device_us": round(to_us),
            "from_device_us": round(from_us),
        }

    return cuda_thread(libraries, device).call(work)


def parity(backend: ModelBackend, url: str | None = None) -> dict[str, Any]:
    """Largest differences of each model; an error is a finding, not the end."""
    rows: dict[str, Any] = {}
    for _, model in OWNERS:
        try:
            found = check_engine(load_manifest(model), backend, url)
        except DropbeardError as wrong:
            rows[model] = {"error": str(wrong)}
        else:
            rows[model] = {"to_onnx_runtime": found.to_alone, "to_recorded": found.to_recorded}
    return rows


def certified(backend: ModelBackend, images: int, url: str | None = None) -> dict[str, Any]:
    """A group of four under load, with one update half way."""
    arrays = _arrays(images)
    with tempfile.TemporaryDirectory() as scratch, _group(backend, url, Path(scratch)) as (local, client):
        client.infer(arrays[0])
        started, verified, failed, versions = time.monotonic(), 0, 0, set()
        with ThreadPoolExecutor(1) as beside:
            update = beside.submit(take_update, local, backend, 0, 2)  # alice takes bob's model
            for outcome in client.map_outcomes(_until(arrays, update.done), in_flight=IN_FLIGHT):
                if isinstance(outcome, ClientError):
                    failed += 1
                    continue
                verify(decode_certificate(outcome.certificate.data), client.group)
                verified += 1
                versions |= {(owner.owner, owner.version) for owner in outcome.owners}
            refused = update.result()
        seconds = time.monotonic() - started
    return {
        "images": verified + failed,
        "verified": verified,
        "failed": failed,
        "seconds": round(seconds, 1),
        "certified_per_s": round(verified / seconds, 1),
        "update_refused": refused,
        "versions": sorted(versions),
    }


def closed_loops(backend: ModelBackend, seconds: float) -> dict[int, dict[str, float]]:
    """By requests kept open: certified a second, latencies, CPU; raw images of 224 x 224, no two alike."""
    rows = {}
    for in_flight in LOADS:
        engine = EngineTable("", backend=backend, max_batch=LOAD_BATCH, queue_max=LOAD_QUEUE)
        sample = certified_load(OWNERS, engine, SIDE, in_flight, seconds, WARM_S)
        rows[in_flight] = {"certified_per_s": round(sample.rate, 1), **sample.summary()}
    return rows


def _arrays(images: int) -> list[np.ndarray[Any, np.dtype[np.uint8]]]:
    """Pieces of the free pictures."""
    from PIL import Image

    wholes = [np.asarray(Image.open(path).convert("RGB")) for path in free_images()]
    random = np.random.default_rng(1)
    found = []
    for whole in islice(cycle(wholes), images):
        top, left = (int(random.integers(0, side // 3)) for side in whole.shape[:2])
        found.append(np.ascontiguousarray(whole[top : top + 256, left : left + 256]))
    return found


def _until(arrays: list[Any], done: Any) -> Iterator[Any]:
    """Every array, and again from the first until the update took place, so that it happens under load."""
    yield from arrays
    for array in cycle(arrays):
        if done():
            yield from arrays[:IN_FLIGHT]
            return
        yield array


@contextmanager
def _group(backend: ModelBackend, url: str | None, directory: Path) -> Iterator[tuple[LocalGroup, Client]]:
    with LocalGroup(directory / "g", engine=EngineTable("", backend=backend, url=url)) as local:
        until = time.monotonic() + START_S
        while True:
            local.check()
            try:
                client = Client(local.group, timeout=TIMEOUT_S, patience=TIMEOUT_S / 2, connect_timeout=CONNECT_S)
                break
            except GroupUnreachable:
                if time.monotonic() > until:
                    raise
        with client:
            yield local, client


def report(backend: ImageBackend, device: int, images: int, seconds: float) -> dict[str, Any]:
    """All of it, in the order in which one thing rests on another."""
    fetch_set("imagenet")
    found: dict[str, Any] = {"machine": machine(backend, device)}
    if backend == "tensorrt":
        found["plans"] = build_plans(device)
        found["copies"] = copies(device)
    found["parity"] = parity(backend)
    found["engines"] = [measure(model, backend, 1, seconds) for _, model in OWNERS]
    found["group"] = certified(backend, images)
    found["closed_loops"] = closed_loops(backend, seconds * len(LOADS))
    return found


def is_good(found: dict[str, Any]) -> bool:
    """Nothing failed, nothing differed, and the new version answered."""
    group = found["group"]
    updated = group["update_refused"] is None and any(version == 2 for _, version in group["versions"])
    return not group["failed"] and updated and not any("error" in row for row in found["parity"].values())


def main() -> int:
    """Write the report; 1 when something in it is wrong."""
    parser = argparse.ArgumentParser(prog="python -m perf.gpu_check", description="What only a GPU can tell.")
    parser.add_argument("--backend", choices=get_args(ImageBackend), default="tensorrt")
    parser.add_argument("--device", type=int, default=0)
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=3.0, help="for each batch size")
    parser.add_argument("-o", "--output", type=Path, default=Path("gpu-report.json"))
    chosen = parser.parse_args()
    try:
        found = report(chosen.backend, chosen.device, chosen.images, chosen.seconds)
    except DropbeardError as wrong:
        print(f"gpu-check: {wrong}", file=sys.stderr)
        return 1
    chosen.output.write_text(json.dumps(found, indent=2) + "\n")
    print(json.dumps(found, indent=2))
    print(f"report written to {chosen.output}", file=sys.stderr)
    return 0 if is_good(found) else 1


if __name__ == "__main__":
    sys.exit(main())
