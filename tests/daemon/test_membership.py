"""Owners come, change their keys and leave while real daemons answer a steady load (rule 8.4)."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from dropbeard import Client
from dropbeard.cli.main import run
from dropbeard.client.answers import Answer
from dropbeard.daemon.asking import ask_status
from dropbeard.daemon.files import read_node_files
from dropbeard.daemon.local_group import LOOPBACK, LocalGroup, free_ports
from dropbeard.daemon.new_node import NodePlan, make_node
from dropbeard.daemon.supervisor import Child, Supervisor
from dropbeard.errors import ClientError, GroupUnreachable, NodeUnreachable
from dropbeard.types.node_config import EngineTable, config_from_toml
from dropbeard.types.parameters import Parameters
from dropbeard.types.status import NodeStatus

pytestmark = pytest.mark.system

WAIT_S = 30.0
PAUSE_S = 0.04
PICTURE = np.arange(192, dtype=np.uint8).reshape(8, 8, 3)
SYNTHETIC = EngineTable("", backend="synthetic")


class Load:
    """One client that asks for an answer every few milliseconds, from before the first change to after the last."""

    def __init__(self, local: LocalGroup) -> None:
        self.answers: list[Answer] = []
        self.errors: list[ClientError] = []
        self._stopped = threading.Event()
        self._client = self._connected(local)
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _connected(self, local: LocalGroup) -> Client:
        until = time.monotonic() + WAIT_S
        while True:
            try:
                return Client.from_group(local.genesis, timeout=10, patience=0.2, connect_timeout=2)
            except GroupUnreachable:
                assert time.monotonic() < until

    def _pictures(self) -> Iterator[Any]:
        while not self._stopped.is_set():
            time.sleep(PAUSE_S)
            yield PICTURE

    def _run(self) -> None:
        for outcome in self._client.map_outcomes(self._pictures(), 16):
            if isinstance(outcome, Answer):
                self.answers.append(outcome)
            else:
                self.errors.append(outcome)

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join(WAIT_S)
        self._client.close()


class Owners:
    """The group, its newcomer, and what their owners do by hand."""

    def __init__(self, directory: Path, stack: ExitStack) -> None:
        labels = directory / "labels.txt"
        labels.write_text("\n".join(f"class {number}" for number in range(10)))
        rules = replace(Parameters(), epoch_delay=4, retention_us=12_000_000)
        port = free_ports(5)[4]
        local = LocalGroup(directory / "g", engine=SYNTHETIC, labels=labels, parameters=rules)
        self.local = stack.enter_context(local)
        self.folder = self.local.directory
        engine = msgspec.structs.replace(SYNTHETIC, model="synthetic")
        make_node(NodePlan("erin", LOOPBACK, port, engine, genesis="../genesis.toml"), self.folder / "erin")
        self._stack = stack
        self.successions = self.folder / "alice" / "state" / "successions"

    def config(self, name: str) -> Path:
        return self.folder / name / f"{name}.toml"

    def card(self, name: str) -> Path:
        return self.folder / name / f"{name}.card.toml"

    def start(self, name: str) -> None:
        command = (sys.executable, "-m", "dropbeard", "run")
        children = [
            Child(f"{kind} {name}", (*command, kind, str(self.config(name))), self.folder / name / f"{kind}.log")
            for kind in ("engine", "node")
        ]
        self._stack.enter_context(Supervisor(children)).start()

    def status(self, name: str) -> NodeStatus | None:
        try:
            return ask_status(read_node_files(self.config(name)), 2)
        except NodeUnreachable:
            return None

    def wait(self, name: str, done: Callable[[NodeStatus], bool]) -> NodeStatus:
        until = time.monotonic() + WAIT_S
        while True:
            self.local.supervisor.poll()
            status = self.status(name)
            if status is not None and done(status):
                return status
            assert time.monotonic() < until, (status, (self.folder / name / "node.log").read_text()[-3_000:])
            time.sleep(0.1)

    def epoch(self) -> int:
        return self.wait("alice", lambda status: True).chain.epoch

    def vote(self, voters: str, *change: str) -> None:
        """Each of the voters makes the same change with its own key; alice's node gets them all."""
        epoch, files = self.epoch(), []
        for name in voters.split():
            files.append(str(self.folder / f"{name}-{epoch}.vote.toml"))
            words = ["group", *change, "--group", str(self.local.genesis), "-o", files[-1]]
            words += ["--successions", str(self.successions)] if epoch else []
            assert run([*words, "--owner-key", str(self.folder / name / "owner.key")]) == 0
        assert run(["group", "submit", str(self.config("alice")), *files]) == 0
        for name in voters.split():
            self.wait(name, lambda status: status.chain.epoch == epoch + 1)

    def restart_with(self, name: str, **keys: str | None) -> None:
        """With these entries under [keys] of its configuration."""
        config = config_from_toml(self.config(name).read_text(), name)
        changed = msgspec.structs.replace(config, keys=msgspec.structs.replace(config.keys, **keys))
        self.config(name).write_text(changed.to_toml())
        pid = self.local.supervisor.pid(f"node {name}")
        assert pid is not None
        os.kill(pid, signal.SIGTERM)
        self.wait(name, lambda status: status.pid != pid and not status.problems)

    def save(self, answers: Sequence[Answer]) -> list[Path]:
        return [
            answer.certificate.save(self.folder / "alice" / "state" / "disclosed" / f"{number}.dbcert")
            for number, answer in enumerate(answers)
        ]


