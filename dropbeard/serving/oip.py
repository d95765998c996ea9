"""The ``oip`` backend: a serving system of the owner's, through the Open Inference Protocol v2, by HTTP or gRPC.

For who outgrows one machine: Triton, KServe, OpenVINO Model Server, MLServer, Ray Serve. That the server runs the
manifest's artefact is between the owner and the server; shapes are checked, bytes cannot be. The images arrive there
preprocessed, as 32-bit floats [batch, 3, size, size].
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from dropbeard.errors import ConfigInvalid, EngineFailed, ExtraMissing
from dropbeard.serving.engine import Prepared
from dropbeard.serving.image_engine import Copies, Shapes, one_line
from dropbeard.serving.manifest import Manifest

INSTALL: Final = "pip install 'dropbeard[oip]'"
IN_FLIGHT: Final = 4
"""Requests open at once: the server has a queue and batches of its own."""

TIMEOUT_S: Final = 30.0
FLOATS: Final = "FP32"
BINARY: Final = "binary_tensor_data"
"""The extension by which HTTP servers take tensors as bytes; to others they go as JSON."""


@dataclass(frozen=True, slots=True)
class Remote:
    """Where the model is served: ``url`` is http://HOST:PORT or grpc://HOST:PORT, ``model`` its name there."""

    url: str
    model: str


class OipRunner:
    """A model on a server; each calling thread has a connection of its own."""

    in_flight: Final = IN_FLIGHT
    is_tuned: Final = False

    def __init__(self, remote: Remote) -> None:
        scheme, separator, address = remote.url.partition("://")
        if not separator or scheme not in ("http", "grpc") or not address:
            raise ConfigInvalid(f"engine.url is {remote.url!r}: write http://HOST:PORT or grpc://HOST:PORT")
        self._remote = remote
        self._is_http = scheme == "http"
        self._address = address
        self._library = _import(scheme)
        self._own = threading.local()
        self._names = ("", "")
        self._binary = False

    def open(self, manifest: Manifest, model: bytes) -> Shapes:
        """Ask the server what the model takes and gives."""
        server, found = self._said(lambda client: (self._ask(client.get_server_metadata), self._metadata(client)))
        inputs, outputs = found.get("inputs", []), found.get("outputs", [])
        if not inputs or not outputs:
            raise EngineFailed(f"{self._where()} does not say what it takes and gives")
        if inputs[0]["datatype"] != FLOATS or outputs[0]["datatype"] != FLOATS:
            raise EngineFailed(
                f"{self._where()} takes {inputs[0]['datatype']} and gives {outputs[0]['datatype']}, "
                f"{manifest.name} takes and gives {FLOATS}"
            )
        self._names = (inputs[0]["name"], outputs[0]["name"])
        self._binary = BINARY in server.get("extensions", [])
        return Shapes(*(tuple(_shape(one) for one in tensors) for tensors in (inputs, outputs)))

    def run(self, batch: Sequence[Prepared], copies: Copies) -> npt.NDArray[np.generic]:
        """One request."""
        with copies.timed():
            given = np.stack(batch)
        logits: npt.NDArray[np.generic] = self._said(lambda client: self._infer(client, given))
        return logits

    def check(self) -> None:
        """Whether the server says that the model is ready."""
        if not self._said(lambda client: client.is_model_ready(self._remote.model, **self._limits())):
            raise EngineFailed(f"{self._where()} is not ready")

    def close(self) -> None:
        """Connections end with their threads; the server keeps its model."""
        self._own = threading.local()

    def _where(self) -> str:
        return f"the model {self._remote.model} at {self._remote.url}"

    def _said(self, ask: Callable[[Any], Any]) -> Any:
        try:
            return ask(self._client())
        except EngineFailed:
            raise
        except Exception as error:  # the clients' own errors, their libraries' and the sockets'
            raise EngineFailed(f"{self._where()} does not answer: {one_line(error)}") from error

    def _client(self) -> Any:
        client = getattr(self._own, "client", None)
        if client is None:
            limits = {"connection_timeout": TIMEOUT_S, "network_timeout": TIMEOUT_S} if self._is_http else {}
            client = self._own.client = self._library.InferenceServerClient(self._address, **limits)
        return client

    def _limits(self) -> dict[str, float]:
        return {} if self._is_http else {"client_timeout": TIMEOUT_S}

    def _ask(self, call: Callable[..., Any], *args: str) -> dict[str, Any]:
        as_json = {} if self._is_http else {"as_json": True}
        found: dict[str, Any] = call(*args, **as_json, **self._limits())
        return found

    def _metadata(self, client: Any) -> dict[str, Any]:
        return self._ask(client.get_model_metadata, self._remote.model)

    def _infer(self, client: Any, given: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
        tensor = self._library.InferInput(self._names[0], list(given.shape), FLOATS)
        form = {"binary_data": self._binary} if self._is_http else {}
        tensor.set_data_from_numpy(given, **form)
        wanted = self._library.InferRequestedOutput(self._names[1], **form)
        result = client.infer(self._remote.model, [tensor], outputs=[wanted], **self._limits())
        logits: npt.NDArray[np.generic] | None = result.as_numpy(self._names[1])
        if logits is None or len(logits) != len(given):
            raise EngineFailed(
                f"{self._where()} answered {0 if logits is None else len(logits)} of {len(given)} images"
            )
        return logits


def _shape(tensor: dict[str, Any]) -> tuple[int, ...]:
    return tuple(int(side) for side in tensor["shape"][1:])


def _import(scheme: str) -> Any:
    # Imported here alone: two copies of the protocol's generated messages in one process clash.
    try:
        if scheme == "http":
            import tritonclient.http as library
        else:
            import tritonclient.grpc as library
    except ImportError as missing:
        raise ExtraMissing(f"the oip backend needs the package tritonclient: {INSTALL}") from missing
    return library
