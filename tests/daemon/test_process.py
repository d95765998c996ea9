"""What every daemon process needs."""

from __future__ import annotations

import subprocess
import sys

import pytest

BUFFERS = """
import resource, sys
from dropbeard.daemon.process import keep_memory
if "kept" in sys.argv:
    keep_memory()
rows = [bytearray(150_000) for _ in range(20)]
del rows
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(200):
    rows = [bytearray(150_000) for _ in range(20)]
    del rows
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""

GARBAGE = """
import gc
from dropbeard.daemon.process import GARBAGE_THRESHOLDS, pace_garbage
pace_garbage()
assert gc.get_threshold() == GARBAGE_THRESHOLDS and gc.get_freeze_count() > 1_000 and gc.isenabled()
"""

OTHER_THREAD = """
import signal, sys, threading, time
from dropbeard.daemon.process import StopSignal
stop = StopSignal()
signal.signal(signal.SIGHUP, lambda *_: None)
taker = threading.Thread(target=time.sleep, args=(1,))
taker.start()
signal.pthread_kill(taker.ident, signal.SIGHUP)
taker.join()
assert not stop.asked
taker = threading.Thread(target=time.sleep, args=(1,))
taker.start()
threading.Timer(0.2, signal.pthread_kill, (taker.ident, getattr(signal, sys.argv[1]))).start()
stop.wait()
print(stop.asked)
"""


def ran(code: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=60, check=True
    )
    return done.stdout


def test_freed_buffers_of_the_size_of_inputs_are_used_again_without_page_faults() -> None:
    assert int(ran(BUFFERS, "kept")) < 200


def test_garbage_is_still_looked_for_but_seldom_and_not_in_what_was_there_at_the_start() -> None:
    ran(GARBAGE)


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_a_signal_that_another_thread_takes_ends_a_wait_and_a_hangup_ends_none(name: str) -> None:
    assert ran(OTHER_THREAD, name) == "True\n"
