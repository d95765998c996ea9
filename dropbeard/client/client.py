"""The synchronous client: one object, one group, every answer verified before it is returned."""

from __future__ import annotations

import secrets
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from dropbeard.client.answers import Answer, answer_of
from dropbeard.client.inputs import input_from
from dropbeard.client.sending import flush
from dropbeard.client.session import Done, Session
from dropbeard.codec.client import decode_to_client
from dropbeard.errors import ClientError, ConfigInvalid, GroupUnreachable, MessageInvalid
from dropbeard.signing.curve import CurveSecret, load_curve_secret
from dropbeard.storage.files import read_genesis
from dropbeard.transport.client_link import ClientLink
from dropbeard.types.group import Group
from dropbeard.types.ids import ClientKey, Nonce, RequestId, TimeUs
from dropbeard.types.parameters import SECOND
from dropbeard.types.requests import Request

TIMEOUT_S: Final = 10.0
"""Seconds from submission to deadline, unless the caller says otherwise."""

PATIENCE_S: Final = 1.0
"""Seconds the group waits for the remaining owners once enough have answered, unless the caller says otherwise."""

CONNECT_TIMEOUT_S: Final = 5.0
IN_FLIGHT_MAX: Final = 4_096
POLL_MAX_US: Final = SECOND // 10


