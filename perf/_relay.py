"""A wide area between processes of one network namespace, without root: ``python -m perf._relay``.

The genesis names addresses at which this process listens; it passes each connection on to the node behind, and holds
what it reads for the delay between the two. Who connects is found out through /proc: the process that holds the other
end of the connection, and the node whose configuration it was started with; everybody else is the client. TCP's own
slowness over long distances (windows, losses) is not emulated. Input and output as of ``perf._switch``.
"""

from __future__ import annotations

import contextlib
import fcntl
import heapq
import json
import os
import selectors
import socket
import sys
import time
from collections import Counter, deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

READ_BYTES: Final = 1 << 18
PIPE_BYTES: Final = 1 << 20
HELD_BYTES_MAX: Final = 64 << 20
"""Of one direction of a connection; then its sender waits."""

POLL_S: Final = 0.2
CONNECT_S: Final = 2.0


def hex_address(host: str, port: int) -> str:
    """As /proc/net/tcp writes it."""
    return f"{int.from_bytes(socket.inet_aton(host), 'little'):08X}:{port:04X}"


def inode_of(table: str, local: str, remote: str) -> str | None:
    """The socket with these ends in the text of /proc/net/tcp."""
    for line in table.splitlines()[1:]:
        columns = line.split()
        if columns[1:3] == [local, remote]:
            return columns[9]
    return None


def owner_of(inode: str, owners: frozenset[str]) -> str | None:
    """The node that holds the socket; None when it is nobody's of them."""
    wanted = f"socket:[{inode}]"
    for process in Path("/proc").iterdir():
        if not process.name.isdigit():
            continue
        try:
            last = (process / "cmdline").read_bytes().rstrip(b"\0").rpartition(b"\0")[2].decode(errors="replace")
            name = Path(last).stem
            held = name in owners and any(str(entry.readlink()) == wanted for entry in (process / "fd").iterdir())
        except OSError:
            continue
        if held:
            return name
    return None


@dataclass(slots=True, eq=False)
class Flow:
    """One direction of a connection."""

    source: socket.socket
    target: socket.socket
    delay_s: float
    link: tuple[int, int]
    direct: bool
    """Not held: passed on inside the kernel."""
    held: deque[tuple[float, memoryview]] = field(default_factory=deque)
    held_bytes: int = 0
    pipe: tuple[int, int] | None = None
    in_pipe: int = 0
    ended: bool = False


