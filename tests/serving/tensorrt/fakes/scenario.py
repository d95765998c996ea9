"""One life of a TensorRT engine on the fake driver, judged, in a process of its own.

Arguments are FOLDER MAJOR [OLD NEW]. With OLD and NEW, that piece of the backend's source is replaced first: a planted
bug. Exit code 0 if all went well.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

MODULES = ("device", "runner")
BATCH_MAX = 8
BATCHES = 60
CALLERS = 4
WAIT_S = 20
ANSWER_S = 3.0
"""A planted bug that waits for ever is caught sooner than in real life."""


def plant(old: str, new: str) -> None:
    """Import the backend with one piece of its source replaced; the piece is there exactly once."""
    done = 0
    for name in MODULES:
        spec = importlib.util.find_spec(f"dropbeard.serving.tensorrt.{name}")
        assert spec is not None and spec.origin is not None
        source = Path(spec.origin).read_text()
        done += source.count(old)
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        exec(compile(source.replace(old, new), spec.origin, "exec"), module.__dict__)
    assert done == 1, f"{old!r} is there {done} times"


def start(folder: Path, major: str) -> tuple[Any, Any, Any]:
    """The driver, the two libraries, and a manifest whose model and plan are in an empty cache."""
    from tests.serving.tensorrt.fakes.runtime import fake_tensorrt, load_driver, plan_of

    driver = load_driver(folder, major)
    from dropbeard.serving.tensorrt.libraries import Libraries, load_libraries

    found = load_libraries()
    assert found.version.startswith(f"{major}.")
    libraries = Libraries(found.cuda, fake_tensorrt(found.trt, driver))
    from dropbeard.serving.cache import store
    from dropbeard.serving.catalogue import artefact_path
    from dropbeard.serving.tensorrt.plans import plan_key, store_plan
    from tests.serving.colours import manifest_of, mean_colour_model

    os.environ["DROPBEARD_CACHE"] = tempfile.mkdtemp(prefix="dropbeard-")
    manifest = manifest_of(mean_colour_model())
    store(artefact_path(manifest), mean_colour_model())
    store_plan(plan_key(manifest, libraries.device_name(0), libraries.version), plan_of(BATCH_MAX))
    return driver, libraries, manifest


def live(driver: Any, libraries: Any, manifest: Any) -> list[str]:
    """Load, warm up, answer many batches from several threads, unload; what was wrong."""
    from dropbeard.serving.image_engine import ImageEngine
    from dropbeard.serving.tensorrt import device, runner
    from dropbeard.types.task import TaskSchema

    vars(device)["ANSWER_S"] = vars(runner)["ANSWER_S"] = ANSWER_S
    schema = TaskSchema("colours", ("red", "green", "blue", "dark"), 2, 100_000, 10_000)
    engine = ImageEngine(manifest, schema, runner.TensorrtRunner(BATCH_MAX, 0, libraries))
    engine.load()
    engine.warm_up(BATCH_MAX)
    random = np.random.default_rng(7)
    batches = [random.random((1 + k % BATCH_MAX, 3, 8, 8), np.float32) for k in range(BATCHES)]
    together = threading.Barrier(CALLERS)

    def ask(k: int) -> Any:
        if k < CALLERS:
            together.wait(WAIT_S)
        return engine.logits(list(batches[k]))

    with ThreadPoolExecutor(CALLERS) as callers:
        answers = list(callers.map(ask, range(BATCHES), timeout=WAIT_S))
    wrong = [f"batch {k} is answered wrongly" for k in range(BATCHES) if not _is_right(batches[k], answers[k])]
    engine.check()
    engine.unload()
    if driver.fake_violations():
        wrong.append(f"{driver.fake_violations()} violations, the last: {driver.fake_last_violation().decode()}")
    if driver.fake_streams_busy_most() < 2:
        wrong.append("no two batches were on the device at once")
    left = (driver.fake_live(0), driver.fake_live(1), driver.fake_live_streams(), driver.fake_live_events())
    if any(left):
        wrong.append(f"left on the device: {left} (device, pinned, streams, events)")
    return wrong


def _is_right(given: Any, answer: Any) -> bool:
    expected = np.concatenate([given.mean(axis=(2, 3)), np.full((len(given), 1), 8)], axis=1)
    return answer.shape == expected.shape and bool(np.allclose(answer, expected, atol=1e-5))


def main(folder: str, major: str, *planted: str) -> int:
    """0 when nothing was wrong, else each wrong thing on a line."""
    pieces = start(Path(folder), major)
    if planted:
        plant(*planted)
    try:
        wrong = live(*pieces)
    except Exception as error:
        wrong = [f"{type(error).__name__}: {error}"]
    sys.stdout.writelines(f"{line}\n" for line in wrong)
    sys.stdout.flush()
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
