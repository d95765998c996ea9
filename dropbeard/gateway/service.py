"""What a gateway does with a call, whichever way it came: bounds, one request to the group for each picture, the reply.

It keeps nothing between calls but counts, so several stand side by side.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, Protocol

from dropbeard.client.answers import Answer
from dropbeard.errors import DropbeardError
from dropbeard.gateway.calls import Answered, Call, Options, options_of
from dropbeard.gateway.config import GatewayConfig
from dropbeard.gateway.departures import Departures
from dropbeard.gateway.description import VERSION, Description
from dropbeard.gateway.faults import Fault, Reason, fault_of
from dropbeard.gateway.outputs import check_required, check_wanted, is_decided, outputs_of, parameters_of
from dropbeard.gateway.rows import rows_of
from dropbeard.gateway.statistics import Statistics
from dropbeard.types.group import Group
from dropbeard.types.task import Input

IDLE_POLL_S: Final = 0.02
SILENT_S: Final = 5.0
"""After a call that got nothing in all of the configured time, the gateway is not ready for so long, or until another
call is answered."""


class Asking(Protocol):
    """What a gateway needs of the client binding."""

    @property
    def group(self) -> Group:
        """The group of the latest epoch that is known (rule 8.4)."""

    async def infer(self, image: Any, *, timeout: float, patience: float) -> Answer:
        """Ask the group about one picture."""


class Gateway:
    """One group as one model of the protocol. ``client`` is None until the group is reached."""

    def __init__(self, group: Group, config: GatewayConfig) -> None:
        self.group = group
        self.config = config
        self.description = Description(group, config)
        self.statistics = Statistics()
        self.client: Asking | None = None
        self.draining = False
        self._departures = Departures()
        self._in_flight = 0
        self._buffered = 0
        self._silent_until = 0.0
        self.statistics.in_flight.set_function(lambda: self._in_flight)
        self.statistics.buffered.set_function(lambda: self._buffered)
        self.statistics.ready.set_function(lambda: self.is_ready)

    @property
    def is_ready(self) -> bool:
        """Whether the group answers, as far as is known, and calls are taken."""
        return self.client is not None and not self.draining and time.monotonic() >= self._silent_until

    @property
    def in_flight(self) -> int:
        """Pictures under way."""
        return self._in_flight

    def stats(self) -> dict[str, Any]:
        """The statistics extension's answer."""
        return {"model_stats": [self.statistics.tally.shown(self.description.model, VERSION)]}

    async def infer(self, call: Call) -> Answered:
        """Answer a call; Fault otherwise."""
        began = time.monotonic_ns()
        try:
            return await self._infer(call, began)
        except DropbeardError as wrong:
            fault = fault_of(wrong)
            self.statistics.failed(time.monotonic_ns() - began, fault.reason.name.lower())
            raise fault from wrong
        except asyncio.CancelledError:
            self.statistics.failed(time.monotonic_ns() - began, Reason.CANCELLED.name.lower())
            raise

    async def _infer(self, call: Call, began: int) -> Answered:
        self.description.check_model(call.model, call.version)
        options = options_of(call, self.config)
        wanted = check_wanted(call.outputs, self.group)
        rows = rows_of(call, self.group.task, self.config.batch_max)
        with self._admitted(len(rows)) as client:
            had_rows = time.monotonic_ns()
            answers = await self._ask(client, rows, options)
        had_answers = time.monotonic_ns()
        self._departures.answered((had_answers - had_rows) / 1e9)
        self._silent_until = 0.0
        check_required(answers, options.require)
        outputs = outputs_of(answers, wanted, client.group)
        parameters = parameters_of(answers, options)
        times = (began, had_rows, had_answers, time.monotonic_ns())
        undecided = sum(not is_decided(answer) for answer in answers)
        self.statistics.answered(times, [answer.assurance.value for answer in answers], undecided)
        return Answered(self.description.model, VERSION, call.id, parameters, outputs)

    @contextmanager
    def _admitted(self, rows: int) -> Iterator[Asking]:
        if self.draining:
            raise Fault(Reason.UNAVAILABLE, "this gateway is ending; ask another one")
        if self.client is None:
            raise Fault(Reason.UNAVAILABLE, "the group is not reached yet")
        if self._in_flight + rows > self.config.in_flight_max:
            text = f"{self._in_flight} pictures are under way, at most {self.config.in_flight_max} are taken"
            raise Fault(Reason.OVERLOADED, text)
        self._in_flight += rows
        try:
            yield self.client
        finally:
            self._in_flight -= rows

    async def _ask(self, client: Asking, rows: Sequence[Input], options: Options) -> Sequence[Answer]:
        """Every row at once; the first error ends them all."""
        try:
            async with asyncio.timeout(options.timeout_s):
                await self._departures.leave(self._in_flight == len(rows), options.timeout_s)
                if len(rows) == 1:
                    return [await client.infer(rows[0], timeout=options.timeout_s, patience=options.patience_s)]
                asked = [client.infer(row, timeout=options.timeout_s, patience=options.patience_s) for row in rows]
                return await _all(asked)
        except TimeoutError:
            # A client that asks for too little time says nothing about the group.
            if options.timeout_s >= self.config.timeout_ms / 1e3:
                self._silent_until = time.monotonic() + SILENT_S
            raise Fault(Reason.LATE, f"the group has not agreed within {options.timeout_s:g} s") from None

    @contextmanager
    def buffering(self) -> Iterator[Callable[[int], None]]:
        """Room for one call's body until the call is over: the function takes more of it, and raises Fault when there
        is none.
        """
        held = 0

        def take(size: int) -> None:
            nonlocal held
            if held + size > self.config.body_bytes_max:
                raise Fault(Reason.TOO_LARGE, f"the body has more than {self.config.body_bytes_max} bytes")
            if self._buffered + size > self.config.buffered_bytes_max:
                raise Fault(Reason.OVERLOADED, f"{self._buffered} bytes of calls are being worked on")
            held += size
            self._buffered += size

        try:
            yield take
        finally:
            self._buffered -= held

    async def drained(self, within_s: float) -> bool:
        """Take nothing new and wait for what is under way; whether all of it ended in time."""
        self.draining = True
        until = time.monotonic() + within_s
        while self._in_flight and time.monotonic() < until:
            await asyncio.sleep(IDLE_POLL_S)
        return not self._in_flight


async def _all(asked: Sequence[Coroutine[Any, Any, Answer]]) -> Sequence[Answer]:
    tasks = [asyncio.ensure_future(one) for one in asked]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
