"""The sockets of one client among threads: one thread at a time works them for all, the others wait for their own end.

Nobody holds the lock while it waits for the network, so a thread that has something to ask never waits for one that
listens: it queues its request and wakes it.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from dropbeard.client.answers import Provisional
from dropbeard.client.calls import Calls, Ended, Greeting, now_us
from dropbeard.client.options import Options
from dropbeard.client.sending import flush
from dropbeard.errors import ClientClosed
from dropbeard.signing.curve import CurveSecret
from dropbeard.transport.client_link import ClientLink
from dropbeard.types.group import Group
from dropbeard.types.ids import ClientKey, RequestId
from dropbeard.types.parameters import SECOND
from dropbeard.types.requests import Request
from dropbeard.types.succession import Succession
from dropbeard.types.task import Input

WAIT_MAX_S: Final = 0.1
"""The longest wait of a thread before it looks around by itself."""


class Caller:
    """One call, of one thread: what came for it and has not been taken."""

    __slots__ = ("changed", "ended", "told")

    def __init__(self, lock: threading.RLock) -> None:
        self.changed = threading.Condition(lock)
        self.ended: dict[RequestId, Ended] = {}
        self.told: deque[tuple[Callable[[Provisional], object], Provisional]] = deque()


class ThreadPump:
    """Safe to share between threads; ``open`` greets the group."""

    def __init__(self, group: Group, secret: CurveSecret, successions: Sequence[Succession] = ()) -> None:
        self.calls: Calls[Caller] = Calls(group, ClientKey(secret.public), successions)
        self._process = os.getpid()
        self._lock = threading.RLock()
        self._link = ClientLink(self.calls.group, secret)
        self._is_closed = False
        self._pumping: int | None = None
        """The thread that works the sockets."""
        self._idle = threading.Condition(self._lock)
        self._followers: dict[Caller, None] = {}
        """Who waits while another thread works the sockets."""
        self._for_room: dict[Caller, None] = {}
        """Who of all waits for a credit, the longest first."""
        self._given_up: deque[RequestId] = deque()

    def caller(self) -> Caller:
        """A call of this thread."""
        return Caller(self._lock)

    def open(self, timeout_s: float) -> None:
        """Wait until enough nodes said welcome, and a moment for the rest; GroupUnreachable when fewer did in time."""
        session, caller = self.calls.session, self.caller()
        with self._lock:
            for owner in self.calls.group.members:
                session.on_connected(owner)
            greeting = Greeting(self.calls, timeout_s, time.monotonic())
            while greeting.left_s(time.monotonic()) > 0:
                self._step(caller)
        if not self.calls.is_connected:
            raise self.calls.unreachable(timeout_s)

    def submit(self, given: Input, options: Options, caller: Caller, at_once: bool) -> RequestId:
        """Queue a request once there is a credit for it; it leaves with the next wait, or ``at_once``."""
        self._check_process()
        called_us = now_us()[0]
        with self._lock:
            self._check_open()
            self._forget_given_up()
            if not self.calls.has_room:
                self._wait_for_room(caller, options, called_us)
            request = self.calls.submit(given, options, called_us, now_us(), caller)
            if at_once:
                self._send()
        return request

    def _wait_for_room(self, caller: Caller, options: Options, called_us: int) -> None:
        until_us = called_us + int(options.timeout * SECOND)
        self._for_room[caller] = None
        try:
            while not self.calls.has_room:
                if now_us()[0] >= until_us:
                    raise self.calls.no_room(options)
                self._step(caller)
        finally:
            del self._for_room[caller]
            self._hand_over()

    def fetch(self, request: Request, options: Options, timeout: float, caller: Caller) -> RequestId:
        """Queue the question for an earlier request's outcome."""
        self._check_process()
        with self._lock:
            self._check_open()
            return self.calls.fetch(request, options, timeout, now_us()[0], caller)

    def take(self, caller: Caller, wanted: RequestId | None) -> tuple[RequestId, Ended] | None:
        """Wait for the end of ``wanted``, or of any request of the caller's; None when it was told something first."""
        self._check_process()
        ended = caller.ended
        with self._lock:
            self._send()
            while not caller.told and not (ended if wanted is None else wanted in ended):
                self._step(caller)
            self._hand_over()
            if caller.told:
                return None
            request = next(iter(ended)) if wanted is None else wanted
            return request, ended.pop(request)

    def give_up(self, request: RequestId) -> None:
        """Nobody waits for it any more. Never blocks: a generator may end anywhere."""
        self._given_up.append(request)

    def _forget_given_up(self) -> None:
        while self._given_up:
            self.calls.cancel(self._given_up.popleft())

    def _check_process(self) -> None:
        if os.getpid() != self._process:
            raise ClientClosed("this client was opened before a fork; open one in each process")

    def _check_open(self) -> None:
        if self._is_closed:
            raise ClientClosed("the client is closed; open another")

    def _send(self) -> None:
        """Send what is queued, or have the thread do it that works the sockets."""
        if self.calls.session.outgoing and not self._is_closed:
            if self._pumping is None:
                flush(self.calls.session.outgoing, self._link.send)
            else:
                self._link.wake()

    def _step(self, caller: Caller) -> None:
        """Work the sockets for everybody, or wait while another thread does."""
        self._check_open()
        if self._pumping is None:
            self._pump()
            return
        self._followers[caller] = None
        try:
            caller.changed.wait(WAIT_MAX_S)
        finally:
            del self._followers[caller]

    def _hand_over(self) -> None:
        """This thread stops working the sockets: one that still waits must go on."""
        if self._followers and self._pumping is None:
            next(iter(self._followers)).changed.notify()

    def _pump(self) -> None:
        """Send what is due, wait a little without the lock, take in what came."""
        session, link = self.calls.session, self._link
        self._forget_given_up()
        flush(session.outgoing, link.send)
        now, _ = now_us()
        wait_s = min((session.next_due_us(now) - now) / SECOND, WAIT_MAX_S)
        self._pumping = threading.get_ident()
        self._lock.release()
        try:
            link.wait(wait_s)
        finally:
            self._lock.acquire()
            self._pumping = None
            if self._is_closed:
                link.close()
                self._idle.notify_all()
        if not self._is_closed:
            self._take_in()

    def _take_in(self) -> None:
        calls, link = self.calls, self._link
        for owner in link.connected():
            calls.session.on_connected(owner)
        for owner, data in link.received():
            calls.hear(owner, data, now_us()[0])
        link.follow(calls.group)
        for call, request, told in calls.advance(now_us()[0]):
            caller = call.waiting
            if isinstance(told, Ended):
                caller.ended[request] = told
            elif call.options.on_provisional is not None:
                caller.told.append((call.options.on_provisional, told))
            if caller in self._followers:
                caller.changed.notify()
        if self._for_room and calls.has_room:
            next(iter(self._for_room)).changed.notify()
        flush(calls.session.outgoing, link.send)

    def close(self) -> None:
        """End every call with ClientClosed and close the connections; calling it again does nothing."""
        if os.getpid() != self._process:
            return
        with self._lock:
            if self._is_closed:
                return
            self._is_closed = True
            for call, request, ended in self.calls.close():
                call.waiting.ended[request] = ended
            for caller in self._followers:
                caller.changed.notify()
            if self._pumping is None:
                self._link.close()
            else:
                self._link.wake()
                # Called from a signal's handler, this may be the very thread that waits for the network.
                while self._pumping not in (None, threading.get_ident()):
                    self._idle.wait(WAIT_MAX_S)