def test_a_group_under_load_changes_its_owners_and_keys_without_a_failed_request(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with ExitStack() as stack:
        owners = Owners(tmp_path, stack)
        load = Load(owners.local)
        stack.callback(load.stop)
        owners.vote("alice bob carol", "add", str(owners.card("erin")))
        owners.start("erin")
        owners.wait("erin", lambda status: status.chain.member and not status.problems)
        before = owners.wait("bob", lambda status: not status.problems).keys
        assert run(["group", "newkeys", str(owners.card("bob"))]) == 0
        owners.restart_with("bob", next_node="next-node.key", next_curve="next-curve.key")
        owners.vote("alice bob carol dave", "rotate", "bob", str(owners.folder / "bob" / "bob.next.card.toml"))
        after = owners.wait("bob", lambda status: not status.problems).keys
        assert before.node_key != after.node_key and before.curve_key != after.curve_key
        owners.vote("alice bob carol erin", "remove", "dave")
        left = owners.wait("dave", lambda status: not status.chain.member)
        assert [problem.partition(":")[0] for problem in left.problems] == ["its owner left the group"]
        owners.restart_with("bob", node="next-node.key", curve="next-curve.key", next_node=None, next_curve=None)
        load.stop()
        assert load.errors == []
        answers = list({answer.certificate.certificate.epoch: answer for answer in load.answers}.values())
        assert [answer.certificate.certificate.epoch for answer in answers] == [0, 1, 2, 3]
        assert owners.wait("alice", lambda status: True).chain.owners == ["alice", "bob", "carol", "erin"]
        (owners.folder / "alice" / "state" / "disclosed").mkdir()
        certificates = owners.save(answers)
        commands_know_the_epochs(owners, certificates, capsys)
        until = time.monotonic() + WAIT_S
        while "dave left the group, and retention has passed" not in owners.local.supervisor.last_line("node dave"):
            assert time.monotonic() < until
            time.sleep(0.1)


def commands_know_the_epochs(owners: Owners, certificates: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    """Certificates, ledgers, status and what is shown of the group, while its nodes run."""
    group = ("--group", str(owners.local.genesis))
    for certificate in certificates:
        assert run(["verify", str(certificate), *group, "--successions", str(owners.successions)]) == 0
    assert run(["verify", str(certificates[-1]), *group]) == 1
    assert "only epochs 0 to 0 are known here (--successions)" in capsys.readouterr().err
    for name, start in (("alice", 0), ("dave", 0), ("erin", 1)):
        capsys.readouterr()
        assert run(["ledger", "verify", str(owners.folder / name / "state"), *group, "--json"]) == 0
        audit = json.loads(capsys.readouterr().out)
        assert audit["height"] > 0 and (audit["start"] > 0) == (start > 0)
    alice = str(owners.config("alice"))
    assert run(["status", alice, "--json"]) == 0
    status = json.loads(capsys.readouterr().out)
    assert (status["agreement"]["certificates"], status["agreement"]["refused"]) == (len(certificates), 0)
    assert run(["group", "show", "--node", alice, "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["epoch"], [owner["name"] for owner in shown["owners"]]) == (3, ["alice", "bob", "carol", "erin"])
    assert run(["top", alice, str(owners.config("erin")), "--frames", "1"]) == 0
    capsys.readouterr()
    assert run(["doctor", alice, "--json"]) in (0, 1)
    found = {row["check"]: row for row in json.loads(capsys.readouterr().out)["checks"]}
    assert {found[name]["level"] for name in ("genesis", "keys", "reach", "curve", "genesis-of-peers")} == {"ok"}, found
    assert "epoch 3" in found["genesis"]["text"]
