"""What an image classification client does with a server that it does not know, start to end, by the real tritonclient.

Such a client asks for metadata and configuration, insists on one input and one output of known form, scales its picture
to the sides that it is told, and asks for the best classes: at once, asynchronously or in a stream.
"""

from __future__ import annotations

import queue
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc as triton_grpc
import tritonclient.http as triton_http
from PIL import Image
from tritonclient.utils import triton_to_np_dtype

from tests.gateway.pieces import MODEL, Served, Teller, serve_blocking

CLASSES = 2
BATCH = 3


def plain(found: Any, library: Any) -> dict[str, Any]:
    """What either client says of the model, in the form of HTTP."""
    form: dict[str, Any] = found if library is triton_http else found.get("config", found)
    return form


def prepared(client: Any, library: Any) -> tuple[str, str, np.ndarray[Any, Any]]:
    """Names of input and output, and a batch of one picture over and over, as metadata and configuration ask for it."""
    as_json = {} if library is triton_http else {"as_json": True}
    metadata = plain(client.get_model_metadata(MODEL, **as_json), library)
    config = plain(client.get_model_config(MODEL, **as_json), library)
    (given,), (output,) = metadata["inputs"], metadata["outputs"]
    assert int(config["max_batch_size"]) >= BATCH
    assert output["datatype"] == "FP32"
    assert sum(int(side) > 1 for side in output["shape"]) == 1
    assert config["input"][0]["format"] == "FORMAT_NHWC"
    _, height, width, channels = (int(side) for side in given["shape"])
    picture = Image.new("RGB", (640, 480), (10, 20, 30)).resize((width, height))
    array = np.asarray(picture).astype(triton_to_np_dtype(given["datatype"]))
    assert array.shape == (height, width, channels)
    return given["name"], output["name"], np.stack([array] * BATCH)


def said(result: Any, output: str) -> list[list[str]]:
    """Each row's classes."""
    return [[element.decode().split(":")[2] for element in row] for row in result.as_numpy(output)]


@pytest.mark.parametrize("way", ["http", "http async", "grpc", "grpc async", "grpc stream"])
def test_an_image_client_that_knows_tritonclient_alone_classifies_pictures(way: str) -> None:
    library = triton_http if way.startswith("http") else triton_grpc

    def ask(served: Served) -> None:
        address = served.http if library is triton_http else served.grpc
        with library.InferenceServerClient(address) as client:
            name, output, batch = prepared(client, library)
            tensor = library.InferInput(name, list(batch.shape), "UINT8")
            tensor.set_data_from_numpy(batch)
            wanted = [library.InferRequestedOutput(output, class_count=CLASSES)]
            result = infer(client, way, tensor, wanted)
        assert said(result, output) == [["class 3", "class 5"]] * BATCH

    serve_blocking(ask, Teller(votes=(3, 3, 5, 3)))


def infer(client: Any, way: str, tensor: Any, wanted: list[Any]) -> Any:
    if way == "http async":
        return client.async_infer(MODEL, [tensor], outputs=wanted, request_id="1").get_result()
    if way in ("http", "grpc"):
        return client.infer(MODEL, [tensor], outputs=wanted, request_id="1")
    got: queue.Queue[tuple[Any, Any]] = queue.Queue()

    def take(result: Any, error: Any) -> None:
        got.put((result, error))

    if way == "grpc async":
        client.async_infer(MODEL, [tensor], take, outputs=wanted, request_id="1")
    else:
        client.start_stream(take)
        client.async_stream_infer(MODEL, [tensor], outputs=wanted, request_id="1")
    result, error = got.get(timeout=30)
    if way == "grpc stream":
        client.stop_stream()
    assert error is None
    return result
