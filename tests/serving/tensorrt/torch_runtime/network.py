"""An ONNX graph of the few operators that the catalogue's models are made of, computed by PyTorch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
import onnx

Attributes = Mapping[str, Any]


class Unsupported(Exception):
    """The node that has no kernel here."""

    def __init__(self, node: onnx.NodeProto) -> None:
        super().__init__(f"there is no kernel for {node.op_type}")
        self.node = node


class Network:
    """Images float32 [batch, 3, size, size] in, logits float32 [batch, classes] out. Raises Unsupported."""

    def __init__(self, model: bytes) -> None:
        graph = onnx.load_from_string(model).graph
        self.given, self.gives = graph.input[0], graph.output[0]
        self._nodes = [(node, _attributes(node), _kernel(node)) for node in graph.node]
        self._constants = graph.initializer
        self._torch: Any = None
        self._weights: dict[str, Any] = {}

    def load(self, torch: Any, device: str) -> None:
        """Put the weights on a device; scalars, which bound a Clip, stay numbers."""
        self._torch = torch
        for each in self._constants:
            value = np.array(onnx.numpy_helper.to_array(each))
            self._weights[each.name] = torch.from_numpy(value).to(device) if value.ndim else float(value)

    def run(self, images: Any) -> Any:
        """One batch, on the stream that is current."""
        at = {**self._weights, self.given.name: images}
        for node, attributes, kernel in self._nodes:
            at[node.output[0]] = kernel(self._torch, attributes, *(at[name] for name in node.input))
        return at[self.gives.name]


def shape_of(tensor: onnx.ValueInfoProto) -> tuple[int, ...]:
    """With -1 for the batch."""
    return tuple(each.dim_value or -1 for each in tensor.type.tensor_type.shape.dim)


def _attributes(node: onnx.NodeProto) -> Attributes:
    return {each.name: onnx.helper.get_attribute_value(each) for each in node.attribute}


def _kernel(node: onnx.NodeProto) -> Callable[..., Any]:
    kernel = KERNELS.get(node.op_type)
    if kernel is None:
        raise Unsupported(node)
    return kernel


def _padded(torch: Any, attributes: Attributes, images: Any, value: float) -> Any:
    top, left, bottom, right = attributes.get("pads", (0, 0, 0, 0))
    if not (top or left or bottom or right):
        return images
    return torch.nn.functional.pad(images, (left, right, top, bottom), value=value)


def _conv(torch: Any, attributes: Attributes, images: Any, kernel: Any, bias: Any = None) -> Any:
    given = _padded(torch, attributes, images, 0.0)
    stride, dilation = attributes.get("strides", (1, 1)), attributes.get("dilations", (1, 1))
    return torch.nn.functional.conv2d(
        given, kernel, bias, tuple(stride), 0, tuple(dilation), attributes.get("group", 1)
    )


def _max_pool(torch: Any, attributes: Attributes, images: Any) -> Any:
    given = _padded(torch, attributes, images, -float("inf"))
    size, stride = attributes["kernel_shape"], attributes.get("strides", (1, 1))
    return torch.nn.functional.max_pool2d(
        given, tuple(size), tuple(stride), ceil_mode=bool(attributes.get("ceil_mode", 0))
    )


def _gemm(torch: Any, attributes: Attributes, rows: Any, kernel: Any, bias: Any) -> Any:
    return torch.addmm(bias, rows, kernel.T if attributes.get("transB", 0) else kernel)


KERNELS: Final[Mapping[str, Callable[..., Any]]] = {
    "Add": lambda torch, _, left, right: left + right,
    "Clip": lambda torch, _, given, low, high: torch.clamp(given, low, high),
    "Concat": lambda torch, attributes, *parts: torch.cat(parts, attributes["axis"]),
    "Conv": _conv,
    "Flatten": lambda torch, _, given: given.flatten(1),
    "Gemm": _gemm,
    "GlobalAveragePool": lambda torch, _, given: given.mean((2, 3), keepdim=True),
    "MaxPool": _max_pool,
    "Relu": lambda torch, _, given: torch.relu(given),
}
