"""An engine behind a serving system answers as one in this process does; what the server does wrong is one line."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from dropbeard.errors import ConfigInvalid, EngineFailed
from dropbeard.serving.backends import make_engine
from dropbeard.serving.image_engine import ImageEngine
from dropbeard.serving.manifest import Manifest
from dropbeard.types.task import TaskSchema
from tests.serving.colours import plain

pytest.importorskip("tritonclient", reason="needs the extra oip")

from tests.serving.oip_server import Faults, grpc_server, http_server

WAYS = ["http", "http with bytes", "grpc"]
Served = tuple[ImageEngine, Faults, str]


@pytest.fixture(params=WAYS)
def served(request: pytest.FixtureRequest, manifest: Manifest, schema: TaskSchema) -> Iterator[Served]:
    way = grpc_server() if request.param == "grpc" else http_server(binary=request.param != "http")
    with way as (url, faults):
        engine = make_engine("oip", manifest, schema, url=url)
        engine.load()
        yield engine, faults, url
        engine.unload()


def test_it_answers_as_onnx_runtime_does(served: Served, manifest: Manifest, schema: TaskSchema) -> None:
    reference = make_engine("onnx", manifest, schema)
    reference.load()
    colours = np.random.default_rng(5).integers(0, 256, (8, 3))
    batch = [reference.prepare(plain(*(int(value) for value in row))) for row in colours]
    assert np.allclose(served[0].logits(batch), reference.logits(batch), atol=1e-3)


def test_several_threads_ask_at_once(served: Served) -> None:
    engine = served[0]
    images = [engine.prepare(plain(10 * number, 5, 7)) for number in range(20)]
    with ThreadPoolExecutor(engine.in_flight) as callers:
        answers = list(callers.map(lambda image: engine.logits([image])[0, 0], images))
    assert np.allclose(answers, [10 * number / 16 for number in range(20)], atol=1e-3)


def test_a_server_that_refuses_is_one_line_and_the_next_request_runs(served: Served) -> None:
    engine, faults, url = served
    faults.error = "out of\nmemory"
    with pytest.raises(
        EngineFailed, match=f"the model mean-colour at {url} does not answer: .*out of memory"
    ) as caught:
        engine.warm_up(1)
    assert "\n" not in str(caught.value)
    faults.error = ""
    engine.warm_up(2)


def test_a_server_that_answers_too_few_is_refused(served: Served) -> None:
    engine, faults, _ = served
    faults.drop_rows = 1
    with pytest.raises(EngineFailed, match="answered 2 of 3 images"):
        engine.logits([engine.prepare(plain(1, 2, 3))] * 3)


def test_a_model_that_is_not_ready_any_more_is_found(served: Served) -> None:
    engine, faults, _ = served
    engine.check()
    faults.ready = False
    with pytest.raises(EngineFailed, match="is not ready|does not answer"):
        engine.check()


def test_a_model_of_other_numbers_is_refused(served: Served, manifest: Manifest, schema: TaskSchema) -> None:
    _, faults, url = served
    faults.datatype = "UINT8"
    with pytest.raises(EngineFailed, match="takes UINT8 and gives FP32, mean-colour takes and gives FP32"):
        make_engine("oip", manifest, schema, url=url).load()


def test_a_model_that_the_server_does_not_have_is_one_line(
    served: Served, manifest: Manifest, schema: TaskSchema
) -> None:
    with pytest.raises(EngineFailed, match="the model another at .* does not answer"):
        make_engine("oip", manifest, schema, url=served[2], remote_model="another").load()


@pytest.mark.parametrize("scheme", ["http", "grpc"])
def test_a_server_that_is_not_there_is_one_line(scheme: str, manifest: Manifest, schema: TaskSchema) -> None:
    with pytest.raises(EngineFailed, match=f"the model mean-colour at {scheme}://127.0.0.1:9 does not answer"):
        make_engine("oip", manifest, schema, url=f"{scheme}://127.0.0.1:9").load()


@pytest.mark.parametrize("url", [None, "", "127.0.0.1:8000", "https://", "ftp://host"])
def test_a_url_that_is_none_says_how_to_write_one(url: str | None, manifest: Manifest, schema: TaskSchema) -> None:
    with pytest.raises(ConfigInvalid, match=r"write http://HOST:PORT or grpc://HOST:PORT"):
        make_engine("oip", manifest, schema, url=url)
