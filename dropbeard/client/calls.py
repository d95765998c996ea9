"""The requests under way of one client and who waits for each, sans IO: both twins stand on this.

Whoever owns the sockets hands in what came and what time it is, gets back who must be told what, and sends
``session.outgoing``.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar

from dropbeard.client.answers import Answer, Provisional, answer_of, below_required, owner_result
from dropbeard.client.open_requests import Done
from dropbeard.client.options import REST_S, Options
from dropbeard.client.session import Session
from dropbeard.codec.client import decode_to_client
from dropbeard.errors import (
    ClientClosed,
    ClientError,
    ConfigInvalid,
    GroupUnreachable,
    MessageInvalid,
    RequestExpired,
    VersionRefused,
)
from dropbeard.types.group import Group
from dropbeard.types.ids import ClientKey, Nonce, OwnerId, RequestId, TimeUs
from dropbeard.types.messages import SuccessionNotice, Welcome
from dropbeard.types.parameters import SECOND
from dropbeard.types.requests import Opening, Request
from dropbeard.types.succession import Succession
from dropbeard.types.task import Input
from dropbeard.verification.certificate import OwnerAnswer

Waiting = TypeVar("Waiting")
"""Who waits for a request: what the twins hand in and get back."""


@dataclass(frozen=True, slots=True)
class Call(Generic[Waiting]):
    """One request under way. ``called_us``: when its caller began to wait."""

    options: Options
    called_us: int
    waiting: Waiting


class Ended(NamedTuple):
    """A request's end, before its caller aggregates it."""

    done: Done
    options: Options
    latency_ms: float

    def outcome(self, group: Group) -> Answer | ClientError:
        """The answer, or the error that stands for it. The caller's own aggregate may raise what it likes."""
        done = self.done
        if done.error is not None:
            return done.error
        assert done.certificate is not None and done.verified is not None
        answer = answer_of(group, done.certificate, done.verified, self.latency_ms, self.options.aggregate)
        return below_required(answer, self.options.require) or answer


class Greeting:
    """How long a client that opens waits for welcomes: seconds, monotonic."""

    def __init__(self, calls: Calls[Any], timeout_s: float, now_s: float) -> None:
        self._calls = calls
        self._until_s = now_s + timeout_s
        self._enough_s: float | None = None

    def left_s(self, now_s: float) -> float:
        """Until ``timeout_s`` for enough nodes, then ``REST_S`` for the rest; 0 or less when the wait is over."""
        if len(self._calls.session.credits) >= self._calls.group.n:
            return 0
        if not self._calls.is_connected:
            self._enough_s = None
        elif self._enough_s is None:
            self._enough_s = now_s
        until_s = self._until_s if self._enough_s is None else min(self._until_s, self._enough_s + REST_S)
        return until_s - now_s


