"""P9: ordering alone, four nodes, entries of 256 bytes, beside pysyncobj, which bears crashes but no liars.

Ours: engines that take no time, every certificate verified by a client of its own. Theirs: a log in memory and in a
journal, filled by its leader itself, with no client, no signatures and no encryption: a reference, not an equal.
"""

from __future__ import annotations

import secrets
import subprocess
import tempfile
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import IO, Final

import msgspec

from dropbeard.daemon.local_group import OWNERS, LocalGroup, free_ports
from dropbeard.types.task import Input, InputKind
from perf._load import Load, Sample
from perf._measure import ROOT, Figure, Length, figure
from perf._observed import passing_group
from perf.ordering import ENGINE
from perf.peers.environment import Environment
from perf.peers.seen import Seen

PEER: Final = "pysyncobj"
SHAPE: Final = (2, 43, 3)
"""Of our inputs: 258 bytes, the smallest picture of at least 256."""

ENTRY_BYTES: Final = 256
IN_FLIGHT: Final = 1_000
START_S: Final = 45.0
"""Until a leader is elected and the measurement ends, beside its own seconds."""

DIVERGED: Final = b"may have diverged"
"""What a node of theirs writes when it takes back an entry that it has applied."""

FULL: Final = Length(5, 8.0, 2.0)
QUICK: Final = Length(1, 2.0, 1.0)


def bench(quick: bool, environment: Environment) -> list[Figure]:
    """P9, each run of ours with one of theirs after it."""
    runs, seconds, warm_s = QUICK if quick else FULL
    ours, theirs, diverged = [], [], 0
    for _ in range(runs):
        with passing_group(LocalGroup, ENGINE) as local, Load(local, small_inputs()) as load:
            ours.append(load.closed(IN_FLIGHT, seconds, warm_s))
        if PEER in environment.present:
            seen, warnings = replicated(environment, seconds, warm_s)
            theirs.append(seen.answered / seen.seconds)
            diverged += warnings
    middle = sorted(ours, key=lambda sample: sample.rate)[runs // 2]
    detail = {"in_flight": IN_FLIGHT, **middle.summary(), "absent": environment.absent([PEER])}
    detail |= {"rival": PEER, "entries_taken_back_by_rival": diverged} if theirs else {}
    return [figure("P9", "certified requests/s", _rates(ours), theirs, **detail)]


def _rates(samples: Sequence[Sample]) -> list[float]:
    return [sample.rate for sample in samples]


def small_inputs() -> Callable[[], Input]:
    """Pictures of 258 bytes, no two alike."""
    rest = secrets.token_bytes(SHAPE[0] * SHAPE[1] * SHAPE[2] - 8)
    number = secrets.randbits(40)

    def make() -> Input:
        nonlocal number
        number += 1
        return Input(InputKind.RAW_RGB8, SHAPE, number.to_bytes(8, "little") + rest)

    return make


def replicated(environment: Environment, seconds: float, warm_s: float) -> tuple[Seen, int]:
    """What their leader counted, and how often a node warned that it may have diverged."""
    ports = free_ports(len(OWNERS))
    said: SimpleQueue[bytes] = SimpleQueue()
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        logs = [Path(name) / f"{port}.log" for port in ports]
        for port, log in zip(ports, logs, strict=True):
            others = ",".join(str(other) for other in ports if other != port)
            command = [str(environment.python), "-m", "perf.peers.servers.pysyncobj_node", str(port), others]
            command += [f"{name}/{port}.journal", str(IN_FLIGHT), str(ENTRY_BYTES), str(seconds), str(warm_s)]
            out = stack.enter_context(log.open("wb"))
            node = subprocess.Popen(command, cwd=ROOT, env=environment.variables(), stdout=subprocess.PIPE, stderr=out)
            stack.callback(node.wait)
            stack.callback(node.kill)
            assert node.stdout is not None
            threading.Thread(target=_listen, args=(node.stdout, said), daemon=True).start()
        try:
            while not (line := said.get(timeout=START_S + seconds + warm_s)).startswith(b"{"):
                pass
        except Empty:
            raise SystemExit(f"{PEER} did not count: {logs[0].read_text(errors='replace')[-200:]}") from None
        return msgspec.json.decode(line, type=Seen), sum(log.read_bytes().count(DIVERGED) for log in logs)


def _listen(out: IO[bytes], said: SimpleQueue[bytes]) -> None:
    for line in out:
        said.put(line.strip())
