"""The module ``tensorrt`` where there is a GPU and PyTorch, but TensorRT cannot be installed.

Its classes are bound, name by name and signature by signature, to those of the real bindings, as the fake ones are.
What they compute on the GPU are PyTorch's kernels, recorded into a CUDA graph for each batch size and execution
context, on the stream and in the memory that the executor gives. So everything of the executor meets a real driver.
What TensorRT itself would compute, and how fast, this does not tell; its version says so.
"""

from __future__ import annotations

import functools
import importlib
import json
from typing import Any

from tests.serving.tensorrt.fakes.runtime import ALIGNMENT, Contract
from tests.serving.tensorrt.torch_runtime.network import Network, Unsupported, shape_of

real: Any = importlib.import_module("tensorrt_bindings")
__version__ = f"{real.__version__}+torch"
ILogger, TensorIOMode, DataType, MemoryPoolType, BuilderFlag, nptype = (
    getattr(real, name) for name in ("ILogger", "TensorIOMode", "DataType", "MemoryPoolType", "BuilderFlag", "nptype")
)
bound = Contract(real)


@functools.cache
def kernels() -> Any:
    """PyTorch, told to compute 32-bit layers in 32 bits; only what runs on the GPU needs it."""
    torch: Any = importlib.import_module("torch")
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False
    return torch


@bound("ITensor")
class Tensor:
    """An input of a network."""

    def __init__(self, name: str, shape: tuple[int, ...]) -> None:
        self._name, self._shape = name, shape

    @property
    def name(self) -> str:
        return self._name

    @property
    def shape(self) -> Any:
        return real.Dims(self._shape)


@bound("INetworkDefinition")
class Definition:
    """A model that was parsed."""

    def __init__(self) -> None:
        self._model: bytes | None = None
        self._given: list[Tensor] = []

    @property
    def num_inputs(self) -> int:
        return len(self._given)

    def get_input(self, index: int) -> Tensor:
        return self._given[index]


@bound("ParserError")
class ParserError:
    """Why a model cannot be parsed."""

    def __init__(self, text: str, name: str, operator: str) -> None:
        self._text, self._name, self._operator = text, name, operator

    def desc(self) -> str:
        return self._text

    def node_name(self) -> str:
        return self._name

    def node_operator(self) -> str:
        return self._operator


@bound("OnnxParser")
class OnnxParser:
    """Takes what ``Network`` has kernels for."""

    def __init__(self, network: Definition, logger: Any) -> None:
        del logger
        self._network = network
        self._errors: list[ParserError] = []

    def parse(self, model: Any, path: Any = None) -> bool:
        try:
            parsed = Network(bytes(model))
        except Unsupported as wrong:
            self._errors.append(ParserError(str(wrong), wrong.node.name, wrong.node.op_type))
            return False
        except Exception as wrong:
            self._errors.append(ParserError(str(wrong), "", ""))
            return False
        self._network._model = bytes(model)
        self._network._given = [Tensor(parsed.given.name, shape_of(parsed.given))]
        return True

    @property
    def num_errors(self) -> int:
        return len(self._errors)

    def get_error(self, index: int) -> ParserError:
        return self._errors[index]


@bound("IOptimizationProfile")
class Profile:
    """Batch sizes; falsy until they are set."""

    def __init__(self) -> None:
        self._batch_max = 0

    def __bool__(self) -> bool:
        return self._batch_max > 0

    def set_shape(self, input: str, min: Any, opt: Any, max: Any) -> None:
        self._batch_max = max[0] if min[0] <= opt[0] <= max[0] else 0


@bound("ITimingCache")
class TimingCache:
    """Nothing is timed here."""

    def serialize(self) -> bytes:
        return b"nothing"


@bound("IBuilderConfig")
class Config:
    """What a build is told."""

    def __init__(self) -> None:
        self._profiles: list[Profile] = []

    def set_memory_pool_limit(self, pool: Any, pool_size: int) -> None:
        assert pool == MemoryPoolType.WORKSPACE and pool_size > 0

    def clear_flag(self, flag: Any) -> None:
        assert flag == BuilderFlag.TF32

    def create_timing_cache(self, serialized_timing_cache: Any) -> TimingCache:
        return TimingCache()

    def set_timing_cache(self, cache: TimingCache, ignore_mismatch: bool) -> bool:
        return not ignore_mismatch

    def add_optimization_profile(self, profile: Profile) -> int:
        self._profiles.append(profile)
        return len(self._profiles) - 1 if profile else -1


