"""A small writer of ONNX graphs, for the layers that the recipes need.

The bytes it writes depend on the weights alone: no library name, version or date goes into the file, because
the manifest pins its digest.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from dropbeard.errors import ExtraMissing
from dropbeard.serving.packages import INSTALL

try:
    from onnx import TensorProto, helper, numpy_helper
except ImportError as missing:
    raise ExtraMissing(f"making a model needs the package onnx: {INSTALL}") from missing

OPSET: Final = 17
IR_VERSION: Final = 8
INPUT: Final = "input"
OUTPUT: Final = "logits"

Floats = npt.NDArray[np.float32]


class Graph:
    """Nodes and weights in the order they were added; each layer returns the name of its result."""

    def __init__(self, name: str, size: int, classes: int) -> None:
        self._name = name
        self._size = size
        self._classes = classes
        self._nodes: list[Any] = []
        self._weights: list[Any] = []

    def weight(self, name: str, values: npt.ArrayLike) -> str:
        """Add a constant of 32-bit floats."""
        array = np.ascontiguousarray(values, dtype="<f4") if np.ndim(values) else np.array(values, "<f4")
        self._weights.append(numpy_helper.from_array(array, name))
        return name

    def layer(self, kind: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        """Add one node with one result."""
        self._nodes.append(helper.make_node(kind, list(inputs), [output], output, **attributes))
        return output

    def convolution(
        self,
        source: str,
        name: str,
        kernel: npt.ArrayLike,
        bias: npt.ArrayLike,
        *,
        stride: int = 1,
        pads: Sequence[int] = (0, 0, 0, 0),
        groups: int = 1,
    ) -> str:
        """Add a two-dimensional convolution; ``kernel`` is (out, in per group, height, width)."""
        shape = np.shape(kernel)
        return self.layer(
            "Conv",
            [source, self.weight(f"{name}.kernel", kernel), self.weight(f"{name}.bias", bias)],
            name,
            kernel_shape=list(shape[2:]),
            strides=[stride, stride],
            pads=list(pads),
            group=groups,
        )

    def encode(self) -> bytes:
        """The finished model: one image batch in, one row of logits per image out."""
        images: list[str | int | None] = ["batch", 3, self._size, self._size]
        graph = helper.make_graph(
            self._nodes,
            self._name,
            [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, images)],
            [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["batch", self._classes])],
            self._weights,
        )
        opset = helper.make_opsetid("", OPSET)
        model = helper.make_model(graph, opset_imports=[opset], ir_version=IR_VERSION, producer_name="dropbeard")
        return bytes(model.SerializeToString(deterministic=True))
