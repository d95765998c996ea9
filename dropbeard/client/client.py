"""The synchronous client: one object, one group, every answer verified before it is returned."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from copy import copy
from pathlib import Path
from types import TracebackType
from typing import Any

from dropbeard.client.answers import Answer
from dropbeard.client.inputs import input_from
from dropbeard.client.options import (
    CERTIFICATE_TIMEOUT_S,
    CONNECT_TIMEOUT_S,
    IN_FLIGHT_MAX,
    PATIENCE_S,
    Options,
)
from dropbeard.client.thread_pump import ThreadPump
from dropbeard.errors import ClientError, ConfigInvalid
from dropbeard.signing.curve import CurveSecret, load_curve_secret
from dropbeard.storage.files import read_genesis, read_successions
from dropbeard.types.group import Group
from dropbeard.types.ids import ClientKey, RequestId
from dropbeard.types.requests import Request
from dropbeard.types.succession import Succession


class Client:
    """Asks every node of a group. Safe to share between threads; after a fork it raises ClientClosed.

    ``timeout`` and ``patience`` in seconds: a request's deadline lies ``timeout`` ahead, and once ``answers`` owners
    have answered the group waits ``patience`` for the others (0: not at all; ``timeout``: for all of them); ``options``
    are the other fields of ``Options``. Raises GroupUnreachable when fewer nodes than needed say welcome within
    ``connect_timeout`` seconds, ConfigInvalid when the group does not allow the times.

    ``successions``: what ended earlier epochs of the group. Nodes show what is not known, so they are needed only where
    too few of the genesis' owners are left (rule 8.4); ``group`` is then the group of the latest epoch.
    """

    def __init__(
        self,
        group: Group,
        key: CurveSecret | None = None,
        *,
        timeout: float = CERTIFICATE_TIMEOUT_S,
        patience: float = PATIENCE_S,
        connect_timeout: float = CONNECT_TIMEOUT_S,
        successions: Sequence[Succession] = (),
        **options: Any,
    ) -> None:
        self._options = Options(timeout, patience, **options).checked(group)
        self._owns = True
        self._pump = ThreadPump(group, key if key is not None else CurveSecret.generate(), successions)
        try:
            self._pump.open(connect_timeout)
        except BaseException:
            self._pump.close()
            raise

    @classmethod
    def from_group(
        cls, path: str | Path, key: str | Path | None = None, successions: str | Path | None = None, **options: Any
    ) -> Client:
        """A client of the group whose genesis file is at ``path``; ``key`` is a CURVE secret file, fresh if omitted;
        ``successions`` a file of what ended its earlier epochs (``dropbeard ledger successions``).

        Options as for the constructor. ConfigInvalid, KeyInvalid or LedgerInvalid when a file cannot be used.
        """
        secret = None if key is None else load_curve_secret(Path(key))
        group = read_genesis(Path(path))
        if successions is not None:
            options["successions"] = read_successions(Path(successions), group.id)
        return cls(group, secret, **options)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close every connection; calls of other threads end with ClientClosed. Of a view it does nothing."""
        if self._owns:
            self._pump.close()

    def with_options(self, **changes: Any) -> Client:
        """A view with other options (fields of ``Options``) that shares connections, key and credits."""
        view = copy(self)
        view._options = self._options.changed(self.group, changes)
        view._owns = False
        return view

    @property
    def group(self) -> Group:
        """The group of the latest epoch that is known."""
        return self._pump.calls.group

    @property
    def nodes_reached(self) -> int:
        """Nodes that said welcome so far."""
        return len(self._pump.calls.session.credits)

    @property
    def client_key(self) -> ClientKey:
        """This client's name: its CURVE public key, 32 bytes (rule 1.4)."""
        return self._pump.calls.session.client

    def infer(self, image: Any, *, timeout: float | None = None, patience: float | None = None) -> Answer:
        """Ask the group about one image: a path, an image file's bytes, a PIL image, a uint8 array H x W x 3, or an
        ``Input``. ``timeout`` and ``patience`` (seconds) for this call alone.

        InputInvalid when the task does not take it; RequestRejected, RequestExpired, AnswerBelowRequired, ClientClosed
        otherwise.
        """
        named = {"timeout": timeout, "patience": patience}
        options = self._options.changed(self.group, {name: value for name, value in named.items() if value is not None})
        for _, outcome in self._outcomes([image], 1, True, options):
            if isinstance(outcome, ClientError):
                raise outcome
            return outcome
        raise AssertionError("a request ends with an outcome")

    def fetch(self, request: Request, timeout: float = CERTIFICATE_TIMEOUT_S) -> Answer:
        """The answer to an earlier request of this client's key, with a certificate made anew (rule 5.2).

        ``request`` as in ``Answer.certificate.certificate.request()`` or a ClientError's ``request``. Works until the
        group's retention has passed, while nodes of ``answers`` owners are up. RequestRejected when nobody knows of it,
        RequestExpired when the group certified that it expired or nothing came within ``timeout`` seconds.
        """
        caller = self._pump.caller()
        known = self._pump.fetch(request, self._options, timeout, caller)
        try:
            taken = self._pump.take(caller, known)
        except BaseException:
            self._pump.give_up(known)
            raise
        assert taken is not None, "nobody is told anything provisional of an earlier request"
        outcome = taken[1].outcome(self.group)
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
        for _, outcome in self._outcomes(images, in_flight, True, self._options):
            yield outcome

    def stream(self, images: Iterable[Any], in_flight: int = 64) -> Iterator[tuple[int, Answer | ClientError]]:
        """(position in ``images``, answer or error) of each, as they come: nothing waits for what was asked before."""
        return self._outcomes(images, in_flight, False, self._options)

    def _outcomes(
        self, images: Iterable[Any], in_flight: int, in_order: bool, options: Options
    ) -> Iterator[tuple[int, Answer | ClientError]]:
        """Leaving the iteration gives up what is under way."""
        if not 1 <= in_flight <= IN_FLIGHT_MAX:
            raise ConfigInvalid(f"in_flight must be between 1 and {IN_FLIGHT_MAX}")
        # A source that never makes us wait lets requests wait for each other and share a message.
        at_once = not isinstance(images, Sequence)
        pump, caller = self._pump, self._pump.caller()
        rows = enumerate(images)
        waiting: dict[RequestId, int] = {}
        is_fed = False
        try:
            while True:
                while not is_fed and len(waiting) < in_flight and (not waiting or pump.calls.has_room):
                    row = next(rows, None)
                    is_fed = row is None
                    if row is not None:
                        request = pump.submit(input_from(row[1]), options, caller, at_once)
                        waiting[request] = row[0]
                if not waiting:
                    return
                taken = pump.take(caller, next(iter(waiting)) if in_order else None)
                while caller.told:
                    callback, provisional = caller.told.popleft()
                    callback(provisional)
                if taken is not None:
                    yield waiting.pop(taken[0]), taken[1].outcome(self.group)
        finally:
            for request in waiting:
                pump.give_up(request)
