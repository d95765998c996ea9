"""Many requests of one task at once: a source feeds a window, and outcomes leave it in order or as they come."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Iterable
from typing import Any

from dropbeard.client.answers import Answer
from dropbeard.client.options import IN_FLIGHT_MAX
from dropbeard.errors import ClientError, ConfigInvalid

Images = Iterable[Any] | AsyncIterable[Any]
Ask = Callable[[Any], Awaitable[Answer | ClientError]]
Row = tuple[int, "asyncio.Task[Answer | ClientError]"]


async def outcomes(
    ask: Ask, images: Images, in_flight: int, in_order: bool
) -> AsyncGenerator[tuple[int, Answer | ClientError], None]:
    """(position in ``images``, outcome) of each; leaving the iteration cancels what is under way.

    ConfigInvalid unless ``in_flight`` is between 1 and IN_FLIGHT_MAX. What ``images`` or ``ask`` raise is raised here.
    """
    if not 1 <= in_flight <= IN_FLIGHT_MAX:
        raise ConfigInvalid(f"in_flight must be between 1 and {IN_FLIGHT_MAX}")
    window = _Window(ask, in_flight, in_order)
    feeder = asyncio.create_task(window.feed(images))
    try:
        while (row := await window.rows.get()) is not None:
            position, task = row
            outcome = await task
            window.leave(task)
            yield position, outcome
        await feeder
    finally:
        feeder.cancel()
        await window.cancel()
        await asyncio.gather(feeder, return_exceptions=True)


class _Window:
    """At most ``in_flight`` tasks between the source and who takes their outcomes."""

    def __init__(self, ask: Ask, in_flight: int, in_order: bool) -> None:
        self._ask = ask
        self._in_order = in_order
        self._free = asyncio.Semaphore(in_flight)
        self._tasks: dict[asyncio.Task[Answer | ClientError], None] = {}
        self._is_fed = False
        self.rows: asyncio.Queue[Row | None] = asyncio.Queue()
        """Tasks to wait for next; None when there will be no more."""

    async def feed(self, images: Images) -> None:
        """Start a task for each image as soon as there is room."""
        try:
            if isinstance(images, AsyncIterable):
                position = 0
                async for image in images:
                    await self._start(position, image)
                    position += 1
            else:
                for position, image in enumerate(images):
                    await self._start(position, image)
        finally:
            self._is_fed = True
            if not self._tasks or self._in_order:
                self.rows.put_nowait(None)

    async def _start(self, position: int, image: Any) -> None:
        await self._free.acquire()
        task = asyncio.ensure_future(self._ask(image))
        assert isinstance(task, asyncio.Task)
        self._tasks[task] = None
        if self._in_order:
            self.rows.put_nowait((position, task))
        else:
            task.add_done_callback(lambda done: self.rows.put_nowait((position, done)))

    def leave(self, task: asyncio.Task[Answer | ClientError]) -> None:
        """Its outcome was taken: there is room for another."""
        del self._tasks[task]
        self._free.release()
        if self._is_fed and not self._tasks and not self._in_order:
            self.rows.put_nowait(None)

    async def cancel(self) -> None:
        """End what is still under way."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
