"""A group whose nodes and client stand at places with delays between them: namespaces where root may make them, else a
relay in user space. Use ``wide_area`` and, inside, ``WideGroup``; nothing of it is left behind."""

from __future__ import annotations

import ctypes
import json
import os
import select
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from dropbeard.daemon.local_group import OWNERS, LocalGroup
from dropbeard.daemon.supervisor import Child
from dropbeard.errors import DropbeardError
from dropbeard.types.node_config import config_from_toml
from perf._measure import ROOT, cpu_seconds
from perf._sites import Sites
from perf._switch import CLONE_NEWNET, address

Emulation = Literal["namespaces", "relay"]
STOP_S: Final = 5.0
ANSWER_S: Final = 30.0
CHANNELS: Final = ("votes", "lanes", "clients", "catchup")


class Emulator:
    """The process that holds back what is sent."""

    def __init__(self, module: str, asked: object) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            start_new_session=True,
        )
        try:
            self.said = self._say(json.dumps(asked))
        except BaseException:
            self.stop()
            raise
        if "failed" in self.said:
            self.stop()
            raise DropbeardError(str(self.said["failed"]))
        self.pid = self._process.pid

    def _say(self, line: str) -> dict[str, Any]:
        assert self._process.stdin is not None and self._process.stdout is not None
        try:
            self._process.stdin.write(f"{line}\n")
            self._process.stdin.flush()
            said_something = select.select([self._process.stdout], [], [], ANSWER_S)[0]
            answer = self._process.stdout.readline() if said_something else ""
        except OSError as wrong:
            raise DropbeardError(f"the emulation ended: {wrong.strerror}") from wrong
        if not answer:
            raise DropbeardError("the emulation ended without a word")
        said: dict[str, Any] = json.loads(answer)
        return said

    def bytes(self) -> dict[tuple[int, int], int]:
        """Of each link, from the start."""
        return {(row[0], row[1]): row[2] for row in self._say("stat")["bytes"]}

    def stop(self) -> None:
        """It ends with its input."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class WideArea:
    """What a group needs to know: addresses, how to start a node, how to be the client."""

    def __init__(self, sites: Sites, direct_clients: bool) -> None:
        self.sites = sites
        self.emulation: Emulation = "relay"
        self.why = ""
        """Why there are no namespaces."""
        self._direct_clients = direct_clients
        self._emulator: Emulator | None = None
        number = os.getpid()
        self._prefix = f"127.{64 + number % 64}.{number // 64 % 256}"

    def try_namespaces(self) -> None:
        """Make them, or remember why not."""
        if shutil.which("nsenter") is None:
            self.why = "nsenter is not here"
            return
        try:
            self._emulator = Emulator("perf._switch", self.sites.one_way_ms)
        except DropbeardError as wrong:
            self.why = str(wrong)
        else:
            self.emulation = "namespaces"

    def hosts(self) -> list[str]:
        """The address of each node in the genesis."""
        ours = self.emulation == "namespaces"
        return [address(place) if ours else f"{self._prefix}.{place + 1}" for place in self.sites.nodes]

    def listen(self, place: int) -> str | None:
        """Where a node listens when it is not the genesis' address."""
        return None if self.emulation == "namespaces" else f"{self._prefix}.{place + 101}"

    def _namespace(self, place: int) -> str:
        assert self._emulator is not None
        return f"/proc/{self._emulator.pid}/fd/{self._emulator.said['namespaces'][place]}"

    def command(self, place: int, argv: Sequence[str]) -> tuple[str, ...]:
        """To run at a place."""
        if self.emulation == "relay":
            return tuple(argv)
        return ("nsenter", f"--net={self._namespace(place)}", "--", *argv)

    def open_for(self, local: LocalGroup) -> None:
        """Connections between the nodes of this group become possible."""
        if self.emulation == "namespaces":
            return
        listeners = [
            [host, self.listen(owner.id), int(getattr(owner.endpoints, channel).rpartition(":")[2]), owner.name]
            for owner, host in zip(local.group.owners, self.hosts(), strict=True)
            for channel in CHANNELS
        ]
        places = {owner.name: int(owner.id) for owner in local.group.owners}
        asked = {"one_way_ms": self.sites.one_way_ms, "places": places, "listeners": listeners}
        self._emulator = Emulator("perf._relay", asked | {"direct_clients": self._direct_clients})

    @contextmanager
    def client(self) -> Iterator[None]:
        """This thread, and threads that it starts, at the client's place."""
        if self.emulation == "relay":
            yield
            return
        libc = ctypes.CDLL(None, use_errno=True)
        home = os.open("/proc/self/ns/net", os.O_RDONLY)
        there = os.open(self._namespace(self.sites.client), os.O_RDONLY)
        try:
            if libc.setns(there, CLONE_NEWNET):
                raise DropbeardError(f"cannot enter the client's namespace: {os.strerror(ctypes.get_errno())}")
            yield
        finally:
            libc.setns(home, CLONE_NEWNET)
            os.close(there)
            os.close(home)

    def bytes(self) -> dict[tuple[int, int], int]:
        """That passed each link (from, to), in all."""
        return {} if self._emulator is None else self._emulator.bytes()

    def cpu_seconds(self) -> float:
        """Of the emulation."""
        return 0.0 if self._emulator is None else cpu_seconds(self._emulator.pid)

    def stop(self) -> None:
        """End the emulation."""
        if self._emulator is not None:
            self._emulator.stop()


@contextmanager
def wide_area(sites: Sites, emulation: Emulation | None = None, direct_clients: bool = False) -> Iterator[WideArea]:
    """``emulation``: namespaces if they can be made, unless said; DropbeardError when they were asked for and cannot.

    ``direct_clients``: a relay passes on at once what comes from clients; they hold it back themselves.
    """
    area = WideArea(sites, direct_clients)
    try:
        if emulation != "relay":
            area.try_namespaces()
        if emulation == "namespaces" and area.emulation == "relay":
            raise DropbeardError(f"no namespaces here: {area.why}")
        yield area
    finally:
        area.stop()


class WideGroup(LocalGroup):
    """A group over a wide area: one node at each of its places."""

    def __init__(
        self, directory: Path, owners: Sequence[tuple[str, str]] = OWNERS, *, area: WideArea, **settings: Any
    ) -> None:
        self._area = area
        super().__init__(directory, owners, hosts=area.hosts(), **settings)
        for place, config in enumerate(self.configs):
            written = config_from_toml(config.read_text(), str(config))
            config.write_text(msgspec.structs.replace(written, listen=area.listen(place)).to_toml())
        area.open_for(self)

    def _child(self, kind: str, config: Path) -> Child:
        child = super()._child(kind, config)
        if kind == "engine":
            return child
        return Child(child.name, self._area.command(self.configs.index(config), child.argv), child.log)
