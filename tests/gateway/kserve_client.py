"""HTTP GRPC MODEL: KServe's own clients ask a gateway; run by an interpreter that has the package kserve."""

from __future__ import annotations

import asyncio
import importlib
import sys
from typing import Any


async def main(http: str, grpc: str, model: str) -> None:
    kserve: Any = importlib.import_module("kserve")
    types: Any = importlib.import_module("kserve.protocol.infer_type")
    numpy: Any = importlib.import_module("numpy")
    picture = numpy.zeros((1, 6, 5, 3), numpy.uint8)
    file = numpy.array([b"\xff\xd8 a file"], dtype=numpy.object_)

    def request(array: Any, datatype: str, binary: bool, *wanted: Any) -> Any:
        given = kserve.InferInput("image", list(array.shape), datatype)
        given.set_data_from_numpy(array, binary_data=binary)
        return kserve.InferRequest(model, [given], request_id="7", request_outputs=list(wanted) or None)

    rest = kserve.InferenceRESTClient(config=kserve.RESTConfig(protocol="v2"))
    url = f"http://{http}"
    assert await rest.is_server_live(url)
    assert await rest.is_server_ready(url)
    assert await rest.is_model_ready(url, model)
    wanted = [
        types.RequestedOutput(name, parameters={"binary_data": name == "scores"}) for name in ("scores", "certificate")
    ]
    for asked in (
        request(picture, "UINT8", True, *wanted),
        request(picture, "UINT8", False),
        request(file, "BYTES", True),
    ):
        answer = await rest.infer(url, asked, model_name=model)
        assert answer.outputs[0].as_numpy().argmax() == 3
        assert answer.parameters["dropbeard_certificate"]
    calls = kserve.InferenceGRPCClient(grpc)
    assert await calls.is_server_live()
    assert await calls.is_server_ready()
    assert await calls.is_model_ready(model)
    for binary in (True, False):
        answer = await calls.infer(request(picture, "UINT8", binary))
        assert answer.outputs[0].as_numpy().argmax() == 3
    await rest.close()
    await calls.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
