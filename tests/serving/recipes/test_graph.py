"""Graphs are valid ONNX, do what their layers say, and are the same bytes every time."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime

from dropbeard.serving.recipes.graph import INPUT, OUTPUT, Graph


def edges() -> bytes:
    """One filter that subtracts the left neighbour, in steps of two."""
    graph = Graph("edges", 4, 2)
    kernel = np.zeros((1, 3, 1, 2))
    kernel[0, :, 0] = (-1, 1)
    found = graph.convolution(INPUT, "edges", kernel, [0.5], stride=2)
    graph.layer("Flatten", [graph.layer("ReduceMax", [found], "max", axes=[2], keepdims=1)], OUTPUT)
    return graph.encode()


def test_a_graph_is_the_same_bytes_every_time() -> None:
    assert edges() == edges()


def test_a_graph_is_valid() -> None:
    onnx.checker.check_model(onnx.load_from_string(edges()), full_check=True)


def test_no_version_is_written_into_the_file() -> None:
    model = onnx.load_from_string(edges())
    assert (model.producer_name, model.producer_version, model.doc_string) == ("dropbeard", "", "")


def test_a_graph_computes_what_its_layers_say() -> None:
    session = onnxruntime.InferenceSession(edges(), providers=["CPUExecutionProvider"])
    image = np.tile(np.array([0, 1, 3, 7], np.float32), (1, 3, 4, 1))
    (logits,) = session.run([OUTPUT], {INPUT: image})
    assert logits.tolist() == [[3 * 1 + 0.5, 3 * 4 + 0.5]]