@bound("Builder")
class Builder:
    """A plan is the model and its largest batch."""

    def __init__(self, logger: Any) -> None:
        del logger

    def create_network(self, flags: int = 0) -> Definition:
        return Definition()

    def create_builder_config(self) -> Config:
        return Config()

    def create_optimization_profile(self) -> Profile:
        return Profile()

    def build_serialized_network(self, network: Definition, config: Config) -> bytes | None:
        if network._model is None or not config._profiles:
            return None
        return json.dumps({"batch_max": config._profiles[0]._batch_max}).encode() + b"\n" + network._model


@bound("IExecutionContext")
class Context:
    """One graph for each batch size, recorded when it first comes; all in one pool, as a context runs one at a time."""

    def __init__(self, engine: Engine) -> None:
        self._engine, self._batch = engine, 0
        self._at: dict[str, int] = {}
        self._graphs: dict[int, Any] = {}
        self._pool = kernels().cuda.graph_pool_handle()

    def set_input_shape(self, name: str, shape: Any) -> bool:
        tensor = self._engine._network.given
        if name != tensor.name or tuple(shape[1:]) != shape_of(tensor)[1:]:
            return False
        if not 1 <= shape[0] <= self._engine._batch_max:
            return False
        self._batch = shape[0]
        return True

    def set_tensor_address(self, name: str, memory: int) -> bool:
        self._at[name] = int(memory)
        return int(memory) % ALIGNMENT == 0

    def execute_async_v3(self, stream_handle: int) -> bool:
        torch = kernels()
        stream = torch.cuda.ExternalStream(int(stream_handle))
        if self._batch not in self._graphs:
            self._graphs[self._batch] = self._record(stream)
        with torch.cuda.stream(stream):
            self._graphs[self._batch].replay()
        return True

    def _record(self, stream: Any) -> Any:
        torch, network = kernels(), self._engine._network
        given, gives = (
            _memory(self._at[t.name], (self._batch, *shape_of(t)[1:])) for t in (network.given, network.gives)
        )
        graph = torch.cuda.CUDAGraph()
        with torch.inference_mode(), torch.cuda.stream(stream):
            gives.copy_(network.run(given))  # libraries pick and load their kernels before anything is recorded
            stream.synchronize()
            with torch.cuda.graph(graph, pool=self._pool, stream=stream, capture_error_mode="thread_local"):
                gives.copy_(network.run(given))
        return graph


@bound("ICudaEngine")
class Engine:
    """A model on the GPU."""

    def __init__(self, runtime: Any, model: bytes, batch_max: int) -> None:
        self._runtime, self._batch_max = runtime, batch_max
        self._network = Network(model)
        self._network.load(kernels(), "cuda")

    @property
    def num_io_tensors(self) -> int:
        return 2

    def get_tensor_name(self, index: int) -> str:
        return str((self._network.given, self._network.gives)[index].name)

    def get_tensor_mode(self, name: str) -> Any:
        return TensorIOMode.INPUT if name == self._network.given.name else TensorIOMode.OUTPUT

    def get_tensor_dtype(self, name: str) -> Any:
        return DataType.FLOAT

    def get_tensor_shape(self, name: str) -> Any:
        network = self._network
        return real.Dims(shape_of(network.given if name == network.given.name else network.gives))

    def create_execution_context(self, strategy: Any = None) -> Context:
        return Context(self)


@bound("Runtime")
class Runtime:
    """Loads what ``Builder`` built."""

    def __init__(self, logger: Any) -> None:
        self._logger = logger

    def deserialize_cuda_engine(self, serialized_engine: Any) -> Engine | None:
        head, _, model = bytes(serialized_engine).partition(b"\n")
        try:
            batch_max = int(json.loads(head)["batch_max"])
        except (ValueError, KeyError):
            self._logger.log(ILogger.Severity.ERROR, "this plan was not built here")
            return None
        try:
            return Engine(self, model, batch_max)
        except kernels().OutOfMemoryError:
            self._logger.log(ILogger.Severity.ERROR, "out of memory")
            return None


class _Address:
    """Device memory of the executor's, as PyTorch takes it without a copy."""

    def __init__(self, at: int, shape: tuple[int, ...]) -> None:
        self.__cuda_array_interface__ = {"shape": shape, "typestr": "<f4", "data": (at, False), "version": 3}


def _memory(at: int, shape: tuple[int, ...]) -> Any:
    return kernels().as_tensor(_Address(at, shape), device="cuda")