class Calls(Generic[Waiting]):
    """Requests under way. Times in microseconds: ``now_us`` monotonic, ``wall_us`` since 1970."""

    def __init__(self, group: Group, client: ClientKey, successions: Sequence[Succession] = ()) -> None:
        self.session = Session(group, client, successions)
        self.credits = 0
        """Requests that may be open at once: what at least ``answers`` nodes grant. One that grants less rejects."""
        self._calls: dict[RequestId, Call[Waiting]] = {}
        self._opened: dict[RequestId, dict[OwnerId, Opening]] = {}
        """Of the requests whose callers want to know."""
        self._refused: dict[OwnerId, str] = {}
        """Why what a node says is not understood."""

    @property
    def group(self) -> Group:
        """The group of the latest epoch that is known."""
        return self.session.group

    @property
    def has_room(self) -> bool:
        """Is there a credit for one more request?"""
        return self.session.open_requests < self.credits

    @property
    def is_connected(self) -> bool:
        """Did enough nodes say welcome?"""
        return len(self.session.credits) >= self.group.answers

    def submit(
        self, given: Input, options: Options, called_us: int, clocks: tuple[int, int], waiting: Waiting
    ) -> RequestId:
        """Queue a request; InputInvalid when the task does not take it, RequestExpired when it is too late already.

        ``called_us``: when its caller began to wait, perhaps for a credit; ``clocks``: ``now_us`` and ``wall_us``.
        """
        now_us, wall_us = clocks
        left_us = int(options.timeout * SECOND) - (now_us - called_us)
        if left_us <= 0:
            raise self.no_room(options)
        session = self.session
        patience_us = min(int(options.patience * SECOND), left_us)
        if options.hedge:
            patience_us = session.hedged(patience_us)
        nonce, deadline = Nonce(secrets.randbits(64)), TimeUs(wall_us + left_us)
        request = session.submit(given, nonce, deadline, patience_us, now_us, wall_us)
        if options.provisional_timeout is not None:
            session.expect_answers(request, called_us + int(options.provisional_timeout * SECOND))
        if options.on_provisional is not None:
            self._opened[request] = {}
            session.watch(request)
        self._calls[request] = Call(options, called_us, waiting)
        return request

    def no_room(self, options: Options) -> RequestExpired:
        """The error of a caller that got no credit in time."""
        return RequestExpired(
            f"no credit became free within {options.timeout:g} s: the group grants this client {self.credits} requests "
            "at once; have fewer under way"
        )

    def unreachable(self, timeout_s: float) -> GroupUnreachable:
        """The error of a group of which too few nodes said welcome."""
        welcomes = self.session.credits
        missing = [owner for owner in self.group.owners if owner.id not in welcomes]
        absent = [owner.name + self._refused.get(owner.id, "") for owner in missing]
        return GroupUnreachable(
            f"{len(welcomes)} of {self.group.n} nodes answered within {timeout_s:g} s, need {self.group.answers}; "
            f"no answer from {', '.join(absent)}: check that they run and are reachable"
        )

    def fetch(self, request: Request, options: Options, timeout: float, now_us: int, waiting: Waiting) -> RequestId:
        """Queue the question for an earlier request's outcome; ConfigInvalid when it was made with another key."""
        if request.client != self.session.client:
            raise ConfigInvalid("the request was made with another client key; open the client with that key")
        if request.id in self._calls:
            raise ClientError("this request is under way already; wait for that call, or cancel it")
        known = self.session.fetch(request, now_us, int(timeout * SECOND))
        self._calls[known] = Call(options, now_us, waiting)
        return known

    def cancel(self, request: RequestId) -> None:
        """Stop waiting; nodes may still answer it."""
        if self._calls.pop(request, None) is not None:
            self._opened.pop(request, None)
            self.session.cancel(request)

    def hear(self, owner: OwnerId, data: bytes, now_us: int) -> None:
        """Take in a frame of a node; one that cannot be read is the node's fault, handled like its silence."""
        try:
            message = decode_to_client(data, self.group)
        except VersionRefused as wrong:
            self._refused[owner] = f" ({wrong})"
            return
        except MessageInvalid:
            return
        self.session.on_message(owner, message, now_us)
        if isinstance(message, Welcome | SuccessionNotice):
            granted = sorted(self.session.credits.values(), reverse=True)
            most = self.group.answers
            self.credits = max(1, granted[most - 1]) if len(granted) >= most else 0

    def advance(self, now_us: int) -> Iterator[tuple[Call[Waiting], RequestId, Ended | Provisional]]:
        """What is to be told to whom. ``session.outgoing`` may hold more to send afterwards."""
        for request, opening in self.session.take_openings():
            call, opened = self._calls.get(request), self._opened.get(request)
            if call is not None and opened is not None and opened.get(opening.owner) != opening:
                opened[opening.owner] = opening
                yield call, request, self._provisional(request, opened, now_us - call.called_us)
        for done in self.session.poll(now_us):
            call = self._calls.pop(done.request, None)
            self._opened.pop(done.request, None)
            if call is not None:
                yield call, done.request, Ended(done, call.options, (now_us - call.called_us) / 1000)

    def _provisional(self, request: RequestId, opened: dict[OwnerId, Opening], elapsed_us: int) -> Provisional:
        owners = []
        for owner, given in sorted(opened.items()):
            said = self.group.task.decode_output(given.output)
            name = self.session.name_of(owner)
            owners.append(owner_result(self.group, OwnerAnswer(owner, name, given.version, given.model, said)))
        return Provisional(request.hex(), tuple(owners), elapsed_us / 1000)

    def close(self) -> Iterator[tuple[Call[Waiting], RequestId, Ended]]:
        """Everybody who waits gets an error."""
        for request, call in list(self._calls.items()):
            error = ClientClosed("the client was closed before this request was answered")
            error.request = self.session.request(request)
            self.cancel(request)
            yield call, request, Ended(Done(request, None, None, error), call.options, 0.0)


def now_us() -> tuple[int, int]:
    """Microseconds, monotonic and since 1970: what the twins hand in."""
    return time.monotonic_ns() // 1000, time.time_ns() // 1000
