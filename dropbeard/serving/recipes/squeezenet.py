"""SqueezeNet 1.1 as ONNX from its weights in Keras layout (height, width, in, out).

Input: N x 3 x 227 x 227, BGR minus the Caffe means.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from dropbeard.errors import ModelMissing
from dropbeard.serving.recipes.graph import INPUT, OUTPUT, Graph

SIZE: Final = 227
CLASSES: Final = 1000

Layer = tuple[npt.NDArray[np.generic], npt.NDArray[np.generic]]


def _layers(weights: object) -> dict[str, Layer]:
    if not isinstance(weights, dict):
        raise ModelMissing("the weights are not a table of layers: not SqueezeNet 1.1")
    layers: dict[str, Layer] = {}
    for name, pair in weights.items():
        match pair:
            case [np.ndarray(ndim=4) as kernel, np.ndarray(ndim=1) as bias]:
                layers[str(name)] = (kernel, bias)
            case _:
                raise ModelMissing(f"layer {name} is not a kernel and a bias: not SqueezeNet 1.1")
    return layers


class _Builder:
    def __init__(self, graph: Graph, layers: dict[str, Layer]) -> None:
        self.graph = graph
        self.layers = layers

    def convolution(self, source: str, name: str, stride: int = 1, pad: int = 0) -> str:
        kernel, bias = self.layers[name]
        label = name.replace("/", ".")
        pads = (pad, pad, pad, pad)
        out = self.graph.convolution(source, label, kernel.transpose(3, 2, 0, 1), bias, stride=stride, pads=pads)
        return self.graph.layer("Relu", [out], f"{label}.relu")

    def pool(self, source: str, name: str) -> str:
        return self.graph.layer("MaxPool", [source], name, kernel_shape=[3, 3], strides=[2, 2])

    def fire(self, source: str, index: int) -> str:
        """Squeeze to few channels, then expand by two kernels side by side."""
        name = f"fire{index}"
        squeezed = self.convolution(source, f"{name}/squeeze1x1")
        narrow = self.convolution(squeezed, f"{name}/expand1x1")
        wide = self.convolution(squeezed, f"{name}/expand3x3", pad=1)
        return self.graph.layer("Concat", [narrow, wide], name, axis=1)


def build(weights: object) -> bytes:
    """ONNX bytes from the layers by name, each a (kernel, bias) pair."""
    builder = _Builder(Graph("squeezenet1.1", SIZE, CLASSES), _layers(weights))
    try:
        x = builder.pool(builder.convolution(INPUT, "conv1", stride=2), "pool1")
        x = builder.pool(builder.fire(builder.fire(x, 2), 3), "pool3")
        x = builder.pool(builder.fire(builder.fire(x, 4), 5), "pool5")
        for index in (6, 7, 8, 9):
            x = builder.fire(x, index)
        x = builder.convolution(x, "conv10")
    except KeyError as error:
        raise ModelMissing(f"the weights have no layer {error}: not SqueezeNet 1.1") from error
    pooled = builder.graph.layer("GlobalAveragePool", [x], "pool")
    builder.graph.layer("Flatten", [pooled], OUTPUT)
    return builder.graph.encode()
