"""Run one group of hostile cases in a process of its own, so that an abort is seen: prints each case before it."""

from __future__ import annotations

import os
import random
import resource
import sys
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from dropbeard.codec.client import decode_to_client, decode_to_node
from dropbeard.codec.engine import decode_from_engine, decode_to_engine
from dropbeard.codec.guard import schema
from dropbeard.codec.peer import decode_lanes, decode_votes
from dropbeard.errors import MessageInvalid
from dropbeard.simulator.keys import make_keys
from dropbeard.simulator.options import options_for
from tests.codec.hostile_messages import HOSTILE, honest

MEMORY_MAX = 4 << 30
GROUP = make_keys(options_for(1, 4)).group


def say(what: str) -> None:
    """The parent reads the last line to know where the process died."""
    sys.stdout.write(what + "\n")
    sys.stdout.flush()


def decode_everywhere(data: bytes) -> int:
    """How many of the decoders that the cases are made for took it; anything but MessageInvalid escapes from any.

    The other schemas may find a meaning in bytes that were made for these: all of a Welcome's fields are numbers.
    """
    aimed_at: list[Callable[[], object]] = [
        lambda: decode_votes(data, GROUP),
        lambda: decode_lanes(data, GROUP),
        lambda: decode_to_node(data),
    ]
    others: list[Callable[[], object]] = [
        lambda: decode_to_client(data, GROUP),
        lambda: decode_to_engine(data),
        lambda: decode_from_engine(data),
    ]
    if data == HOSTILE["text that is not UTF-8"]:
        aimed_at.append(others[0])
    taken = 0
    for decode in (*aimed_at, *others):
        try:
            decode()
            taken += decode in aimed_at
        except MessageInvalid:
            pass
    return taken


def refuse_all() -> None:
    for name, data in HOSTILE.items():
        say(name)
        assert decode_everywhere(data) == 0, f"{name} was taken"


def cut_everywhere() -> None:
    data = honest()
    for length in range(len(data)):
        say(f"cut at {length}")
        assert decode_everywhere(data[:length]) == 0


def mutate(count: int) -> None:
    """Seeded damage to well-formed messages; a mutant may decode, it may not crash."""
    rng = random.Random(1)
    say("mutants of seed 1")
    originals = [honest(), *(data for data in HOSTILE.values() if 16 <= len(data) < 4_096)]
    for _ in range(count):
        data = bytearray(rng.choice(originals))
        for _ in range(rng.randint(1, 4)):
            data[rng.randrange(len(data))] = rng.choice((0, 1, 2, 3, 0xFF, 0x7F, rng.randrange(256)))
        decode_everywhere(bytes(data))


def main(what: str) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_MAX, MEMORY_MAX))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    match what:
        case "corpus":
            refuse_all()
        case "cuts":
            cut_everywhere()
        case "mutants":
            mutate(20_000)
        case "abort":
            os.abort()
        case "packed":
            with schema("peer").VotesFrame.from_bytes_packed(b"\x11" + b"\x02" * 15) as reader:
                say(str(reader.version))
        case "repr":
            with schema("peer").VotesFrame.from_bytes(HOSTILE["cyclic struct"]) as reader:
                say(repr(reader))
    say("end")


if __name__ == "__main__":
    main(sys.argv[1])
