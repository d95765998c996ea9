"""The asynchronous client: one object, one group, as many tasks as you like; every answer is verified first."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from pathlib import Path
from types import TracebackType
from typing import Any

from dropbeard.client.answers import Answer
from dropbeard.client.async_stream import Images, outcomes
from dropbeard.client.inputs import input_from
from dropbeard.client.loop_pump import LoopPump
from dropbeard.client.options import CERTIFICATE_TIMEOUT_S, CONNECT_TIMEOUT_S, Options
from dropbeard.errors import ClientError
from dropbeard.signing.curve import CurveSecret, load_curve_secret
from dropbeard.storage.files import read_genesis, read_successions
from dropbeard.types.group import Group
from dropbeard.types.ids import ClientKey
from dropbeard.types.requests import Request
from dropbeard.types.succession import Succession
from dropbeard.types.task import Input


class AsyncClient:
    """Asks every node of a group from an asyncio event loop; made by ``from_group`` or ``connect``.

    Any number of tasks of that loop may call it at once: they share one connection to each node, and what is more than
    the group's credits waits its turn. Another loop, or a process after a fork, gets ClientClosed.
    """

    def __init__(self, pump: LoopPump, options: Options, owns: bool = True) -> None:
        self._pump = pump
        self._options = options
        self._owns = owns

    @classmethod
    async def from_group(
        cls, path: str | Path, key: str | Path | None = None, successions: str | Path | None = None, **options: Any
    ) -> AsyncClient:
        """A client of the group whose genesis file is at ``path``; ``key`` is a CURVE secret file, fresh if omitted;
        ``successions`` a file of what ended its earlier epochs (``dropbeard ledger successions``).

        Options as for ``connect``. ConfigInvalid, KeyInvalid or LedgerInvalid when a file cannot be used.
        """
        secret = None if key is None else load_curve_secret(Path(key))
        group = read_genesis(Path(path))
        if successions is not None:
            options["successions"] = read_successions(Path(successions), group.id)
        return await cls.connect(group, secret, **options)

    @classmethod
    async def connect(
        cls,
        group: Group,
        key: CurveSecret | None = None,
        *,
        connect_timeout: float = CONNECT_TIMEOUT_S,
        successions: Sequence[Succession] = (),
        **options: Any,
    ) -> AsyncClient:
        """A client of ``group`` whose nodes have said welcome.

        ``options``: the fields of ``Options``; ``successions`` as for ``Client``. GroupUnreachable when fewer nodes
        than needed answer within ``connect_timeout`` seconds; ConfigInvalid when the group does not allow the times.
        """
        wanted = Options(**options).checked(group)
        pump = LoopPump(group, key if key is not None else CurveSecret.generate(), successions)
        try:
            await pump.open(connect_timeout)
        except BaseException:
            await pump.close()
            raise
        return cls(pump, wanted)

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close every connection; calls under way end with ClientClosed. Of a view it does nothing."""
        if self._owns:
            await self._pump.close()

    def with_options(self, **changes: Any) -> AsyncClient:
        """A view with other options (fields of ``Options``) that shares connections, key and credits."""
        return AsyncClient(self._pump, self._options.changed(self.group, changes), owns=False)

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

    async def infer(self, image: Any, *, timeout: float | None = None, patience: float | None = None) -> Answer:
        """Ask the group about one image: a path, an image file's bytes, a PIL image, a uint8 array H x W x 3, or an
        ``Input``. ``timeout`` and ``patience`` (seconds) for this call alone.

        InputInvalid when the task does not take it; RequestRejected, RequestExpired, AnswerBelowRequired, ClientClosed
        otherwise. Cancelling the task gives up this request alone; nodes may still answer it.
        """
        outcome = await self._ask(image, self._options_for(timeout, patience))
        if isinstance(outcome, ClientError):
            raise outcome
        return outcome

    def _options_for(self, timeout: float | None, patience: float | None) -> Options:
        named = {"timeout": timeout, "patience": patience}
        return self._options.changed(self.group, {name: value for name, value in named.items() if value is not None})

    async def _ask(self, image: Any, options: Options | None = None) -> Answer | ClientError:
        # A file is read and a PIL image is encoded beside the loop; bytes and arrays are at hand.
        beside = isinstance(image, str | Path) or hasattr(image, "convert")
        given: Input = await asyncio.to_thread(input_from, image) if beside else input_from(image)
        return await self._pump.infer(given, options or self._options)

    async def fetch(self, request: Request, timeout: float = CERTIFICATE_TIMEOUT_S) -> Answer:
        """The answer to an earlier request of this client's key, with a certificate made anew (rule 5.2).

        ``request`` as in ``Answer.certificate.certificate.request()`` or a ClientError's ``request``. Works until the
        group's retention has passed, while nodes of ``answers`` owners are up. RequestRejected when nobody knows of it,
        RequestExpired when the group certified that it expired or nothing came within ``timeout`` seconds.
        """
        outcome = await self._pump.fetch(request, self._options, timeout)
        if isinstance(outcome, ClientError):
            raise outcome
        return outcome

    async def map(self, images: Images, in_flight: int = 64) -> AsyncGenerator[Answer, None]:
        """Answers in the order of ``images`` (an iterable, or an asynchronous one), up to ``in_flight`` requests at
        once; the first error is raised.
        """
        async with aclosing(self.map_outcomes(images, in_flight)) as found:
            async for outcome in found:
                if isinstance(outcome, ClientError):
                    raise outcome
                yield outcome

    async def map_outcomes(self, images: Images, in_flight: int = 64) -> AsyncGenerator[Answer | ClientError, None]:
        """Like ``map``, but an error stands in its request's place and the rest go on."""
        async with aclosing(outcomes(self._ask, images, in_flight, in_order=True)) as found:
            async for _, outcome in found:
                yield outcome

    async def stream(
        self, images: Images, in_flight: int = 64
    ) -> AsyncGenerator[tuple[int, Answer | ClientError], None]:
        """(position in ``images``, answer or error) of each, as they come: nothing waits for what was asked before."""
        async with aclosing(outcomes(self._ask, images, in_flight, in_order=False)) as found:
            async for row in found:
                yield row
