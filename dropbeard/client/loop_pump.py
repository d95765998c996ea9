"""The sockets of one client inside an asyncio event loop: every task's requests share them, nothing blocks the loop."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections import deque
from collections.abc import Sequence

from dropbeard.client.answers import Answer
from dropbeard.client.calls import Calls, Ended, Greeting, now_us
from dropbeard.client.options import Options
from dropbeard.client.sending import flush
from dropbeard.errors import ClientClosed, ClientError
from dropbeard.signing.curve import CurveSecret
from dropbeard.transport.client_link import ClientLink
from dropbeard.types.group import Group
from dropbeard.types.ids import ClientKey, RequestId
from dropbeard.types.parameters import SECOND
from dropbeard.types.requests import Request
from dropbeard.types.succession import Succession
from dropbeard.types.task import Input

Future = asyncio.Future[Ended]


class LoopPump:
    """Made inside a running loop and used in it alone; ``open`` greets the group."""

    def __init__(self, group: Group, secret: CurveSecret, successions: Sequence[Succession] = ()) -> None:
        self.calls: Calls[Future] = Calls(group, ClientKey(secret.public), successions)
        self._loop = asyncio.get_running_loop()
        self._process = os.getpid()
        self._link = ClientLink(self.calls.group, secret)
        self._descriptors: list[int] = []
        self._rewired = 0
        self._is_closed = False
        self._scheduled: asyncio.Handle | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timer_us = 0
        self._room: deque[asyncio.Future[None]] = deque()
        """Tasks that wait for a credit, the longest first."""
        self._entering = 0
        """Tasks that were given one and did not run since."""
        self._changed = asyncio.Event()
        self._listen()

    def _listen(self) -> None:
        """To the sockets that the link has now."""
        for descriptor in self._descriptors:
            self._loop.remove_reader(descriptor)
        self._rewired, self._descriptors = self._link.rewired, self._link.descriptors()
        for descriptor in self._descriptors:
            self._loop.add_reader(descriptor, self.schedule)

    async def open(self, timeout_s: float) -> None:
        """Wait until enough nodes said welcome, and a moment for the rest; GroupUnreachable when fewer did in time."""
        session = self.calls.session
        for owner in self.calls.group.members:
            session.on_connected(owner)
        self.schedule()
        greeting = Greeting(self.calls, timeout_s, time.monotonic())
        while (left_s := greeting.left_s(time.monotonic())) > 0:
            self._changed.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), left_s)
        if not self.calls.is_connected:
            raise self.calls.unreachable(timeout_s)

    async def infer(self, given: Input, options: Options) -> Answer | ClientError:
        """One request's end; a task that is cancelled cancels its own request alone."""
        self.check()
        called_us = now_us()[0]
        if self._room or not self._has_room:
            await self._wait_for_room(options)
        future: Future = self._loop.create_future()
        request = self.calls.submit(given, options, called_us, now_us(), future)
        return await self._end(request, future)

    async def fetch(self, request: Request, options: Options, timeout: float) -> Answer | ClientError:
        """What became of an earlier request."""
        self.check()
        future: Future = self._loop.create_future()
        return await self._end(self.calls.fetch(request, options, timeout, now_us()[0], future), future)

    async def _end(self, request: RequestId, future: Future) -> Answer | ClientError:
        self.schedule()
        try:
            ended = await future
        finally:
            if future.cancelled():
                self.calls.cancel(request)
                self.schedule()
        return ended.outcome(self.calls.group)

    @property
    def _has_room(self) -> bool:
        return self.calls.session.open_requests + self._entering < self.calls.credits

    async def _wait_for_room(self, options: Options) -> None:
        turn: asyncio.Future[None] = self._loop.create_future()
        self._room.append(turn)
        try:
            async with asyncio.timeout(options.timeout):
                await turn
        except TimeoutError:
            raise self.calls.no_room(options) from None
        finally:
            if not turn.done() or turn.cancelled():
                self._room.remove(turn)
            elif turn.exception() is None:
                self._entering -= 1
                self.schedule()

    def _offer_room(self) -> None:
        """Let in who waited longest."""
        while self._room and self._has_room:
            turn = self._room[0]
            if turn.done():
                return  # cancelled; its task takes it out as it ends
            self._room.popleft()
            self._entering += 1
            turn.set_result(None)

    def check(self) -> None:
        """ClientClosed unless this client may be used here and now."""
        if self._is_closed:
            raise ClientClosed("the client is closed; open another")
        if os.getpid() != self._process:
            raise ClientClosed("this client was opened before a fork; open one in each process")
        if asyncio.get_running_loop() is not self._loop:
            raise ClientClosed("this client was opened in another event loop; open one in each")

    def schedule(self) -> None:
        """Have a turn soon: all that is queued until then leaves together."""
        if self._scheduled is None and not self._is_closed:
            self._scheduled = self._loop.call_soon(self._turn)

    def _turn(self) -> None:
        """Take in what came, tell who waits, send what is due."""
        self._scheduled = None
        calls, link = self.calls, self._link
        if os.getpid() != self._process:
            return
        if link.wait(0):
            for owner in link.connected():
                calls.session.on_connected(owner)
            for owner, data in link.received():
                calls.hear(owner, data, now_us()[0])
            link.follow(calls.group)
            if link.rewired != self._rewired:
                self._listen()
            self._changed.set()
        for call, _, told in calls.advance(now_us()[0]):
            if isinstance(told, Ended):
                _end(call.waiting, told)
            elif call.options.on_provisional is not None:
                self._loop.call_soon(call.options.on_provisional, told)
        self._offer_room()
        flush(calls.session.outgoing, link.send)
        # Descriptors are edge-triggered, and sending may have taken the edge of what came meanwhile.
        if link.wait(0):
            self.schedule()
        self._set_timer()

    def _set_timer(self) -> None:
        now, _ = now_us()
        due_us = self.calls.session.next_due_us(now)
        if self._timer is not None and self._timer_us <= due_us:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_us = due_us
        self._timer = self._loop.call_later((due_us - now) / SECOND, self._on_time)

    def _on_time(self) -> None:
        self._timer = None
        self.schedule()

    async def close(self) -> None:
        """End every call with ClientClosed and close the connections; calling it again does nothing."""
        if self._is_closed or os.getpid() != self._process:
            return
        if self._loop.is_closed():
            self._is_closed = True
            self._link.close()
            return
        self.check()
        self._is_closed = True
        for call, _, ended in self.calls.close():
            _end(call.waiting, ended)
        for turn in self._room:
            if not turn.done():
                turn.set_exception(ClientClosed("the client was closed before this request was sent"))
        for handle in (self._scheduled, self._timer):
            if handle is not None:
                handle.cancel()
        for descriptor in self._descriptors:
            self._loop.remove_reader(descriptor)
        # ZeroMQ may linger for what was sent last.
        await asyncio.to_thread(self._link.close)


def _end(future: Future, ended: Ended) -> None:
    if not future.done():
        future.set_result(ended)
