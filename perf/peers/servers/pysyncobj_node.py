"""pysyncobj: a replicated log (Raft: crashes, no liars) whose leader keeps so many entries open and counts.

``python -m perf.peers.servers.pysyncobj_node PORT OTHER,OTHER,OTHER JOURNAL IN_FLIGHT BYTES SECONDS WARM_S`` is one
node. Once they are ready the one that leads prints a line when it begins to count, then what it counted, as JSON. The
others wait until they are ended.
"""

from __future__ import annotations

import secrets
import sys
import threading
import time
from functools import partial
from typing import Any, Final

from pysyncobj import SyncObj, SyncObjConf, replicated

from perf.peers.seen import COUNTING, Seen
from perf.peers.workload import HOST

READY_S: Final = 30.0
PAUSE_S: Final = 0.05


class Log(SyncObj):  # type: ignore[misc]
    """Applies an entry by counting it."""

    def __init__(self, me: str, others: list[str], journal: str) -> None:
        # As the project's own throughput benchmark has it, but with a journal on disk: ours has one as well.
        super().__init__(me, others, SyncObjConf(journalFile=journal, commandsQueueSize=1_000_000))
        self.entries = 0

    @replicated  # type: ignore[untyped-decorator]
    def append(self, entry: bytes) -> int:
        self.entries += 1
        return self.entries


class Closed:
    """Appends the next entry when one is committed; everything happens in the log's own thread."""

    def __init__(self, log: Log, in_flight: int, entry_bytes: int) -> None:
        self._log = log
        self._rest = secrets.token_bytes(entry_bytes - 8)
        self._number = 0
        self._counting = Seen()
        self._lock = threading.Lock()
        for _ in range(in_flight):
            self._append()

    def _append(self) -> None:
        self._number += 1
        entry = self._number.to_bytes(8, "little") + self._rest
        self._log.append(entry, callback=partial(self._committed, time.perf_counter()))

    def _committed(self, asked: float, result: Any, error: Any) -> None:
        with self._lock:
            if error:
                self._counting.failed += 1
            else:
                self._counting.answered += 1
                self._counting.latencies_ms.append((time.perf_counter() - asked) * 1e3)
        self._append()

    def over(self, seconds: float) -> Seen:
        """What is committed in so many seconds from now."""
        with self._lock:
            self._counting = Seen()
        started, cpu = time.perf_counter(), time.process_time()
        time.sleep(seconds)
        with self._lock:
            seen, self._counting = self._counting, Seen()
        seen.seconds, seen.cpu_s = time.perf_counter() - started, time.process_time() - cpu
        return seen


def main() -> None:
    """Take part."""
    port, others, journal = sys.argv[1], sys.argv[2].split(","), sys.argv[3]
    in_flight, entry_bytes = int(sys.argv[4]), int(sys.argv[5])
    seconds, warm_s = float(sys.argv[6]), float(sys.argv[7])
    log = Log(f"{HOST}:{port}", [f"{HOST}:{other}" for other in others], journal)
    until = time.monotonic() + READY_S
    while not log.isReady() or log._getLeader() is None:
        if time.monotonic() > until:
            raise SystemExit("no leader was elected")
        time.sleep(PAUSE_S)
    if log._isLeader():
        load = Closed(log, in_flight, entry_bytes)
        time.sleep(warm_s)
        print(COUNTING.decode(), flush=True)
        load.over(seconds).say()
    threading.Event().wait()


if __name__ == "__main__":
    main()
