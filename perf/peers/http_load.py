"""A client of serving systems: so many pictures asked for at any time, over connections that stay open.

``python -m perf.peers.http_load PATH SECONDS WARM_S PORT...`` keeps the workload's requests open; it prints one line
when it begins to count, then what it counted as JSON. With several ports each picture goes to all of them, and the
answers are one vote each: a vote counts when all are there, and its class is the one with the most of them, or none.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable, Sequence
from typing import Final

import uvloop

from dropbeard.types.task import Input, TaskSchema
from perf.imagenet import cut_inputs
from perf.peers.http_messages import answer_in, head_of, voted
from perf.peers.seen import COUNTING, Seen
from perf.peers.workload import HOST, schema, told

OK: Final = 200


class Slot:
    """One request at a time: to each server over a connection of its own, the next one when every answer is here."""

    def __init__(self, head: bytes, inputs: Callable[[], Input], task: TaskSchema, load: HttpLoad) -> None:
        self._head = head
        self._inputs = inputs
        self._task = task
        self._load = load
        self._transports: list[asyncio.Transport] = []
        self._answers: list[bytes] = []
        self._failed = False
        self._asked = 0.0

    async def open(self, ports: Sequence[int]) -> None:
        """Connect and ask."""
        loop = asyncio.get_running_loop()
        for port in ports:
            transport, _ = await loop.create_connection(lambda: _Connection(self), HOST, port)
            self._transports.append(transport)
        self._ask()

    def _ask(self) -> None:
        self._answers, self._failed, self._asked = [], False, time.perf_counter()
        data = self._inputs().data
        for transport in self._transports:
            transport.writelines([self._head, data])

    def heard(self, status: int, answer: bytes) -> None:
        """One server's answer."""
        self._answers.append(answer)
        self._failed = self._failed or status != OK
        if len(self._answers) == len(self._transports):
            decided = None if self._failed else voted(self._answers, self._task)
            self._load.count((time.perf_counter() - self._asked) * 1e3, self._failed, decided)
            self._ask()

    def close(self) -> None:
        """Drop the connections."""
        for transport in self._transports:
            transport.abort()


class _Connection(asyncio.Protocol):
    def __init__(self, slot: Slot) -> None:
        self._slot = slot
        self._data = bytearray()

    def data_received(self, data: bytes) -> None:
        self._data += data
        found = answer_in(self._data)
        if found is not None:
            status, answer, length = found
            del self._data[:length]
            self._slot.heard(status, answer)


class HttpLoad:
    """Counts what its slots hear."""

    def __init__(self) -> None:
        self._seen = Seen()

    def count(self, took_ms: float, failed: bool, decided: int | None) -> None:
        """One request has ended."""
        if failed:
            self._seen.failed += 1
            return
        self._seen.answered += 1
        self._seen.undecided += decided is None
        self._seen.latencies_ms.append(took_ms)

    async def run(self, path: str, ports: Sequence[int], seconds: float, warm_s: float) -> Seen:
        """Warm up, then measure."""
        workload, task = told(), schema()
        head, inputs = head_of(path, workload), cut_inputs(workload.side)
        slots = [Slot(head, inputs, task, self) for _ in range(workload.in_flight)]
        for slot in slots:
            await slot.open(ports)
        await asyncio.sleep(warm_s)
        print(COUNTING.decode(), flush=True)
        self._seen, started, cpu = Seen(), time.perf_counter(), time.process_time()
        await asyncio.sleep(seconds)
        seen, self._seen = self._seen, Seen()
        seen.seconds, seen.cpu_s = time.perf_counter() - started, time.process_time() - cpu
        for slot in slots:
            slot.close()
        return seen


def main() -> None:
    """Print what was seen."""
    path, seconds, warm_s = sys.argv[1], float(sys.argv[2]), float(sys.argv[3])
    ports = [int(port) for port in sys.argv[4:]]
    uvloop.run(HttpLoad().run(path, ports, seconds, warm_s)).say()


if __name__ == "__main__":
    main()