class Client:
    """Asks every node of a group. Safe to share between threads (calls take turns); not across a fork.

    ``timeout`` and ``patience`` in seconds: a request's deadline lies ``timeout`` ahead, and once ``answers`` owners
    have answered the group waits ``patience`` for the others (0: not at all). Raises GroupUnreachable when fewer nodes
    than needed say welcome within ``connect_timeout`` seconds.
    """

    def __init__(
        self,
        group: Group,
        key: CurveSecret | None = None,
        *,
        timeout: float = TIMEOUT_S,
        patience: float = PATIENCE_S,
        connect_timeout: float = CONNECT_TIMEOUT_S,
    ) -> None:
        if not 0 <= patience <= timeout or timeout * SECOND > group.parameters.horizon_us:
            horizon_s = group.parameters.horizon_us / SECOND
            raise ConfigInvalid(f"need 0 <= patience <= timeout <= {horizon_s:g} s (the group's horizon)")
        self.group = group
        self._timeout_us, self._patience_us = int(timeout * SECOND), int(patience * SECOND)
        self._lock = threading.RLock()
        secret = key if key is not None else CurveSecret.generate()
        self._session = Session(group, ClientKey(secret.public))
        self._link = ClientLink(group, secret)
        self._started: dict[RequestId, int] = {}
        self._ended: dict[RequestId, Answer | ClientError] = {}
        try:
            self._connect(connect_timeout)
        except BaseException:
            self._link.close()
            raise

    @classmethod
    def from_group(cls, path: str | Path, key: str | Path | None = None, **options: Any) -> Client:
        """A client of the group whose genesis file is at ``path``; ``key`` is a CURVE secret file, fresh if omitted.

        Options as for the constructor. ConfigInvalid or KeyInvalid when a file cannot be used.
        """
        secret = None if key is None else load_curve_secret(Path(key))
        return cls(read_genesis(Path(path)), secret, **options)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close every connection; requests under way are dropped."""
        self._link.close()

    def infer(self, image: Any) -> Answer:
        """Ask the group about one image: a path, an image file's bytes, a PIL image or a uint8 array H x W x 3.

        InputInvalid when the task does not take it; RequestRejected, RequestExpired otherwise.
        """
        return next(self.map([image], in_flight=1))

    @property
    def nodes_reached(self) -> int:
        """Nodes that said welcome so far."""
        return len(self._session.credits)

    @property
    def client_key(self) -> ClientKey:
        """This client's name: its CURVE public key, 32 bytes (rule 1.4)."""
        return self._session.client

    def fetch(self, request: Request, timeout: float = TIMEOUT_S) -> Answer:
        """The answer to an earlier request of this client's key, with a certificate made anew (rule 5.2).

        ``request`` as in ``Answer.certificate.certificate.request()``. Works until the group's retention has passed,
        while nodes of ``answers`` owners are up. RequestRejected when nobody knows of it, RequestExpired when the group
        certified that it expired or nothing came within ``timeout`` seconds.
        """
        if request.client != self._session.client:
            raise ConfigInvalid("the request was made with another client key; open the client with that key")
        with self._lock:
            known = self._session.fetch(request, _now_us()[0], int(timeout * SECOND))
            self._started[known] = _now_us()[0]
            self._flush()
        outcome = next(self._pump_all(iter(()), deque([known]), 1))
        if isinstance(outcome, ClientError):
            raise outcome
        return outcome

    def map(self, images: Iterable[Any], in_flight: int = 64) -> Iterator[Answer]:
        """Answers in the order of ``images``, up to ``in_flight`` requests at once; the first error is raised."""
        for outcome in self.map_outcomes(images, in_flight):
            if isinstance(outcome, ClientError):
                raise outcome
            yield outcome

    def map_outcomes(self, images: Iterable[Any], in_flight: int = 64) -> Iterator[Answer | ClientError]:
        """Like ``map``, but an error stands in its request's place and the rest go on."""
        if not 1 <= in_flight <= IN_FLIGHT_MAX:
            raise ConfigInvalid(f"in_flight must be between 1 and {IN_FLIGHT_MAX}")
        source = iter(images)
        waiting: deque[RequestId] = deque()
        try:
            at_hand = isinstance(images, Sequence)
            yield from self._pump_all(source, waiting, min(in_flight, self._credits()), at_hand)
        finally:
            with self._lock:
                for request in waiting:
                    self._session.cancel(request)
                    self._started.pop(request, None)
                    self._ended.pop(request, None)

    def _pump_all(
        self, source: Iterator[Any], waiting: deque[RequestId], most: int, at_hand: bool = True
    ) -> Iterator[Answer | ClientError]:
        """``at_hand``: the source never makes us wait, so that requests may wait for each other and share a message."""
        exhausted = False
        while True:
            while not exhausted and len(waiting) < most:
                try:
                    waiting.append(self._submit(next(source), not at_hand))
                except StopIteration:
                    exhausted = True
            if not waiting:
                return
            with self._lock:
                self._flush()
                if waiting[0] not in self._ended:
                    self._pump()
                outcome = self._ended.pop(waiting[0], None)
            if outcome is not None:
                waiting.popleft()
                yield outcome

    def _credits(self) -> int:
        """What at least ``answers`` nodes grant; a node that grants less rejects, and is asked again."""
        granted = sorted(self._session.credits.values(), reverse=True)
        return max(1, granted[self.group.answers - 1])

    def _submit(self, image: Any, at_once: bool) -> RequestId:
        given = input_from(image)
        with self._lock:
            now_us, wall_us = _now_us()
            nonce = Nonce(secrets.randbits(64))
            deadline = TimeUs(wall_us + self._timeout_us)
            request = self._session.submit(given, nonce, deadline, self._patience_us, now_us, wall_us)
            self._started[request] = now_us
            if at_once:
                self._flush()
        return request

    def _connect(self, timeout_s: float) -> None:
        """Greet everyone; go on as soon as all said welcome, or enough when the time is up."""
        for owner in self.group.members:
            self._session.on_connected(owner)
        until_us = time.monotonic_ns() // 1000 + int(timeout_s * SECOND)
        while len(self._session.credits) < self.group.n and time.monotonic_ns() // 1000 < until_us:
            self._pump()
        if len(self._session.credits) < self.group.answers:
            absent = [o.name for o in self.group.owners if o.id not in self._session.credits]
            raise GroupUnreachable(
                f"{len(self._session.credits)} of {self.group.n} nodes answered within {timeout_s:g} s, need "
                f"{self.group.answers}; no answer from {', '.join(absent)}: check that they run and are reachable"
            )

    def _pump(self) -> None:
        """Send what is due, wait a little, take in what came."""
        self._flush()
        now_us, _ = _now_us()
        wait_us = min(self._session.next_due_us(now_us) - now_us, POLL_MAX_US)
        for owner in self._link.connected():
            self._session.on_connected(owner)
        for owner, data in self._link.receive(wait_us / SECOND):
            try:
                message = decode_to_client(data, self.group)
            except MessageInvalid:
                continue  # a node's fault; its silence is handled like any other
            self._session.on_message(owner, message, _now_us()[0])
        for done in self._session.poll(_now_us()[0]):
            self._finish(done)
        self._flush()

    def _finish(self, done: Done) -> None:
        started_us = self._started.pop(done.request, 0)
        if done.error is not None:
            self._ended[done.request] = done.error
        elif done.certificate is not None and done.verified is not None:
            latency_ms = (_now_us()[0] - started_us) / 1000
            self._ended[done.request] = answer_of(self.group, done.certificate, done.verified, latency_ms)

    def _flush(self) -> None:
        flush(self._session.outgoing, self._link.send)


def _now_us() -> tuple[int, int]:
    return time.monotonic_ns() // 1000, time.time_ns() // 1000
