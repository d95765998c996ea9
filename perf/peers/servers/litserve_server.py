"""LitServe: an API class with ``predict``, batched by the server, its fast queue on. The port is the argument.

LitServe reads the annotations of ``decode_request`` as they stand, so this module may not postpone them.
"""

import sys
from collections.abc import Sequence
from typing import Annotated, Any

import litserve
from fastapi import Depends, Request, Response

from perf.peers.workload import Model, told


async def body(request: Request) -> bytes:
    return await request.body()  # type: ignore[no-any-return]


class Classifier(litserve.LitAPI):  # type: ignore[misc]
    """Takes the request's body as it is."""

    def setup(self, device: str) -> None:
        self._model = Model(told())

    def decode_request(self, request: Annotated[bytes, Depends(body)]) -> bytes:
        return request

    def batch(self, inputs: Sequence[bytes]) -> Sequence[bytes]:
        return inputs

    def predict(self, x: Sequence[bytes]) -> list[bytes]:
        return self._model.answers(x)

    def unbatch(self, output: Sequence[bytes]) -> Sequence[bytes]:
        return output

    def encode_response(self, output: bytes) -> Any:
        return Response(content=output, media_type="application/octet-stream")


if __name__ == "__main__":
    workload = told()
    served = Classifier(max_batch_size=workload.batch_max, batch_timeout=workload.wait_ms / 1e3)
    server = litserve.LitServer(served, accelerator="cpu", workers_per_device=workload.workers, fast_queue=True)
    server.run(
        host="127.0.0.1", port=int(sys.argv[1]), num_api_servers=1, log_level="warning", generate_client_file=False
    )
