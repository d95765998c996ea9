"""A group of one owner, n = 1 and f = 0: the rules as ever, and nobody to ask."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from dropbeard.client import Client
from dropbeard.client.answers import Answer
from dropbeard.daemon.local_group import LocalGroup
from dropbeard.errors import ClientError
from dropbeard.types.certificates import decode_certificate
from dropbeard.types.node_config import EngineTable
from dropbeard.verification import portable
from dropbeard.verification.certificate import verify

pytestmark = pytest.mark.system

LIMIT_S = 60.0


def answered(local: LocalGroup, seed: int) -> Answer:
    """The answer to a picture of its own, as soon as there is one."""
    picture = np.random.default_rng(seed).integers(0, 255, (8, 8, 3), dtype=np.uint8)
    until = time.monotonic() + LIMIT_S
    while True:
        local.supervisor.poll()
        try:
            with Client(local.group, timeout=5, connect_timeout=2) as client:
                return client.infer(picture)
        except ClientError:
            assert time.monotonic() < until, (local.directory / "alice" / "node.log").read_text()


def test_one_owner_certifies_alone_and_goes_on_after_a_kill(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    labels = tmp_path / "labels.txt"
    labels.write_text("\n".join(f"class {number}" for number in range(10)))
    engine = EngineTable("", backend="synthetic")
    with LocalGroup(tmp_path / "g", [("alice", "synthetic")], engine=engine, labels=labels) as local:
        assert (local.group.n, local.group.f, local.group.quorum, local.group.answers) == (1, 0, 1, 1)
        before = answered(local, 1)
        node = local.supervisor.pid("node alice")
        assert node is not None
        os.kill(node, signal.SIGKILL)
        after = answered(local, 2)
        assert local.supervisor.pid("node alice") != node
    assert after.height > before.height
    for answer in (before, after):
        saved = answer.certificate.save(tmp_path / "a.dbcert")
        assert verify(decode_certificate(saved.read_bytes()), local.group).height == answer.height
        assert portable.main([str(saved), str(local.genesis)]) == 0
    assert "openings 1 of 1" in capsys.readouterr().out
