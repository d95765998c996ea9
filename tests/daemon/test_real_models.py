"""The whole path with the four real models: one photograph, four engines, a certificate, and what is no picture."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dropbeard import Client
from dropbeard.cli.main import run
from dropbeard.daemon.local_group import LocalGroup
from dropbeard.errors import GroupUnreachable, RequestRejected
from dropbeard.serving.catalogue import fetch_set
from dropbeard.serving.packages import package_file
from dropbeard.verification.aggregate import Assurance

pytestmark = pytest.mark.system
START_S = 45.0


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalGroup]:
    fetch_set("imagenet", lambda progress: None)
    with LocalGroup(tmp_path_factory.mktemp("real") / "g") as group:
        yield group


@pytest.fixture(scope="module")
def client(local: LocalGroup) -> Iterator[Client]:
    until = time.monotonic() + START_S
    while True:
        try:
            found = Client(local.group, timeout=40, patience=20, connect_timeout=1)
            break
        except GroupUnreachable:
            local.check()
            assert time.monotonic() < until
    with found:
        yield found


def test_four_models_answer_a_photograph_and_the_certificate_verifies_with_it(
    local: LocalGroup, client: Client, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photograph = package_file("ndf", "tests/book-2020460_640.jpg")
    answer = client.infer(photograph)
    assert [owner.owner for owner in answer.owners] == ["alice", "bob", "carol", "dave"]
    assert len({owner.model for owner in answer.owners}) == 4
    assert all(len(owner.choices) == 5 for owner in answer.owners)
    assert answer.assurance in set(Assurance)
    saved = answer.certificate.save(tmp_path / "desk.dbcert")
    assert len(saved.read_bytes()) < 2_048
    verify = ["verify", str(saved), "--group", str(local.genesis)]
    assert run([*verify, "--input", str(photograph)]) == 0
    shown = capsys.readouterr().out
    assert "efficientnet-lite0" in shown
    assert "squeezenet1.1" in shown
    other = tmp_path / "other.jpg"
    other.write_bytes(photograph.read_bytes() + b"\0")
    assert run([*verify, "--input", str(other)]) == 1
    assert "step 10" in capsys.readouterr().err


def test_the_same_photograph_asked_twice_is_answered_alike(client: Client) -> None:
    photograph = package_file("ndf", "tests/book-2020460_640.jpg")
    first, second = list(client.map([photograph, photograph], in_flight=2))
    assert first.request_id != second.request_id
    assert [o.choices for o in first.owners] == [o.choices for o in second.owners]


def test_what_is_no_picture_is_rejected_by_every_engine_and_the_group_goes_on(client: Client) -> None:
    with pytest.raises(RequestRejected, match="not a JPEG, PNG or WebP"):
        client.infer(b"this is text")
    assert len(client.infer(package_file("ndf", "tests/book-2020460_640.jpg")).owners) == 4
