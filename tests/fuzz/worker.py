"""One process of the fuzzer: what is read goes on into a replica; an abort of it is a finding of its parent."""

from __future__ import annotations

import json
import random
import sys
import traceback
from collections import Counter
from copy import deepcopy
from dataclasses import fields, is_dataclass, replace
from typing import Any

from dropbeard.agreement.events import BatchCame, Now, PeerSpoke, TurnEnded
from dropbeard.agreement.inspection import is_worth_handling
from dropbeard.agreement.replica import handle
from dropbeard.errors import CertificateUnreadable, DropbeardError, MessageInvalid
from dropbeard.simulator.people import WALL_US
from dropbeard.simulator.wiretap import round_trip
from dropbeard.types.ids import OwnerId, TimeUs
from dropbeard.types.messages import BatchNotice
from dropbeard.verification.certificate import verify
from tests.fuzz.corpus import Sample, corpus, tapped
from tests.fuzz.mutations import mutate
from tests.verification.building import world as certificate_world

REFUSALS = (MessageInvalid, CertificateUnreadable)
SHOWN_MAX = 5
WHOLE = 0.2
"""How often a peer's message is left whole as bytes, and one of its values is changed instead."""
BENT = 0.3
"""How often a value is changed too where the bytes were spoiled and could be read all the same."""
LENIENT = 0.3
"""How often a replica is told that every signature is good, so that nonsense gets deep: a liar signs its own."""


FRESH_EVERY = 50
"""Messages told to one copy of the replica: nonsense that it was made to believe must not hide what comes after."""


class _Gullible:
    def check(self, *_: Any) -> bool:
        return True

    check_owner = check

    def following(self, _: Any) -> _Gullible:
        return self


class Fuzzer:
    """Counts; ``wrong`` holds what should not have happened. ``only``: messages of one kind alone."""

    def __init__(self, seed: int, only: str | None = None) -> None:
        self.rng = random.Random(seed)
        self.counts: Counter[str] = Counter()
        self.wrong: list[str] = []
        self._samples = [sample for sample in corpus() if only is None or sample.kind == only]
        self._frames = [frame for sample in corpus() for frame in sample.frames if frame]
        made = tapped()
        self._whole = made.honest[0].turn.state
        self._state = deepcopy(self._whole)
        self._checker = made.keys.checker

    def step(self) -> None:
        """One message."""
        sample = self.rng.choice(self._samples)
        whole = sample.peer and self.rng.random() < WHOLE
        frames = sample.frames if whole else mutate(sample.frames, self._frames, self.rng)
        try:
            read = sample.read(frames)
        except REFUSALS:
            self.counts["rejected"] += 1
            return
        except Exception:
            self._flag(sample, frames, traceback.format_exc(limit=3))
            return
        self.counts["accepted"] += 1
        try:
            self._go_on(sample, frames, read)
        except Exception:
            self._flag(sample, frames, traceback.format_exc(limit=6))

    def _go_on(self, sample: Sample, frames: tuple[bytes, ...], read: Any) -> None:
        if sample.again is not None and sample.again(read) != frames[0]:
            self._flag(sample, frames, "what was read is not what was written")
        if sample.kind == "certificate" and frames[0] != sample.frames[0]:  # a certificate has one frame
            try:
                verify(read, certificate_world().group)
                self._flag(sample, frames, "a changed certificate verifies")
            except DropbeardError:
                pass
        if sample.peer:
            bent = self._bent(read) if frames == sample.frames or self.rng.random() < BENT else read
            if bent is not None:
                self._tell(bent)

    def _bent(self, message: Any) -> Any:
        """The message with one value changed, if it can still be sent."""
        try:
            return round_trip(self._state.group, _bent(message, self.rng))
        except Exception:
            return None

    def _tell(self, message: Any) -> None:
        """One liar says it to a replica that has a history."""
        checker = _Gullible() if self.rng.random() < LENIENT else self._checker
        sender = OwnerId(self.rng.randrange(1, 4))
        if not is_worth_handling(self._state, message, checker):
            return
        self.counts["handled"] += 1
        event = BatchCame(sender, message.signed) if isinstance(message, BatchNotice) else PeerSpoke(sender, message)
        before = self._state.now
        now = Now(before.monotonic_us + self.rng.randint(0, 5_000), TimeUs(max(WALL_US, before.wall_us) + 1))
        self._state.judge.checker = checker
        handle(self._state, event, now)
        handle(self._state, TurnEnded(), now)
        if self.counts["handled"] % FRESH_EVERY == 0 or self._state.halted is not None:
            self._state = deepcopy(self._whole)

    def _flag(self, sample: Sample, frames: tuple[bytes, ...], what: str) -> None:
        self.counts["wrong"] += 1
        if len(self.wrong) < SHOWN_MAX:
            shown = " ".join(frame[:400].hex() for frame in frames)
            self.wrong.append(f"{sample.kind}: {what}\n  {shown}")


def _bent(message: Any, rng: random.Random) -> Any:
    """The same message with one value changed, somewhere inside."""
    if not is_dataclass(message) or isinstance(message, type):
        return message
    spec = rng.choice([spec for spec in fields(message) if spec.init])
    value = getattr(message, spec.name)
    if isinstance(value, bool) or value is None:
        return message
    if isinstance(value, bytes) and value:
        at = rng.randrange(len(value))
        wanted: Any = value[:at] + bytes([value[at] ^ 1 << rng.randrange(8)]) + value[at + 1 :]
    elif isinstance(value, int):
        wanted = rng.choice((0, 1, value + 1, max(0, value - 1), (1 << 32) - 1, (1 << 62)))
    elif isinstance(value, tuple) and value:
        at = rng.randrange(len(value))
        bent = (*value[:at], _bent(value[at], rng), *value[at + 1 :])
        wanted = rng.choice((value[:-1], (*value, value[-1]), bent))
    else:
        wanted = _bent(value, rng)
    return replace(message, **{spec.name: wanted})


def main() -> None:
    """``worker SEED COUNT``: figures as JSON on the last line; the number under way on standard error."""
    seed, count = int(sys.argv[1]), int(sys.argv[2])
    fuzzer = Fuzzer(seed)
    for number in range(count):
        if number % 1_000 == 0:
            sys.stderr.write(f"{number}\n")
            sys.stderr.flush()
        fuzzer.step()
    sys.stdout.write(json.dumps({"counts": dict(fuzzer.counts), "wrong": fuzzer.wrong}) + "\n")


if __name__ == "__main__":
    main()
