"""Triton: the stock binary as the package nvidia-pytriton brings it, its Python backend, a model repository.

``python -m perf.peers.servers.triton_repository PORT DIRECTORY`` writes the repository and becomes the server; PORT
serves HTTP, the two after it gRPC and metrics.
"""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
from pathlib import Path
from typing import Final

from perf.peers.processes import shared_name
from perf.peers.workload import HOST, Workload, told

MODEL: Final = "classifier"
CONFIG: Final = """name: "{name}"
backend: "python"
max_batch_size: {batch_max}
input [{{ name: "picture" data_type: TYPE_UINT8 dims: [{bytes}] }}]
output [{{ name: "answer" data_type: TYPE_UINT8 dims: [-1] }}]
instance_group [{{ count: {workers} kind: KIND_CPU }}]
dynamic_batching {{ max_queue_delay_microseconds: {wait_us} }}
"""


def write_repository(directory: Path, workload: Workload) -> Path:
    """A repository of one model."""
    version = directory / "models" / MODEL / "1"
    version.mkdir(parents=True)
    text = CONFIG.format(
        name=MODEL,
        batch_max=workload.batch_max,
        bytes=workload.input_bytes,
        workers=workload.workers,
        wait_us=workload.wait_ms * 1_000,
    )
    (version.parent / "config.pbtxt").write_text(text)
    (version / "model.py").write_text(f"from {__package__}.triton_model import TritonPythonModel\n")
    return directory / "models"


def lay_out_backend(directory: Path, triton: Path) -> Path:
    """The Python backend with the stub for this Python beside it, as Triton looks for them."""
    home = directory / "backends" / "python"
    shutil.copytree(triton / "backends" / "python", home)
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    stub = shutil.copy(triton / "python_backend_stubs" / version / "triton_python_backend_stub", home)
    Path(stub).chmod(0o755)
    return home.parent


def main() -> None:
    """Become the server."""
    port, directory = int(sys.argv[1]), Path(sys.argv[2])
    packages = Path(sysconfig.get_path("purelib"))
    triton = packages / "pytriton" / "tritonserver"
    models, backends = write_repository(directory, told()), lay_out_backend(directory, triton)
    # The stub loads the interpreter as a library and finds this environment's packages by their path.
    libraries = [sysconfig.get_config_var("LIBDIR"), str(packages / "nvidia_pytriton.libs")]
    os.environ["LD_LIBRARY_PATH"] = ":".join(map(str, libraries))
    os.environ["PYTHONPATH"] = f"{os.environ['PYTHONPATH']}:{packages}"
    ports = [f"--http-address={HOST}", f"--grpc-address={HOST}", f"--http-port={port}", f"--grpc-port={port + 1}"]
    ports += [f"--metrics-address={HOST}", f"--metrics-port={port + 2}"]
    memory = f"--backend-config=python,shm-region-prefix-name={shared_name(os.getpid())}"
    program = str(triton / "bin" / "tritonserver")
    os.execv(program, [program, f"--model-repository={models}", f"--backend-directory={backends}", memory, *ports])


if __name__ == "__main__":
    main()
