"""The tensorrt backend without a GPU: see fakes/prepare, which ``make fakes`` runs."""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dropbeard.serving.cache import store
from dropbeard.serving.catalogue import artefact_path
from dropbeard.serving.manifest import Manifest
from tests.serving.colours import manifest_of, mean_colour_model

PREPARED = "DROPBEARD_FAKE_GPU"
BATCH_MAX = 8


@pytest.fixture(scope="session")
def prepared() -> Path:
    """Where the fake driver is; once ``make fakes`` has named it, nothing here is skipped."""
    folder = os.environ.get(PREPARED)
    if folder is None:
        pytest.skip("needs the fake driver and the compiled pycuda: make fakes")
    return Path(folder).resolve()


@pytest.fixture(scope="session")
def builder(prepared: Path) -> Any:
    """TensorRT for RTX, whose builder and parser run without a GPU."""
    return importlib.import_module("tensorrt_rtx")


@pytest.fixture(scope="session")
def driver_and_libraries(prepared: Path) -> tuple[Any, Any]:
    """The fake driver, and the real pycuda and a fake runtime on it."""
    from tests.serving.tensorrt.fakes.runtime import fake_tensorrt, load_driver

    driver = load_driver(prepared)
    from dropbeard.serving.tensorrt.libraries import Libraries, load_libraries

    found = load_libraries()
    return driver, Libraries(found.cuda, fake_tensorrt(found.trt, driver))


@pytest.fixture
def libraries(driver_and_libraries: tuple[Any, Any]) -> Any:
    """pycuda and the fake runtime."""
    return driver_and_libraries[1]


@pytest.fixture
def driver(driver_and_libraries: tuple[Any, Any]) -> Iterator[Any]:
    """A driver on which nothing is left afterwards and nothing was done wrongly."""
    from dropbeard.serving.tensorrt import device

    driver = driver_and_libraries[0]
    yield driver
    driver.fake_lose(0)
    driver.fake_set_memory(1 << 30)
    for thread in device._threads.values():
        thread.close()
    device._threads.clear()
    assert driver.fake_violations() == 0, driver.fake_last_violation()


@pytest.fixture
def planned(cache: Path, libraries: Any) -> Manifest:
    """The mean-colour model with its plan, in the cache."""
    from dropbeard.serving.tensorrt.plans import plan_key, store_plan
    from tests.serving.tensorrt.fakes.runtime import plan_of

    manifest = manifest_of(mean_colour_model())
    store(artefact_path(manifest), mean_colour_model())
    store_plan(plan_key(manifest, libraries.device_name(0), libraries.version), plan_of(BATCH_MAX))
    return manifest
