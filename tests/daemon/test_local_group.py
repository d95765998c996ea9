"""Real daemons, real sockets, real SQLite: a group of four on loopback with synthetic engines."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from dropbeard.client import Client
from dropbeard.client.answers import Answer, Grade
from dropbeard.daemon.local_group import LocalGroup
from dropbeard.daemon.replaying import replay
from dropbeard.daemon.supervisor import Child, Supervisor
from dropbeard.errors import ConfigInvalid, DropbeardError, GroupUnreachable, InputInvalid, RequestRejected
from dropbeard.signing.curve import CurveSecret
from dropbeard.types.certificates import decode_certificate
from dropbeard.types.ids import OwnerId
from dropbeard.types.node_config import EngineTable
from dropbeard.verification.certificate import verify

pytestmark = pytest.mark.system

LABELS = "\n".join(f"class {number}" for number in range(10))
CONNECT_S = 20.0
KEY = CurveSecret.generate()

SYNTHETIC = EngineTable("", backend="synthetic")


@pytest.fixture
def local(tmp_path: Path) -> Iterator[LocalGroup]:
    labels = tmp_path / "labels.txt"
    labels.write_text(LABELS)
    with LocalGroup(tmp_path / "g", engine=SYNTHETIC, labels=labels) as group:
        yield group


def pictures(count: int, seed: int = 1) -> list[npt.NDArray[np.uint8]]:
    rng = np.random.default_rng(seed)
    return [rng.integers(0, 255, (8, 8, 3), dtype=np.uint8) for _ in range(count)]


def connect(local: LocalGroup, patience: float = 1.0, key: CurveSecret | None = None) -> Client:
    """A client of a group whose four nodes all answer."""
    until = time.monotonic() + CONNECT_S
    while True:
        try:
            client = Client(local.group, key, timeout=15, patience=patience, connect_timeout=2)
        except GroupUnreachable:
            assert time.monotonic() < until, (local.directory / "alice" / "node.log").read_text()
            continue
        if client.nodes_reached == local.group.n or time.monotonic() > until:
            return client
        client.close()


def daemon(kind: str, config: Path) -> Child:
    command = (sys.executable, "-m", "dropbeard", "run", kind, str(config))
    return Child(f"{kind} {config.stem}", command, config.parent / f"{kind}.log")


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def again_from_another_connection(local: LocalGroup, answer: Answer) -> None:
    """The key's holder gets the certificate again by the request alone, and nobody else does (rule 5.2)."""
    request = answer.certificate.certificate.request()
    with Client(local.group, KEY) as later:
        again = later.fetch(request)
        assert (again.request_id, again.class_id, again.height) == (answer.request_id, answer.class_id, answer.height)
        assert verify(again.certificate.certificate, local.group).request == request.id
    with Client(local.group) as stranger, pytest.raises(ConfigInvalid):
        stranger.fetch(request)
    with Client(local.group) as stranger:
        stolen = replace(request, client=stranger.client_key)
        with pytest.raises(RequestRejected):
            stranger.fetch(stolen)


def test_every_request_gets_a_certificate_that_verifies_again_from_its_bytes(local: LocalGroup, tmp_path: Path) -> None:
    with connect(local, key=KEY) as client:
        answers = list(client.map(pictures(200), in_flight=32))
        encoded = client.infer(b"not an image, which a synthetic engine does not mind")
    assert len(answers) == 200
    assert len({answer.request_id for answer in answers}) == 200
    for answer in [*answers, encoded]:
        assert answer.grade is Grade.FINAL
        assert len(answer.owners) == 4
        saved = answer.certificate.save(tmp_path / "a.dbcert")
        verified = verify(decode_certificate(saved.read_bytes()), local.group)
        assert verified.height == answer.height
    again_from_another_connection(local, answers[7])
    pids = [local.supervisor.pid(f"{kind} {config.stem}") for kind in ("node", "engine") for config in local.configs]
    local.supervisor.stop()
    assert len(set(pids)) == 8
    assert all(pid is not None and gone(pid) for pid in pids)
    assert not [path for path in local.directory.rglob("*.sock") if path.is_socket()]


def test_a_killed_engine_is_restarted_and_its_node_lives_on(local: LocalGroup) -> None:
    with connect(local, patience=0.1) as client:
        assert len(client.infer(pictures(1)[0]).owners) == 4
        node, engine = local.supervisor.pid("node bob"), local.supervisor.pid("engine bob")
        assert engine is not None
        os.kill(engine, signal.SIGKILL)
        without = [len(answer.owners) for answer in client.map(pictures(5, seed=2), in_flight=1)]
        assert without[0] == 3
        assert "engine bob" in local.supervisor.poll()
        until = time.monotonic() + 20
        while time.monotonic() < until:
            local.supervisor.poll()
            if len(client.infer(pictures(1, seed=time.monotonic_ns())[0]).owners) == 4:
                break
        else:
            pytest.fail("the engine did not come back")
        assert local.supervisor.pid("node bob") == node
        log = (local.directory / "bob" / "node.log").read_text()
        assert "engine-lost" in log
        assert local.supervisor.restarts == 1


