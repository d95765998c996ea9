"""A group whose engines are serving systems: parity of each model, then certificates under load with an update.

``python -m perf.oip --url grpc://127.0.0.1:8001`` asks a server that has the four models of the demo.
``--triton-repository DIR`` and ``--mlserver-folder DIR`` write what Triton (Python backend) or MLServer serves,
by ONNX Runtime; start the server with its own command, then call this again with its URL.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Final

from dropbeard.daemon.local_group import OWNERS
from dropbeard.serving.catalogue import fetch
from dropbeard.serving.manifest import Manifest, load_manifest
from perf.gpu_check import certified, parity

TRITON_CONFIG: Final = """name: "{name}"
backend: "python"
max_batch_size: 32
input [{{ name: "images" data_type: TYPE_FP32 dims: [3, {size}, {size}] }}]
output [{{ name: "logits" data_type: TYPE_FP32 dims: [{classes}] }}]
instance_group [{{ count: 1 kind: KIND_CPU }}]
dynamic_batching {{ }}
"""

SESSION: Final = """
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
session = onnxruntime.InferenceSession({path!r}, options, providers=["CPUExecutionProvider"])
"""

TRITON_MODEL: Final = """
import numpy as np
import onnxruntime
import triton_python_backend_utils as triton
{session}
class TritonPythonModel:
    def execute(self, requests):
        given = [triton.get_input_tensor_by_name(request, "images").as_numpy() for request in requests]
        found = session.run(None, {{session.get_inputs()[0].name: np.concatenate(given)}})[0]
        answers, at = [], 0
        for one in given:
            rows = found[at : at + len(one)]
            answers.append(triton.InferenceResponse([triton.Tensor("logits", rows)]))
            at += len(one)
        return answers
"""

MLSERVER_MODEL: Final = """
import onnxruntime
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceResponse
{session}
class Runtime(MLModel):
    async def load(self):
        return True

    async def predict(self, payload):
        given = NumpyCodec.decode_input(payload.inputs[0])
        found = session.run(None, {{session.get_inputs()[0].name: given}})[0]
        return InferenceResponse(model_name=self.name, outputs=[NumpyCodec.encode_output("logits", found)])
"""


def models() -> list[tuple[Manifest, Path]]:
    """The four of the demo, and their ONNX files."""
    return [(load_manifest(name), fetch(name)) for _, name in OWNERS]


def write_triton(repository: Path) -> None:
    """A model repository."""
    for manifest, path in models():
        folder = repository / manifest.name
        (folder / "1").mkdir(parents=True, exist_ok=True)
        size, classes = manifest.input.size, manifest.output.shape[0]
        (folder / "config.pbtxt").write_text(TRITON_CONFIG.format(name=manifest.name, size=size, classes=classes))
        (folder / "1" / "model.py").write_text(TRITON_MODEL.format(session=SESSION.format(path=str(path))))


def write_mlserver(folder: Path) -> None:
    """A folder to start MLServer in."""
    for number, (manifest, path) in enumerate(models()):
        home = folder / manifest.name
        home.mkdir(parents=True, exist_ok=True)
        size, classes = manifest.input.size, manifest.output.shape[0]
        (folder / f"runtime{number}.py").write_text(MLSERVER_MODEL.format(session=SESSION.format(path=str(path))))
        tensors = {
            "inputs": [{"name": "images", "datatype": "FP32", "shape": [-1, 3, size, size]}],
            "outputs": [{"name": "logits", "datatype": "FP32", "shape": [-1, classes]}],
        }
        settings = {"name": manifest.name, "implementation": f"runtime{number}.Runtime", **tensors}
        (home / "model-settings.json").write_text(json.dumps(settings))
    server = {"host": "127.0.0.1", "http_port": 8080, "grpc_port": 8081, "metrics_port": 8082, "parallel_workers": 0}
    limit = {"grpc_max_message_length": 1 << 26}
    (folder / "settings.json").write_text(json.dumps({**server, **limit}))


def main() -> int:
    """Write what a server needs, or measure with one."""
    parser = argparse.ArgumentParser(prog="python -m perf.oip", description="Engines that are serving systems.")
    parser.add_argument("--url")
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--triton-repository", type=Path)
    parser.add_argument("--mlserver-folder", type=Path)
    chosen = parser.parse_args()
    if chosen.triton_repository is not None:
        write_triton(chosen.triton_repository)
    if chosen.mlserver_folder is not None:
        write_mlserver(chosen.mlserver_folder)
    if chosen.url is None:
        return 0
    found = {
        "url": chosen.url,
        "parity": parity("oip", chosen.url),
        "group": certified("oip", chosen.images, chosen.url),
    }
    print(json.dumps(found))
    bad = any("error" in row for row in found["parity"].values())
    return 1 if bad or found["group"]["failed"] or found["group"]["update_refused"] else 0


if __name__ == "__main__":
    sys.exit(main())