class Relay:
    """All connections. ``places``: of each owner; the client stands at the last place."""

    def __init__(self, asked: dict[str, Any]) -> None:
        self._one_way_ms: list[list[float]] = asked["one_way_ms"]
        self._places: dict[str, int] = asked["places"]
        self._direct_clients: bool = asked["direct_clients"]
        self._selector = selectors.DefaultSelector()
        self._due: list[tuple[float, int, Flow]] = []
        self._number = 0
        self._out: dict[socket.socket, Flow] = {}
        """By target."""
        self._in: dict[socket.socket, Flow] = {}
        """By source."""
        self.bytes: Counter[tuple[int, int]] = Counter()
        for host, behind, port, owner in asked["listeners"]:
            listener = socket.create_server((host, port), backlog=256)
            listener.setblocking(False)
            self._selector.register(listener, selectors.EVENT_READ, (behind, owner))
        self._selector.register(sys.stdin, selectors.EVENT_READ, None)

    def serve(self) -> None:
        """Until standard input ends."""
        while True:
            wait_s = self._write_due()
            for key, events in self._selector.select(max(0.0, min(wait_s, POLL_S))):
                if key.data is None:
                    if not os.read(sys.stdin.fileno(), 4096):
                        return
                    self._report()
                elif isinstance(key.data, tuple):
                    self._accept(key.fileobj, *key.data)  # type: ignore[arg-type]
                else:
                    self._go_on(key.fileobj, events)  # type: ignore[arg-type]

    def _report(self) -> None:
        rows = [[*link, count] for link, count in sorted(self.bytes.items())]
        print(json.dumps({"bytes": rows, "dropped": 0}), flush=True)

    def _accept(self, listener: socket.socket, behind: str, owner: str) -> None:
        try:
            near, peer = listener.accept()
        except OSError:
            return
        local = near.getsockname()
        table = Path("/proc/net/tcp").read_text()
        inode = inode_of(table, hex_address(*peer), hex_address(*local))
        speaker = None if inode is None else owner_of(inode, frozenset(self._places))
        here = len(self._one_way_ms) - 1 if speaker is None else self._places[speaker]
        there = self._places[owner]
        try:
            far = socket.create_connection((behind, local[1]), timeout=CONNECT_S)
        except OSError:
            near.close()
            return
        direct = speaker is None and self._direct_clients
        for source, target, link, straight in (
            (near, far, (here, there), direct),
            (far, near, (there, here), False),
        ):
            source.setblocking(False)
            source.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            flow = Flow(source, target, self._one_way_ms[link[0]][link[1]] / 1000, link, straight)
            if straight:
                flow.pipe = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
                fcntl.fcntl(flow.pipe[1], fcntl.F_SETPIPE_SZ, PIPE_BYTES)
            self._in[source], self._out[target] = flow, flow
        for end in (near, far):
            self._watch(end)

    def _watch(self, end: socket.socket) -> None:
        """Ask for what the two flows of this end can use."""
        reads, writes = self._in.get(end), self._out.get(end)
        events = 0
        if reads is not None and not reads.ended and reads.held_bytes < HELD_BYTES_MAX and not reads.in_pipe:
            events |= selectors.EVENT_READ
        if writes is not None and (writes.in_pipe or (writes.held and writes.held[0][0] <= time.monotonic())):
            events |= selectors.EVENT_WRITE
        try:
            key = self._selector.get_key(end)
        except KeyError:
            if events:
                self._selector.register(end, events, self)
            return
        if not events:
            self._selector.unregister(end)
        elif key.events != events:
            self._selector.modify(end, events, self)

    def _go_on(self, end: socket.socket, events: int) -> None:
        if events & selectors.EVENT_WRITE and end in self._out:
            self._write(self._out[end])
        if events & selectors.EVENT_READ and end in self._in:
            self._read(self._in[end])

    def _read(self, flow: Flow) -> None:
        try:
            if flow.pipe is not None:
                count = os.splice(flow.source.fileno(), flow.pipe[1], PIPE_BYTES)
                flow.in_pipe += count
            else:
                data = flow.source.recv(READ_BYTES)
                count = len(data)
        except BlockingIOError:
            return
        except OSError:
            count = 0
        if not count:
            flow.ended = True
            if not flow.held:
                self._close(flow)
            return
        self.bytes[flow.link] += count
        if flow.pipe is not None:
            self._write(flow)
            return
        due = time.monotonic() + flow.delay_s
        flow.held.append((due, memoryview(data)))
        flow.held_bytes += count
        self._number += 1
        heapq.heappush(self._due, (due, self._number, flow))
        self._watch(flow.source)

    def _write_due(self) -> float:
        """Write what is due; seconds until more is."""
        now = time.monotonic()
        while self._due and self._due[0][0] <= now:
            flow = heapq.heappop(self._due)[2]
            if flow.source in self._in:
                self._write(flow)
        return self._due[0][0] - now if self._due else POLL_S

    def _write(self, flow: Flow) -> None:
        try:
            if flow.pipe is not None:
                while flow.in_pipe:
                    flow.in_pipe -= os.splice(flow.pipe[0], flow.target.fileno(), flow.in_pipe)
            while flow.held and flow.held[0][0] <= time.monotonic():
                due, data = flow.held.popleft()
                sent = 0
                try:
                    sent = flow.target.send(data)
                finally:
                    flow.held_bytes -= sent
                    if sent < len(data):
                        flow.held.appendleft((due, data[sent:]))
        except BlockingIOError:
            pass
        except OSError:
            self._close(flow)
            return
        if flow.ended and not flow.held and not flow.in_pipe:
            self._close(flow)
            return
        self._watch(flow.source)
        self._watch(flow.target)

    def _close(self, flow: Flow) -> None:
        """Both directions."""
        for end in (flow.source, flow.target):
            for one in (self._in.pop(end, None), self._out.pop(end, None)):
                if one is not None and one.pipe is not None:
                    os.close(one.pipe[0])
                    os.close(one.pipe[1])
                    one.pipe = None
            with contextlib.suppress(KeyError, ValueError):
                self._selector.unregister(end)
            end.close()


def main() -> int:
    """Until standard input ends."""
    asked = json.loads(sys.stdin.readline())
    try:
        relay = Relay(asked)
    except OSError as wrong:
        print(json.dumps({"failed": str(wrong)}), flush=True)
        return 1
    print(json.dumps({"namespaces": []}), flush=True)
    relay.serve()
    return 0


if __name__ == "__main__":
    sys.exit(main())
