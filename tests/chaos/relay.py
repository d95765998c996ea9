"""A TCP relay in front of each node: what peers and clients send it can be cut off or slowed down."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Sequence

CHUNK_BYTES = 1 << 16
START_TIMEOUT_S = 10.0
PUBLIC, HIDDEN = "127.0.0.1", "127.0.0.2"
"""Where the genesis says that a node is, and where it listens."""


class Relay:
    """Forwards every port of one node; ``cut`` drops and refuses connections, ``delay_s`` holds bytes back."""

    def __init__(self, ports: Sequence[int]) -> None:
        self._ports = ports
        self.cut = False
        self.delay_s = 0.0
        self._loop = asyncio.new_event_loop()
        self._writers: set[asyncio.StreamWriter] = set()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        if not self._ready.wait(START_TIMEOUT_S):
            raise RuntimeError("the relay did not start")

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._serve())
        self._loop.run_forever()

    async def _serve(self) -> None:
        for port in self._ports:
            await asyncio.start_server(lambda r, w, p=port: self._accept(r, w, p), PUBLIC, port)  # type: ignore[misc]
        self._ready.set()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int) -> None:
        if self.cut:
            writer.close()
            return
        try:
            far_reader, far_writer = await asyncio.open_connection(HIDDEN, port)
        except OSError:
            writer.close()
            return
        self._writers |= {writer, far_writer}
        await asyncio.gather(self._pipe(reader, far_writer), self._pipe(far_reader, writer))

    async def _pipe(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(CHUNK_BYTES):
                if self.delay_s:
                    await asyncio.sleep(self.delay_s)
                writer.write(data)
                await writer.drain()
        self._writers.discard(writer)
        writer.close()

    def set_cut(self, cut: bool) -> None:
        """Cut the node off, or let it be reached again."""
        self.cut = cut
        if cut:
            self._loop.call_soon_threadsafe(self._drop_all)

    def _drop_all(self) -> None:
        for writer in list(self._writers):
            writer.transport.abort()
        self._writers.clear()

    def close(self) -> None:
        """Stop forwarding."""
        self.set_cut(True)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(START_TIMEOUT_S)
