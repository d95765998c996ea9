"""Models that a person can follow, of tasks that do not classify: linear in the picture's mean red, green and blue."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from blake3 import blake3
from onnx import TensorProto, helper, numpy_helper

from dropbeard.serving.manifest import Manifest, parse_manifest
from dropbeard.types.outputs import Element, OutputForm, OutputKind
from dropbeard.types.task import TaskSchema

TEXT = """name = "{name}"
label = "1"
license = "Apache-2.0"
source = "these tests"
task = "measures"
backends = ["onnx", "openvino"]
[artefact]
file = "measures.onnx"
bytes = {bytes}
blake3 = "{blake3}"
[input]
size = 8
crop = 0.5
resample = "bilinear"
channel_order = "rgb"
layout = "nchw"
mean = [0.0, 0.0, 0.0]
scale = [0.0078125, 0.0078125, 0.0078125]
[output]
{output}
[profile]
batch_max = 8
preferred = [2, 4]
"""

COLOURS = np.eye(3)
"""Gives the means themselves, 1 for a channel of 128."""

EMBEDDING = TaskSchema("measures", (), 0, 100_000, 10_000, OutputForm(OutputKind.EMBEDDING, (3,), Element.I16, 14))
SCORES = TaskSchema(
    "measures", ("a", "b", "c"), 0, 100_000, 10_000, OutputForm(OutputKind.SCORES, (3,), Element.I16, 4, scale=16)
)
BOXES = TaskSchema("measures", ("cat", "dog"), 0, 100_000, 10_000, OutputForm(OutputKind.BOXES, (2,), Element.U16))
TENSOR = TaskSchema("measures", (), 0, 100_000, 10_000, OutputForm(OutputKind.TENSOR, (1, 3), Element.U8))


def linear_model(kernel: npt.ArrayLike, bias: npt.ArrayLike, shape: tuple[int, ...]) -> bytes:
    """``kernel`` [numbers, 3] times the means plus ``bias``, as [batch, *shape]."""
    weights = [
        numpy_helper.from_array(np.asarray(kernel, np.float32), "kernel"),
        numpy_helper.from_array(np.asarray(bias, np.float32), "bias"),
        numpy_helper.from_array(np.array([-1, *shape], np.int64), "shape"),
    ]
    nodes = [
        helper.make_node("GlobalAveragePool", ["input"], ["pool"]),
        helper.make_node("Flatten", ["pool"], ["flat"]),
        helper.make_node("Gemm", ["flat", "kernel", "bias"], ["row"], transB=1),
        helper.make_node("Reshape", ["row", "shape"], ["output"]),
    ]
    given = helper.make_tensor_value_info("input", TensorProto.FLOAT, ["batch", 3, 8, 8])
    gives = helper.make_tensor_value_info("output", TensorProto.FLOAT, ["batch", *shape])
    graph = helper.make_graph(nodes, "measures", [given], [gives], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(model.SerializeToString(deterministic=True))


def measuring_manifest(model: bytes, output: str, name: str = "measures") -> Manifest:
    """A manifest of the model with this ``[output]`` table."""
    text = TEXT.format(name=name, bytes=len(model), blake3=blake3(model).hexdigest(), output=output)
    return parse_manifest(text.encode(), "test")
