"""A model that a person can follow, and inputs for it."""

from __future__ import annotations

import io

import numpy as np
from blake3 import blake3
from PIL import Image

from dropbeard.serving.manifest import Manifest, parse_manifest
from dropbeard.serving.recipes.graph import INPUT, OUTPUT, Graph
from dropbeard.types.task import Input, InputKind

TEXT = """name = "mean-colour"
label = "1"
license = "Apache-2.0"
source = "these tests"
task = "colours"
backends = ["onnx", "openvino", "tensorrt"]
[recipe]
builder = "squeezenet"
variant = "1"
package = "no_such_package"
file = "weights.pkl"
[artefact]
file = "mean-colour.onnx"
bytes = {bytes}
blake3 = "{blake3}"
[input]
size = 8
crop = 0.5
resample = "bilinear"
channel_order = "rgb"
layout = "nchw"
mean = [0.0, 0.0, 0.0]
scale = [0.0625, 0.0625, 0.0625]
[output]
rule = "softmax of logits"
classes = {classes}
[profile]
batch_max = 8
preferred = [2, 4]
[accuracy]
top1 = 1.0
top5 = 1.0
images = 3
caveat = "none"
"""


def mean_colour_model() -> bytes:
    """Logits are the image's mean red, green and blue, and 8 for the fourth class."""
    graph = Graph("mean-colour", 8, 4)
    pooled = graph.layer("GlobalAveragePool", [INPUT], "pool")
    flat = graph.layer("Flatten", [pooled], "flat")
    kernel = graph.weight("kernel", np.eye(4, 3))
    graph.layer("Gemm", [flat, kernel, graph.weight("bias", [0, 0, 0, 8])], OUTPUT, transB=1)
    return graph.encode()


def manifest_of(model: bytes, classes: int = 4) -> Manifest:
    """The manifest of the model above, with this artefact."""
    text = TEXT.format(bytes=len(model), blake3=blake3(model).hexdigest(), classes=classes)
    return parse_manifest(text.encode(), "test")


def png(pixels: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> bytes:
    """A PNG file of these pixels."""
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()


def encoded(data: bytes) -> Input:
    """An input that is a file."""
    return Input(InputKind.ENCODED_IMAGE, (0, 0, 0), data)


def plain(red: int, green: int, blue: int, side: int = 16) -> Input:
    """A raw input of one colour."""
    pixels = np.full((side, side, 3), (red, green, blue), np.uint8)
    return Input(InputKind.RAW_RGB8, (side, side, 3), pixels.tobytes())
