"""The engine daemon: one model behind an ipc socket; no key, no network."""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import zmq

from dropbeard.codec.engine import decode_to_engine, encode_from_engine
from dropbeard.daemon.clocks import read_clocks
from dropbeard.daemon.files import NodeFiles
from dropbeard.daemon.process import StopSignal, die_with_parent, log_to_stderr
from dropbeard.errors import MessageInvalid
from dropbeard.serving.engine import Engine
from dropbeard.serving.manifest import load_manifest, model_digest
from dropbeard.serving.pipeline import Job, Outcome, Pipeline
from dropbeard.serving.synthetic import ServiceTime, SyntheticEngine, synthetic_digest
from dropbeard.storage.files import read_genesis
from dropbeard.transport.engine_link import EngineListener
from dropbeard.types.engine_messages import (
    EngineAnswers,
    EngineFailure,
    EngineReady,
    FailReason,
    InferTicket,
    NodeHello,
)
from dropbeard.types.group import FIRST_VERSION, Group
from dropbeard.types.ids import Digest
from dropbeard.types.task import Input

log = logging.getLogger("dropbeard.engine")

POLL_MS: Final = 500
DRAIN_S: Final = 5.0
"""How long a stopping engine goes on with what it has."""


def run_engine(files: NodeFiles) -> int:
    """Load and warm the model, then serve until SIGTERM or SIGINT; 0 after a clean end.

    Raises EngineFailed, ModelMissing, ExtraMissing, ConfigInvalid or TransportFailed when it cannot start.
    """
    die_with_parent()
    log_to_stderr(files.config.log_level)
    group = read_genesis(files.genesis)
    settings = files.config.engine
    engine, digest = make_engine(files, group)
    started = time.monotonic()
    engine.load()
    engine.warm_up(settings.max_batch)
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    listener = EngineListener(context, files.engine_endpoint)
    ready = EngineReady(settings.model, digest, FIRST_VERSION, settings.queue_max)
    server = _Server(listener, ready, StopSignal())
    server.pipeline = Pipeline(engine, settings.max_batch, settings.queue_max, server.deliver)
    log.info(
        "engine-ready model=%s backend=%s warm_s=%.2f", settings.model, settings.backend, time.monotonic() - started
    )
    try:
        server.serve()
    finally:
        listener.close()
        context.term()
        engine.unload()
    return 0


def make_engine(files: NodeFiles, group: Group) -> tuple[Engine, Digest]:
    """The engine that a configuration names, not yet loaded, and the digest it answers for."""
    settings = files.config.engine
    if settings.backend == "synthetic":
        flavour = files.config.name.encode()
        return SyntheticEngine(group.task, ServiceTime(0, 0), flavour), synthetic_digest(files.config.name)
    manifest = load_manifest(settings.model)
    from dropbeard.serving.onnx import OnnxEngine

    return OnnxEngine(manifest, group.task, settings.threads), model_digest(manifest)


class _Server:
    """Tickets in from the socket, outcomes out to the connection they came by."""

    pipeline: Pipeline

    def __init__(self, listener: EngineListener, ready: EngineReady, stop: StopSignal) -> None:
        self._listener = listener
        self._ready = encode_from_engine(ready)
        self._version = ready.version
        self._stop = stop
        self._outcomes: queue.SimpleQueue[Outcome] = queue.SimpleQueue()
        self._woken = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._routes: dict[int, tuple[bytes, int]] = {}
        """By internal number: the connection and its ticket."""
        self._number = 0

    def deliver(self, outcomes: Sequence[Outcome]) -> None:
        """From the pipeline's threads."""
        for outcome in outcomes:
            self._outcomes.put(outcome)
        os.eventfd_write(self._woken, 1)

    def serve(self) -> None:
        """Until asked to stop, then finish what was taken, within DRAIN_S."""
        self.pipeline.start()
        poller = zmq.Poller()
        for source in (self._listener.socket, self._woken, self._stop.fd):
            poller.register(source, zmq.POLLIN)
        while not self._stop.asked:
            poller.poll(POLL_MS)
            self._send_outcomes()
            for route, data, given in self._listener.receive():
                self._take(route, data, given)
        self.pipeline.drain(DRAIN_S)
        self._send_outcomes()
        self.pipeline.stop()
        log.info("engine-stopped")

    def _take(self, route: bytes, data: bytes, given: bytes | None) -> None:
        try:
            message = decode_to_engine(data)
        except MessageInvalid as wrong:
            log.warning("message-refused reason=%s", wrong)
            return
        if isinstance(message, NodeHello):
            self._listener.send(route, self._ready)
            return
        self._queue(route, message, given or b"")

    def _queue(self, route: bytes, message: InferTicket, data: bytes) -> None:
        now = read_clocks()
        self._number += 1
        self._routes[self._number] = (route, message.ticket)
        deadline_us = now.monotonic_us + (message.deadline - now.wall_us)
        if message.version == self._version:
            job = Job(self._number, Input(message.kind, message.shape, data), deadline_us)
            refused = self.pipeline.submit(job)
        else:
            text = f"this engine runs version {self._version} of its model, not {message.version}"
            refused = EngineFailure(self._number, FailReason.BROKEN, text)
        if refused is not None:
            self._outcomes.put(refused)
            self._send_outcomes()

    def _send_outcomes(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._woken)
        if self.pipeline.broken is not None:
            raise self.pipeline.broken
        while True:
            try:
                outcome = self._outcomes.get_nowait()
            except queue.Empty:
                return
            self._send(outcome)

    def _send(self, outcome: Outcome) -> None:
        """Back under the node's own ticket, on the connection that it came by."""
        if isinstance(outcome, EngineFailure):
            route, ticket = self._routes.pop(outcome.ticket)
            self._listener.send(route, encode_from_engine(replace(outcome, ticket=ticket)))
            return
        by_route: dict[bytes, list[tuple[int, bytes]]] = {}
        for number, output in outcome.answers:
            route, ticket = self._routes.pop(number)
            by_route.setdefault(route, []).append((ticket, output))
        for route, rows in by_route.items():
            self._listener.send(route, encode_from_engine(EngineAnswers(tuple(rows))))
