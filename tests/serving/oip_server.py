"""Two small servers of the Open Inference Protocol with the mean-colour model: HTTP (JSON or bytes) and gRPC."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import grpc
import numpy as np
from tritonclient.grpc import service_pb2, service_pb2_grpc

MODEL = "mean-colour"
METADATA = {
    "name": MODEL,
    "inputs": [{"name": "images", "datatype": "FP32", "shape": [-1, 3, 8, 8]}],
    "outputs": [{"name": "logits", "datatype": "FP32", "shape": [-1, 4]}],
}


def logits(images: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Mean red, green and blue, and 8."""
    means = images.reshape(len(images), 3, -1).mean(axis=2)
    return np.concatenate([means, np.full((len(images), 1), 8)], axis=1).astype(np.float32)


class Faults:
    """What a server does wrong."""

    ready = True
    drop_rows = 0
    error = ""
    datatype = "FP32"


def _handler(faults: Faults, binary: bool) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing to standard error."""

        def do_GET(self) -> None:
            if self.path.endswith("/ready"):
                self._send(200 if faults.ready else 400, b"")
            elif self.path == f"/v2/models/{MODEL}":
                inputs = [{**METADATA["inputs"][0], "datatype": faults.datatype}]  # type: ignore[dict-item]
                self._send(200, json.dumps({**METADATA, "inputs": inputs}).encode())
            elif self.path == "/v2":
                extensions = ["binary_tensor_data"] if binary else []
                self._send(200, json.dumps({"name": "test", "extensions": extensions}).encode())
            else:
                self._send(404, json.dumps({"error": "no such model"}).encode())

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if faults.error:
                self._send(500, json.dumps({"error": faults.error}).encode())
                return
            head = int(self.headers.get("Inference-Header-Content-Length", len(body)))
            given = json.loads(body[:head])["inputs"][0]
            data = np.frombuffer(body[head:], np.float32) if binary else np.array(given["data"], np.float32)
            answer = logits(data.reshape(given["shape"]))[faults.drop_rows :]
            self._answer(answer)

        def _answer(self, answer: np.ndarray[Any, Any]) -> None:
            output: dict[str, Any] = {"name": "logits", "datatype": "FP32", "shape": list(answer.shape)}
            if not binary:
                self._send(200, json.dumps({"outputs": [{**output, "data": answer.ravel().tolist()}]}).encode())
                return
            output["parameters"] = {"binary_data_size": answer.nbytes}
            head = json.dumps({"outputs": [output]}).encode()
            self._send(200, head + answer.tobytes(), ("Inference-Header-Content-Length", str(len(head))))

        def _send(self, code: int, body: bytes, *headers: tuple[str, str]) -> None:
            self.send_response(code)
            for name, value in (*headers, ("Content-Length", str(len(body)))):
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

    return Handler


@contextmanager
def http_server(binary: bool) -> Iterator[tuple[str, Faults]]:
    """Its URL, and what to set wrong."""
    faults = Faults()

    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(faults, binary))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", faults
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def grpc_server() -> Iterator[tuple[str, Faults]]:
    """The same by gRPC."""
    faults = Faults()

    class Service(service_pb2_grpc.GRPCInferenceServiceServicer):  # type: ignore[misc]
        def ServerMetadata(self, request: Any, context: Any) -> Any:  # noqa: N802
            return service_pb2.ServerMetadataResponse(name="test")

        def ModelReady(self, request: Any, context: Any) -> Any:  # noqa: N802
            return service_pb2.ModelReadyResponse(ready=faults.ready)

        def ModelMetadata(self, request: Any, context: Any) -> Any:  # noqa: N802
            if request.name != MODEL:
                context.abort(grpc.StatusCode.NOT_FOUND, "no such model")
            tensor = service_pb2.ModelMetadataResponse.TensorMetadata
            given = tensor(name="images", datatype=faults.datatype, shape=[-1, 3, 8, 8])
            gives = tensor(name="logits", datatype="FP32", shape=[-1, 4])
            return service_pb2.ModelMetadataResponse(name=MODEL, inputs=[given], outputs=[gives])

        def ModelInfer(self, request: Any, context: Any) -> Any:  # noqa: N802
            if faults.error:
                context.abort(grpc.StatusCode.INTERNAL, faults.error)
            images = np.frombuffer(request.raw_input_contents[0], np.float32).reshape(request.inputs[0].shape)
            answer = logits(images)[faults.drop_rows :]
            output = service_pb2.ModelInferResponse.InferOutputTensor(
                name="logits", datatype="FP32", shape=answer.shape
            )
            return service_pb2.ModelInferResponse(outputs=[output], raw_output_contents=[answer.tobytes()])

    server = grpc.server(ThreadPoolExecutor(4))
    service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(Service(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"grpc://127.0.0.1:{port}", faults
    finally:
        server.stop(None).wait()
