"""What the builder calls is there in TensorRT 10 and 11, with the arguments that it gives."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
TIMEOUT_S = 60

ASK = """
import sys
from pathlib import Path
from tests.serving.tensorrt.fakes.runtime import load_driver, signatures
load_driver(Path(sys.argv[1]), sys.argv[2])
import tensorrt as trt
calls = {
    ("Builder", "create_network"): ((0,), {}),
    ("Builder", "create_builder_config"): ((), {}),
    ("Builder", "create_optimization_profile"): ((), {}),
    ("Builder", "build_serialized_network"): ((None, None), {}),
    ("OnnxParser", "parse"): ((b"",), {}),
    ("OnnxParser", "get_error"): ((0,), {}),
    ("ParserError", "desc"): ((), {}),
    ("ParserError", "node_name"): ((), {}),
    ("ParserError", "node_operator"): ((), {}),
    ("INetworkDefinition", "get_input"): ((0,), {}),
    ("IOptimizationProfile", "set_shape"): (("x", (1,), (1,), (1,)), {}),
    ("IBuilderConfig", "set_memory_pool_limit"): ((None, 1), {}),
    ("IBuilderConfig", "clear_flag"): ((None,), {}),
    ("IBuilderConfig", "add_optimization_profile"): ((None,), {}),
    ("IBuilderConfig", "create_timing_cache"): ((b"",), {}),
    ("IBuilderConfig", "set_timing_cache"): ((None,), {"ignore_mismatch": False}),
    ("ITimingCache", "serialize"): ((), {}),
}
for (owner, name), (args, named) in calls.items():
    found = signatures(getattr(getattr(trt, owner), name), name)
    fits = 0
    for signature in found:
        try:
            signature.bind(None, *args, **named)
            fits += 1
        except TypeError:
            pass
    assert fits, (owner, name, found)
for name in ("TF32",):
    getattr(trt.BuilderFlag, name)
trt.MemoryPoolType.WORKSPACE, trt.INetworkDefinition.num_inputs, trt.OnnxParser.num_errors
trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED
print(trt.__version__)
"""


@pytest.mark.parametrize("major", ["10", "11"])
def test_the_builders_calls_fit_the_bindings(prepared: Path, major: str) -> None:
    command = [sys.executable, "-c", ASK, str(prepared), major]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    assert done.stdout.startswith(f"{major}."), done.stderr
