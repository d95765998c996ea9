"""What stands in for TensorRT on a GPU without it: bound to the real signatures, and built by the real code."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from dropbeard.errors import EngineFailed
from dropbeard.serving.catalogue import artefact_bytes, fetch
from dropbeard.serving.manifest import load_manifest
from dropbeard.serving.tensorrt.building import build_plan
from tests.serving.tensorrt.torch_runtime.network import Network, Unsupported

MODELS = ("efficientnet-lite0", "efficientnet-lite1", "efficientnet-lite2", "squeezenet1.1")


@pytest.fixture
def stand_in(driver_and_libraries: Any) -> Any:
    """Importing it binds every class to the real bindings."""
    return importlib.import_module("tests.serving.tensorrt.torch_runtime.tensorrt")


@pytest.mark.parametrize("model", MODELS)
def test_it_has_kernels_for_every_model_of_the_catalogue(model: str, cache: Path) -> None:
    fetch(model)
    Network(artefact_bytes(load_manifest(model)))


def test_a_model_becomes_a_plan_by_the_code_that_asks_tensorrt(stand_in: Any, cache: Path) -> None:
    fetch("squeezenet1.1")
    manifest = load_manifest("squeezenet1.1")
    model = artefact_bytes(manifest)
    assert build_plan(stand_in, manifest.name, model, manifest.profile).plan.endswith(model)


def test_a_node_without_a_kernel_is_named(stand_in: Any, cache: Path) -> None:
    fetch("squeezenet1.1")
    manifest = load_manifest("squeezenet1.1")
    model = onnx.load_from_string(artefact_bytes(manifest))
    model.graph.node[0].op_type, model.graph.node[0].name = "Erf", "odd"
    with pytest.raises(EngineFailed, match=r"node odd \(Erf\)"):
        build_plan(stand_in, manifest.name, model.SerializeToString(), manifest.profile)
    with pytest.raises(Unsupported, match="no kernel for Erf"):
        Network(model.SerializeToString())


@pytest.mark.parametrize("model", MODELS)
def test_its_kernels_answer_as_onnx_runtime_does(model: str, cache: Path) -> None:
    torch = pytest.importorskip("torch", reason="needs PyTorch")
    onnxruntime = pytest.importorskip("onnxruntime")
    fetch(model)
    manifest = load_manifest(model)
    data, size = artefact_bytes(manifest), manifest.input.size
    images = (np.random.default_rng(1).random((2, 3, size, size), np.float32) - 0.5) * 2
    network = Network(data)
    network.load(torch, "cpu")
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    expected = session.run(None, {session.get_inputs()[0].name: images})[0]
    with torch.inference_mode():
        answers = network.run(torch.from_numpy(images)).numpy()
    assert np.allclose(answers, expected, atol=1e-4 * float(np.abs(expected).max()))