def test_a_killed_node_comes_back_from_its_journal_while_three_go_on(local: LocalGroup) -> None:
    with connect(local, patience=0.1) as client:
        assert len(list(client.map(pictures(20), in_flight=8))) == 20
        node = local.supervisor.pid("node carol")
        assert node is not None
        os.kill(node, signal.SIGKILL)
        meanwhile = list(client.map(pictures(20, seed=3), in_flight=8))
        assert {len(answer.owners) for answer in meanwhile} == {3}
        until = time.monotonic() + 30
        while time.monotonic() < until:
            local.supervisor.poll()
            answer = client.infer(pictures(1, seed=time.monotonic_ns())[0])
            if "carol" in {owner.owner for owner in answer.owners}:
                break
        else:
            pytest.fail((local.directory / "carol" / "node.log").read_text())
        log = (local.directory / "carol" / "node.log").read_text()
        assert "boot=2" in log
        assert "records=0" not in log.splitlines()[-1]


def test_three_owners_certify_when_one_was_never_started(tmp_path: Path) -> None:
    labels = tmp_path / "labels.txt"
    labels.write_text(LABELS)
    local = LocalGroup(tmp_path / "g", engine=SYNTHETIC, labels=labels)
    children = [daemon(kind, config) for kind in ("engine", "node") for config in local.configs[:3]]
    with Supervisor(children) as three:
        three.start()
        until = time.monotonic() + CONNECT_S
        while True:
            try:
                client = Client.from_group(local.genesis, timeout=15, patience=0.1, connect_timeout=2)
                break
            except GroupUnreachable:
                assert time.monotonic() < until
        with client:
            answers = list(client.map(pictures(20), in_flight=8))
        # The absent owner's views are nullified, and its name is in no answer.
        assert {tuple(owner.owner for owner in answer.owners) for answer in answers} == {("alice", "bob", "carol")}
        for answer in answers:
            verified = verify(decode_certificate(answer.certificate.data), local.group)
            assert len(verified.answers) == 3


def test_two_nodes_of_four_are_a_group_that_cannot_be_reached(local: LocalGroup) -> None:
    connect(local).close()
    for name in ("node bob", "node carol"):
        pid = local.supervisor.pid(name)
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
    with pytest.raises(GroupUnreachable, match=r"2 of 4 .* need 3; no answer from bob, carol"):
        Client(local.group, connect_timeout=1)


def test_an_input_that_the_task_does_not_take_is_refused_before_it_is_sent(local: LocalGroup) -> None:
    with connect(local) as client:
        with pytest.raises(InputInvalid, match="empty"):
            client.infer(b"")
        with pytest.raises(InputInvalid, match="4194304"):
            client.infer(bytes((4 << 20) + 1))
        with pytest.raises(InputInvalid, match="uint8"):
            client.infer(np.zeros((4, 4, 3), np.float32))


def test_a_request_does_not_wait_for_the_next_one_of_a_slow_source(
    local: LocalGroup, monkeypatch: pytest.MonkeyPatch
) -> None:
    with connect(local) as client:
        sent: list[int] = []
        plain = client._pump._link.send

        def noted(owner: OwnerId, frames: Sequence[bytes]) -> bool:
            sent.append(owner)
            return plain(owner, frames)

        monkeypatch.setattr(client._pump._link, "send", noted)
        before_the_next: list[int] = []

        def source() -> Iterator[bytes]:
            yield b"one"
            before_the_next.append(len(sent))
            yield b"two"

        assert len(list(client.map_outcomes(source(), in_flight=2))) == 2
    assert before_the_next[0] >= local.group.n


def test_a_group_is_never_made_over_an_existing_one(local: LocalGroup) -> None:
    with pytest.raises(DropbeardError, match="not empty"):
        LocalGroup(local.directory, engine=SYNTHETIC, labels=local.directory.parent / "labels.txt")


def test_a_real_nodes_recording_runs_again_turn_by_turn(tmp_path: Path) -> None:
    labels = tmp_path / "labels.txt"
    labels.write_text(LABELS)
    made = LocalGroup(tmp_path / "g", engine=SYNTHETIC, labels=labels)
    config = made.configs[1]
    config.write_text(config.read_text().replace("record = 0", "record = 50"))
    with made, connect(made) as client:
        assert len(list(client.map(pictures(60), in_flight=8))) == 60
    files = sorted((config.parent / "state").glob("recording-*"))
    assert len(files) == 2
    kinds = {kind for file in files for turn in replay(file) for kind in turn.signed}
    assert {"Notarize", "Finalize", "LanePromise"} <= kinds
