"""Clients that are not ours to install: KServe's, replayed from what it sends and run where it is; perf_analyzer.

``DROPBEARD_KSERVE_PYTHON`` names an interpreter with the package kserve (0.21 sent the requests below),
``DROPBEARD_PERF_ANALYZER`` the program perf_analyzer. Without them their own tests are skipped.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.gateway.pieces import MODEL, Served, Teller, serve

KSERVE = os.environ.get("DROPBEARD_KSERVE_PYTHON")
PERF_ANALYZER = os.environ.get("DROPBEARD_PERF_ANALYZER")
CLIENT_S = 50

BINARY = (
    b'{"id":"7","model_name":"pictures","inputs":[{"name":"image","shape":[1,2,1,3],"datatype":"UINT8",'
    b'"parameters":{"binary_data_size":6}}],"outputs":[{"name":"scores","parameters":{"binary_data":true}},'
    b'{"name":"certificate","parameters":{"binary_data":false}}]}'
)
PLAIN = (
    b'{"id":"7","model_name":"pictures","inputs":[{"name":"image","shape":[1,2,1,3],"datatype":"UINT8",'
    b'"data":[0,0,0,0,0,0]}]}'
)


def ask(served: Served, method: str, path: str, body: bytes = b"", **headers: str) -> tuple[dict[str, str], bytes]:
    line = http.client.HTTPConnection(served.http, timeout=CLIENT_S)
    line.request(method, path, body or None, headers)
    answer = line.getresponse()
    data = answer.read()
    line.close()
    assert answer.status == 200, data
    return {name.lower(): value for name, value in answer.getheaders()}, data


def run_beside(work: Any, **changes: Any) -> None:
    async def scenario(served: Served) -> None:
        await asyncio.to_thread(work, served)

    serve(scenario, Teller(votes=(3, 3, 5, 3)), **changes)


def test_health_is_json_that_kserves_client_parses() -> None:
    def work(served: Served) -> None:
        for what in ("live", "ready"):
            assert json.loads(ask(served, "GET", f"/v2/health/{what}")[1])[what] is True
        assert json.loads(ask(served, "GET", f"/v2/models/{MODEL}/ready")[1]) == {"name": MODEL, "ready": True}

    run_beside(work)


def test_what_kserves_client_sends_is_answered_in_the_form_that_it_reads() -> None:
    def work(served: Served) -> None:
        size = {"inference-header-content-length": str(len(BINARY)), "content-type": "application/octet-stream"}
        headers, data = ask(served, "POST", f"/v2/models/{MODEL}/infer", BINARY + bytes(6), **size)
        head = int(headers["inference-header-content-length"])
        scores, certificate = json.loads(data[:head])["outputs"]
        assert scores["parameters"]["binary_data_size"] == len(data) - head
        assert np.frombuffer(data[head:], np.float32).argmax() == 3
        assert isinstance(certificate["data"][0], str)
        kind = {"content-type": "application/json"}
        headers, data = ask(served, "POST", f"/v2/models/{MODEL}/infer", PLAIN, **kind)
        assert "inference-header-content-length" not in headers
        answer = json.loads(data)
        assert answer["id"] == "7"
        assert answer["outputs"][0]["data"][3] == 0.75

    run_beside(work)


def test_an_image_file_is_a_whole_body_for_curl() -> None:
    def work(served: Served) -> None:
        _, data = ask(
            served, "POST", f"/v2/models/{MODEL}/infer", b"a file", **{"Inference-Header-Content-Length": "0"}
        )
        assert json.loads(data)["outputs"][0]["shape"] == [1, 10]
        assert served.teller.asked[0][0].data == b"a file"

    run_beside(work)


@pytest.mark.skipif(KSERVE is None, reason="DROPBEARD_KSERVE_PYTHON names no interpreter with kserve")
def test_kserves_own_clients_are_answered() -> None:
    def work(served: Served) -> None:
        script = Path(__file__).with_name("kserve_client.py")
        command = [str(KSERVE), str(script), served.http, served.grpc, MODEL]
        done = subprocess.run(command, capture_output=True, text=True, timeout=CLIENT_S, check=False)
        assert done.returncode == 0, done.stderr

    run_beside(work)


@pytest.mark.skipif(PERF_ANALYZER is None, reason="DROPBEARD_PERF_ANALYZER names no program")
@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_perf_analyzer_measures_a_group_and_sees_where_the_time_went(protocol: str) -> None:
    def work(served: Served) -> None:
        address = served.http if protocol == "http" else served.grpc
        window = ["--measurement-mode", "count_windows", "--measurement-request-count", "20", "-s", "999", "-r", "3"]
        command = [str(PERF_ANALYZER), "-m", MODEL, "-u", address, "-i", protocol, *window]
        done = subprocess.run(command, capture_output=True, text=True, timeout=CLIENT_S, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "compute infer" in done.stdout

    run_beside(work, height=8, width=8)
