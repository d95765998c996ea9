"""A real group of four behind a real gateway process, asked by the unchanged tritonclient."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc as triton_grpc
import tritonclient.http as triton_http

from dropbeard.daemon.local_group import LocalGroup
from dropbeard.daemon.process import DIE_WITH_PARENT
from dropbeard.types.certificates import decode_certificate
from dropbeard.types.task import Input, InputKind
from dropbeard.verification.certificate import verify
from tests.client.groups import picture, pictures, running_group
from tests.gateway.pieces import free_ports

pytestmark = pytest.mark.system

READY_S = 30.0
END_S = 30.0
DOCS = Path(__file__).resolve().parents[2] / "docs" / "gateway.md"


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalGroup]:
    with running_group(tmp_path_factory.mktemp("group")) as group:
        yield group


@contextmanager
def gateway(folder: Path, local: LocalGroup, more: str = "") -> Iterator[tuple[str, str, subprocess.Popen[bytes]]]:
    """A gateway process that reached the group: its HTTP and its gRPC address."""
    http_port, grpc_port = free_ports(2)
    config = folder / "gateway.toml"
    config.write_text(f'genesis = "{local.genesis}"\nhttp_port = {http_port}\ngrpc_port = {grpc_port}\n{more}')
    environment = {**os.environ, DIE_WITH_PARENT: str(os.getpid())}
    command = [sys.executable, "-m", "dropbeard", "run", "gateway", str(config)]
    with (folder / "log").open("wb") as log, subprocess.Popen(command, stderr=log, env=environment) as process:
        try:
            await_ready(f"127.0.0.1:{http_port}", folder / "log")
            yield f"127.0.0.1:{http_port}", f"127.0.0.1:{grpc_port}", process
        finally:
            process.terminate()
            process.wait(END_S)


def await_ready(address: str, log: Path) -> None:
    until = time.monotonic() + READY_S
    while time.monotonic() < until:
        try:
            with triton_http.InferenceServerClient(address) as client:
                if client.is_server_ready():
                    return
        except OSError:
            time.sleep(0.1)
    raise AssertionError(log.read_text())


def tensor(library: Any, array: np.ndarray[Any, Any], datatype: str = "UINT8") -> Any:
    given = library.InferInput("image", list(array.shape), datatype)
    given.set_data_from_numpy(array)
    return given


@pytest.mark.parametrize("library", [triton_http, triton_grpc], ids=["http", "grpc"])
def test_tritonclient_gets_an_agreed_answer_with_a_certificate_for_every_picture(
    local: LocalGroup, tmp_path: Path, library: Any
) -> None:
    batch = np.stack(pictures(5))
    with gateway(tmp_path, local) as (http, grpc, _):
        address = http if library is triton_http else grpc
        with library.InferenceServerClient(address) as client:
            model = client.get_model_repository_index(**({} if library is triton_http else {"as_json": True}))
            name = (model if library is triton_http else model["models"])[0]["name"]
            wanted = [library.InferRequestedOutput(name) for name in ("scores", "label", "certificate")]
            result = client.infer(name, [tensor(library, batch)], outputs=wanted)
    assert name == local.group.task.name
    assert result.as_numpy("scores").shape == (5, local.group.task.classes)
    for row, scores, given in zip(result.as_numpy("certificate"), result.as_numpy("scores"), batch, strict=True):
        verified = verify(
            decode_certificate(row[0]), local.group, Input(InputKind.RAW_RGB8, (8, 8, 3), given.tobytes())
        )
        assert len(verified.answers) == 4
        votes = {int(class_id): int(scores[class_id] * 4) for class_id in scores.nonzero()[0]}
        assert votes == dict(verified.tally)


def test_the_example_of_the_documentation_believes_only_what_the_group_signed(
    local: LocalGroup, tmp_path: Path
) -> None:
    (example,) = re.findall(r'```python\n("""GATEWAY GENESIS PICTURE.*?)```', DOCS.read_text(), re.DOTALL)
    (tmp_path / "example.py").write_text(example)
    (tmp_path / "picture").write_bytes(b"a synthetic engine takes any file")
    with gateway(tmp_path, local) as (http, _, _):
        command = [sys.executable, str(tmp_path / "example.py"), http, str(local.genesis), str(tmp_path / "picture")]
        shown = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert shown.returncode == 0, shown.stderr
    assert re.fullmatch(r"(class \d|undecided) -?\d (none|honest-plurality|robust)\n", shown.stdout)


@contextmanager
def stopped(local: LocalGroup, *names: str) -> Iterator[None]:
    """The group cannot answer meanwhile."""
    pids = [pid for pid in map(local.supervisor.pid, names) if pid is not None]
    assert len(pids) == len(names)
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def await_in_flight(port: int, rows: int) -> None:
    until = time.monotonic() + READY_S
    wanted = f"dropbeard_gateway_in_flight {float(rows)}"
    while time.monotonic() < until:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as page:
            if wanted in page.read().decode():
                return
        time.sleep(0.05)
    raise AssertionError(f"never {rows} pictures under way")


def test_two_gateways_answer_side_by_side_and_one_that_is_told_to_end_finishes_what_is_under_way(
    local: LocalGroup, tmp_path: Path
) -> None:
    folders = [tmp_path / name for name in ("one", "two")]
    for folder in folders:
        folder.mkdir()
    model = local.group.task.name
    (metrics,) = free_ports(1)
    metered = gateway(folders[0], local, f"metrics_port = {metrics}\n")
    with metered as (first, _, process), gateway(folders[1], local) as (second, _, _):
        with ThreadPoolExecutor(1) as pool:
            with stopped(local, "node bob", "node carol"):
                asked = pool.submit(infer, first, model, np.stack(pictures(8)))
                await_in_flight(metrics, 8)
                process.send_signal(signal.SIGTERM)
                await_not_ready(first)
            assert asked.result(END_S).shape == (8, local.group.task.classes)
        assert process.wait(END_S) == 0
        assert infer(second, model, picture(1)[None]).shape == (1, local.group.task.classes)
    assert "gateway-ending whole=true left=0" in (folders[0] / "log").read_text()


def infer(address: str, model: str, batch: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    with triton_http.InferenceServerClient(address) as client:
        scores: np.ndarray[Any, Any] = client.infer(model, [tensor(triton_http, batch)]).as_numpy("scores")
    return scores


def await_not_ready(address: str) -> None:
    until = time.monotonic() + READY_S
    with triton_http.InferenceServerClient(address) as client:
        while client.is_server_ready():
            assert time.monotonic() < until
            time.sleep(0.05)
