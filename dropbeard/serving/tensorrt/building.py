"""From an ONNX model to a plan: strongly typed, one optimisation profile over the batch size.

Precision is the ONNX graph's own: TensorRT 11 has no other way, so neither has 10 here. TF32, which TensorRT would
use for 32-bit layers, is off, because ``dropbeard engine check`` holds the plan against ONNX Runtime.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from dropbeard.errors import EngineFailed
from dropbeard.serving.image_engine import one_line
from dropbeard.serving.manifest import Profile
from dropbeard.serving.tensorrt.messages import logger_of

WORKSPACE_BYTES_MAX: Final = 2 << 30
"""Scratch memory that a layer may ask for on the device."""


@dataclass(frozen=True, slots=True)
class Built:
    """A serialised engine, and the timing cache that its build leaves for the next one."""

    plan: bytes
    timing: bytes


def build_plan(trt: Any, name: str, model: bytes, profile: Profile, timing: bytes = b"") -> Built:
    """Parse and build; minutes on a GPU. ``timing`` is what an earlier build on the same device left.

    Raises EngineFailed with TensorRT's reason, and with the node's name for a model it cannot parse.
    """
    logger = logger_of(trt)
    logger.clear()
    builder = trt.Builder(logger)
    network = builder.create_network(_network_flags(trt))
    parser = trt.OnnxParser(network, logger)
    if not parser.parse(model):
        raise EngineFailed(f"TensorRT cannot parse {name}: {_parse_error(parser)}")
    config = builder.create_builder_config()
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, WORKSPACE_BYTES_MAX)
    config.clear_flag(trt.BuilderFlag.TF32)
    _add_profile(trt, builder, network, config, name, profile)
    cache = _timing_cache(config, timing)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise EngineFailed(f"TensorRT cannot build {name}: {logger.last_error()}")
    return Built(bytes(plan), b"" if cache is None else bytes(cache.serialize()))


def _network_flags(trt: Any) -> int:
    if int(str(trt.__version__).split(".")[0]) >= 11:
        return 0  # always strongly typed
    flags: int = 1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
    return flags


def _parse_error(parser: Any) -> str:
    if parser.num_errors == 0:
        return "it gave no reason"
    error = parser.get_error(0)
    reason = one_line(error.desc())
    node = error.node_name()
    return f"node {node} ({error.node_operator()}): {reason}" if node else reason


def _add_profile(trt: Any, builder: Any, network: Any, config: Any, name: str, profile: Profile) -> None:
    given = network.get_input(0)
    if network.num_inputs != 1:
        raise EngineFailed(f"{name} takes {network.num_inputs} inputs, expected one image batch")
    batch, *rest = tuple(given.shape)
    if batch != -1 or -1 in rest:
        raise EngineFailed(f"{name} takes {tuple(given.shape)}: its batch, and nothing else, must be dynamic")
    shapes = builder.create_optimization_profile()
    shapes.set_shape(given.name, *((size, *rest) for size in (1, profile.batch_best, profile.batch_max)))
    # A profile that TensorRT does not like is falsy.
    if not shapes or config.add_optimization_profile(shapes) < 0:
        raise EngineFailed(f"TensorRT refuses the profile of {name}: {logger_of(trt).last_error()}")


def _timing_cache(config: Any, timing: bytes) -> Any:
    cache = config.create_timing_cache(timing)
    if cache is None or not config.set_timing_cache(cache, ignore_mismatch=False):
        # Of another device or version: the build measures everything again.
        cache = config.create_timing_cache(b"")
        config.set_timing_cache(cache, ignore_mismatch=False)
    return cache
