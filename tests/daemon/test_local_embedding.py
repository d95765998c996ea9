"""Four owners with four real embedding models behind real daemons answer one request with one certified vector."""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

from dropbeard.client.client import Client
from dropbeard.daemon.local_group import LocalGroup
from dropbeard.errors import ClientError
from dropbeard.serving.catalogue import add
from dropbeard.types.certificates import decode_certificate
from dropbeard.types.outputs import Numbers
from dropbeard.verification.aggregate import Assurance
from dropbeard.verification.certificate import verify
from tests.serving.measuring import COLOURS, EMBEDDING, linear_model, measuring_manifest

pytestmark = pytest.mark.system

CONNECT_S = 40.0
RULE = 'rule = "embedding"\nnumbers = 3\nnormalise = true'
OWNERS = ("alice", "bob", "carol", "dave")


def add_model(folder: Path, name: str, kernel: object) -> None:
    """Put a model into the cache, as ``dropbeard models add`` does."""
    model = linear_model(np.asarray(kernel), np.zeros(3), (3,))
    (folder / f"{name}.toml").write_bytes(measuring_manifest(model, RULE, name).file_bytes)
    (folder / f"{name}.onnx").write_bytes(model)
    add(folder / f"{name}.toml", folder / f"{name}.onnx")


def connected(local: LocalGroup) -> Client:
    """A client of a group whose nodes all serve."""
    until = time.monotonic() + CONNECT_S
    while True:
        local.check()
        try:
            with ExitStack() as opened:
                client = opened.enter_context(Client.from_group(local.genesis, timeout=30.0, patience=10.0))
                client.infer(np.full((8, 8, 3), 9, np.uint8))
                opened.pop_all()
                return client
        except ClientError:
            if time.monotonic() > until:
                raise
            time.sleep(0.2)


def test_a_group_of_embedding_models_certifies_their_median(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DROPBEARD_CACHE", str(tmp_path / "cache"))
    turned = [COLOURS, COLOURS + 0.01, COLOURS * 1.5, -COLOURS]
    for owner, kernel in zip(OWNERS, turned, strict=True):
        add_model(tmp_path, f"vectors-of-{owner}", kernel)
    owners = [(owner, f"vectors-of-{owner}") for owner in OWNERS]
    picture = np.zeros((16, 16, 3), np.uint8)
    picture[..., 0], picture[..., 1] = 96, 128
    with LocalGroup(tmp_path / "g", owners, task=EMBEDDING) as local, connected(local) as client:
        answer = client.infer(picture)
        data = answer.certificate.data
    found = answer.measured
    assert found is not None
    assert answer.label is None
    assert [owner.owner for owner in found.owners] == list(OWNERS)
    # One model looks the other way; the median stays with the three.
    assert found.numbers == pytest.approx((0.6, 0.8, 0.0), abs=0.02)
    assert [owner.agreement > 0.99 for owner in found.owners] == [True, True, True, False]
    assert found.owners[3].agreement == 0
    assert found.assurance is Assurance.NONE
    verified = verify(decode_certificate(data), local.group)
    first = verified.answers[0].output
    assert isinstance(first, Numbers)
    assert first.values == (round(0.6 * 2**14), round(0.8 * 2**14), 0)
