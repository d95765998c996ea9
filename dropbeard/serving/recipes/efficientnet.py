"""EfficientNet-Lite 0 to 2 as ONNX from a PyTorch state dict, with batch normalisation folded in.

Input: N x 3 x size x size, RGB, (pixel - 127) / 128. The weights were trained in TensorFlow, so the padding
is TensorFlow's "same": where it is odd the extra row lies at the bottom and right.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from dropbeard.errors import ConfigInvalid, ModelMissing
from dropbeard.serving.recipes.graph import INPUT, OUTPUT, Graph

State = Mapping[str, npt.NDArray[np.generic]]

NORM_EPSILON: Final = 1e-3
CLASSES: Final = 1000


@dataclass(frozen=True, slots=True)
class Variant:
    """What differs between the sizes; the widths are in the weights."""

    depth: float
    size: int


VARIANTS: Final[Mapping[str, Variant]] = {
    "lite0": Variant(1.0, 224),
    "lite1": Variant(1.1, 240),
    "lite2": Variant(1.2, 260),
}


@dataclass(frozen=True, slots=True)
class Stage:
    """A run of blocks; only its first block has the stride and changes the channels."""

    blocks: int
    stride: int
    expands: bool


STAGES: Final = (
    Stage(1, 1, expands=False),
    Stage(2, 2, expands=True),
    Stage(2, 2, expands=True),
    Stage(3, 2, expands=True),
    Stage(3, 1, expands=True),
    Stage(4, 2, expands=True),
    Stage(1, 1, expands=True),
)


def same_padding(size: int, kernel: int, stride: int) -> tuple[int, int, int, int]:
    """ONNX pads (top, left, bottom, right) that make the result ceil(size / stride) wide."""
    total = max((math.ceil(size / stride) - 1) * stride + kernel - size, 0)
    return total // 2, total // 2, total - total // 2, total - total // 2


class _Builder:
    """Walks the network once, keeping the size of the image at this point."""

    def __init__(self, graph: Graph, state: State, size: int) -> None:
        self.graph = graph
        self.state = state
        self.size = size
        graph.weight("zero", 0.0)
        graph.weight("six", 6.0)

    def _exact(self, name: str) -> npt.NDArray[np.float64]:
        return self.state[name].astype(np.float64)

    def convolution(self, source: str, weights: str, norm: str, name: str, stride: int = 1) -> str:
        """A convolution and its normalisation in one; folded in 64 bits, rounded once."""
        kernel = self._exact(f"{weights}.weight")
        gain = self._exact(f"{norm}.weight") / np.sqrt(self._exact(f"{norm}.running_var") + NORM_EPSILON)
        bias = self._exact(f"{norm}.bias") - self._exact(f"{norm}.running_mean") * gain
        depthwise = kernel.shape[1] == 1
        pads = same_padding(self.size, kernel.shape[2], stride)
        self.size = math.ceil(self.size / stride)
        return self.graph.convolution(
            source,
            name,
            kernel * gain[:, None, None, None],
            bias,
            stride=stride,
            pads=pads,
            groups=kernel.shape[0] if depthwise else 1,
        )

    def active(self, source: str) -> str:
        """ReLU6."""
        return self.graph.layer("Clip", [source, "zero", "six"], f"{source}.relu6")

    def block(self, source: str, index: int, stage: Stage, *, first: bool) -> str:
        """Expand, filter each channel, project; the input is added back where the shapes agree."""
        weights, name, inner = f"_blocks.{index}", f"block{index}", source
        if stage.expands:
            expand = self.convolution(inner, f"{weights}._expand_conv", f"{weights}._bn0", f"{name}.expand")
            inner = self.active(expand)
        stride = stage.stride if first else 1
        depthwise = f"{weights}._depthwise_conv"
        inner = self.active(self.convolution(inner, depthwise, f"{weights}._bn1", f"{name}.depthwise", stride=stride))
        inner = self.convolution(inner, f"{weights}._project_conv", f"{weights}._bn2", f"{name}.project")
        return inner if first else self.graph.layer("Add", [inner, source], f"{name}.sum")

    def head(self, source: str) -> None:
        """The last convolution, the mean over the image and the classifier."""
        features = self.active(self.convolution(source, "_conv_head", "_bn1", "head"))
        pooled = self.graph.layer("GlobalAveragePool", [features], "pool")
        flat = self.graph.layer("Flatten", [pooled], "features")
        kernel = self.graph.weight("classifier.kernel", self._exact("_fc.weight"))
        bias = self.graph.weight("classifier.bias", self._exact("_fc.bias"))
        self.graph.layer("Gemm", [flat, kernel, bias], OUTPUT, transB=1)


def _repeats(index: int, stage: Stage, depth: float) -> int:
    # The first and the last stage are never made deeper.
    fixed = index in (0, len(STAGES) - 1)
    return stage.blocks if fixed else math.ceil(depth * stage.blocks)


def build(state: State, variant_name: str) -> bytes:
    """ONNX bytes of one variant from its state dict."""
    if variant_name not in VARIANTS:
        raise ConfigInvalid(f"recipe.variant {variant_name!r} is none of {', '.join(VARIANTS)}")
    variant = VARIANTS[variant_name]
    builder = _Builder(Graph(f"efficientnet-{variant_name}", variant.size, CLASSES), state, variant.size)
    try:
        x = builder.active(builder.convolution(INPUT, "_conv_stem", "_bn0", "stem", stride=2))
        index = 0
        for position, stage in enumerate(STAGES):
            for repeat in range(_repeats(position, stage, variant.depth)):
                x = builder.block(x, index, stage, first=repeat == 0)
                index += 1
        builder.head(x)
    except KeyError as error:
        raise ModelMissing(f"the state dict has no {error}: it is not EfficientNet-{variant_name}") from error
    return builder.graph.encode()
