"""The engine daemon: a model, and for a while the next one beside it, behind an ipc socket; no key, no network."""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import select
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Final, assert_never

import zmq

from dropbeard.codec.engine import decode_to_engine, encode_from_engine
from dropbeard.daemon.clocks import read_clocks
from dropbeard.daemon.engine_models import Models
from dropbeard.daemon.files import NodeFiles
from dropbeard.daemon.notify import Notifier
from dropbeard.daemon.probe import Probe
from dropbeard.daemon.process import StopSignal, die_with_parent, keep_memory, log_to_stderr, pace_garbage
from dropbeard.daemon.reloading import ENGINE, Reloader
from dropbeard.daemon.starts import Starts
from dropbeard.errors import MessageInvalid
from dropbeard.serving.pipeline import Job, Outcome
from dropbeard.storage.files import read_genesis
from dropbeard.transport.engine_link import EngineListener, check_free
from dropbeard.types.engine_messages import (
    EngineAnswers,
    EngineFailure,
    FailReason,
    InferTicket,
    InferTickets,
    LoadModel,
    NodeHello,
    UnloadModel,
)
from dropbeard.types.ids import Version
from dropbeard.types.node_config import NodeConfig
from dropbeard.types.task import Input

log = logging.getLogger("dropbeard.engine")

POLL_MS: Final = 500
FIGURES_S: Final = 60.0
TELL_S: Final = 5.0
NODES_MAX: Final = 16
"""Connections that hear of loaded models: one node, and what is left of its earlier lives."""


def run_engine(files: NodeFiles) -> int:
    """Load and warm the model, then serve until SIGTERM or SIGINT; 0 after a clean end.

    Raises EngineFailed, ModelMissing, ExtraMissing, ConfigInvalid or TransportFailed when it cannot start.
    """
    die_with_parent()
    keep_memory()
    log_to_stderr(files.config.log_level)
    for text in files.unknown:
        log.warning("environment-unknown %s", text)
    check_free(files.engine_endpoint)  # before the record of another engine's starts is touched
    starts, notifier, stop = Starts(files.engine_endpoint), Notifier(), StopSignal()
    try:
        if _waited(starts, notifier, stop):
            _serve(files, starts, notifier, stop)
    except BaseException as wrong:
        starts.failed(str(wrong) or type(wrong).__name__)
        raise
    starts.ended()
    return 0


def _waited(starts: Starts, notifier: Notifier, stop: StopSignal) -> bool:
    """Slow a crash loop down; False when the wait was ended by a signal."""
    if starts.wait_s:
        text = f"crash loop: {starts.failed_in_row} starts failed in a row, waiting {starts.wait_s:g} s"
        log.warning("engine-backs-off %s", text)
        with notifier.patience(text):
            select.select([stop.fd], [], [], starts.wait_s)
    return not stop.asked


def _serve(files: NodeFiles, starts: Starts, notifier: Notifier, stop: StopSignal) -> None:
    """Load the model, serve until asked to stop."""
    starts.loading()
    group = read_genesis(files.genesis)
    server = _Server(stop, starts, notifier)
    reloader = Reloader(files, ENGINE, server.reload, log)
    server.models = Models(files, group, server.deliver, server.wake)
    started = time.monotonic()
    with notifier.patience(f"loading {files.config.engine.model}"):
        server.models.load_first()
    warm_s = time.monotonic() - started
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    listener = EngineListener(context, files.engine_endpoint)
    settings = files.config.engine
    log.info("engine-ready model=%s backend=%s warm_s=%.2f", settings.model, settings.backend, warm_s)
    starts.serving()
    notifier.ready(f"serving {settings.model} on {settings.backend}")
    threading.Thread(target=server.models.watch, name="watch", daemon=True).start()
    try:
        server.serve(listener, reloader)
    finally:
        listener.close()
        context.term()


class _Server:
    """Tickets in from the socket, outcomes out to the connection they came by."""

    models: Models
    _listener: EngineListener

    def __init__(self, stop: StopSignal, starts: Starts, notifier: Notifier) -> None:
        self._stop = stop
        self._starts = starts
        self._notifier = notifier
        self._probe = Probe(notifier, lambda: self.models.loaded)
        self._tell_at = 0.0
        self._outcomes: queue.SimpleQueue[Outcome] = queue.SimpleQueue()
        self._woken = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._routes: dict[int, tuple[bytes, int]] = {}
        """By internal number: the connection and its ticket."""
        self._nodes: dict[bytes, None] = {}
        """Connections that said hello, the latest NODES_MAX: they hear what was loaded."""
        self._number = 0
        self._figures: dict[int, str] = {}
        self._figures_at = time.monotonic() + FIGURES_S

    def wake(self) -> None:
        """From any thread: look again."""
        os.eventfd_write(self._woken, 1)

    def deliver(self, outcomes: Sequence[Outcome]) -> None:
        """From the pipeline's threads."""
        for outcome in outcomes:
            self._outcomes.put(outcome)
        self.wake()

    def reload(self, old: NodeConfig, new: NodeConfig) -> None:
        """What may change: how much is queued; the nodes hear of it."""
        if old.engine.queue_max != new.engine.queue_max:
            self.models.limit(new.engine.queue_max)
            for route in self._nodes:
                self._tell_loaded(route)

    def serve(self, listener: EngineListener, reloader: Reloader) -> None:
        """Until asked to stop, then finish what was taken, within its models' DRAIN_S."""
        self._listener = listener
        pace_garbage()
        poller = zmq.Poller()
        for source in (self._listener.socket, self._woken, self._stop.fd, reloader.fd):
            poller.register(source, zmq.POLLIN)
        while not self._stop.asked:
            poller.poll(POLL_MS)
            reloader.look()
            self._log_figures()
            self._starts.look()
            self._probe.look(time.monotonic())
            self._tell_figures()
            self._send_outcomes()
            for told in self.models.news():
                for route in self._nodes:
                    self._listener.send(route, encode_from_engine(told))
            for route, data, inputs in self._listener.receive():
                self._take(route, data, inputs)
        self._notifier.stopping()
        self.models.drain()
        self._send_outcomes()
        self._log_figures(last=True)
        # Only then: while the models' threads end, the last answers leave, which a closing socket would drop.
        self.models.stop()
        log.info("engine-stopped")

    def _log_figures(self, last: bool = False) -> None:
        """Now and then, and at the end, of every model that did something since."""
        if not last and time.monotonic() < self._figures_at:
            return
        self._figures_at = time.monotonic() + FIGURES_S
        for version, held in self.models.loaded.items():
            figures = held.figures()
            if self._figures.get(version) != figures:
                self._figures[version] = figures
                log.info("engine-figures model=%s version=%d %s", held.ready.model, version, figures)

    def _tell_figures(self) -> None:
        """Every TELL_S, to the nodes: the engine has no network of its own to be watched by."""
        if time.monotonic() < self._tell_at:
            return
        self._tell_at = time.monotonic() + TELL_S
        for version, held in self.models.loaded.items():
            for route in self._nodes:
                self._listener.send(route, encode_from_engine(held.pipeline.counted(version)))

    def _take(self, route: bytes, data: bytes, inputs: Sequence[bytes]) -> None:
        try:
            message = decode_to_engine(data)
        except MessageInvalid as wrong:
            log.warning("message-refused reason=%s", wrong)
            return
        match message:
            case NodeHello():
                self._greet(route)
            case InferTickets(tickets) if len(tickets) == len(inputs):
                self._queue(route, tickets, inputs)
            case InferTickets(tickets):
                log.warning("message-refused reason=%d tickets came with %d inputs", len(tickets), len(inputs))
            case LoadModel(version, digest):
                told = self.models.ask(version, digest)
                if told is not None:
                    self._listener.send(route, encode_from_engine(told))
            case UnloadModel(version):
                self.models.unload(version)
            case _:
                assert_never(message)

    def _greet(self, route: bytes) -> None:
        if len(self._nodes) >= NODES_MAX and route not in self._nodes:
            del self._nodes[next(iter(self._nodes))]
        self._nodes[route] = None
        self._tell_loaded(route)

    def _tell_loaded(self, route: bytes) -> None:
        for held in self.models.loaded.values():
            self._listener.send(route, encode_from_engine(held.ready))

    def _queue(self, route: bytes, tickets: Sequence[InferTicket], inputs: Sequence[bytes]) -> None:
        now = read_clocks()
        jobs: dict[Version, list[Job]] = {}
        for ticket, data in zip(tickets, inputs, strict=True):
            self._number += 1
            self._routes[self._number] = (route, ticket.ticket)
            deadline_us = now.monotonic_us + (ticket.deadline - now.wall_us)
            job = Job(self._number, Input(ticket.kind, ticket.shape, data, ticket.input_digest), deadline_us)
            jobs.setdefault(ticket.version, []).append(job)
        refused: list[EngineFailure] = []
        for version, rows in jobs.items():
            held = self.models.loaded.get(version)
            if held is not None:
                refused += held.pipeline.submit(rows)
            else:
                text = f"this engine has not loaded version {version} of its model"
                refused += [EngineFailure(job.ticket, FailReason.BROKEN, text) for job in rows]
        for outcome in refused:
            self._send(outcome)

    def _send_outcomes(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._woken)
        broken = self.models.broken()
        if broken is not None:
            raise broken
        while True:
            try:
                outcome = self._outcomes.get_nowait()
            except queue.Empty:
                return
            self._send(outcome)

    def _send(self, outcome: Outcome) -> None:
        """Back under the node's own ticket, on the connection that it came by."""
        if isinstance(outcome, EngineFailure):
            if outcome.ticket < 0:  # a probe that was refused proves nothing
                return
            route, ticket = self._routes.pop(outcome.ticket)
            self._listener.send(route, encode_from_engine(replace(outcome, ticket=ticket)))
            return
        by_route: dict[bytes, list[tuple[int, bytes]]] = {}
        for number, output in outcome.answers:
            if number < 0:
                self._probe.passed(number)
                continue
            route, ticket = self._routes.pop(number)
            by_route.setdefault(route, []).append((ticket, output))
        for route, rows in by_route.items():
            self._listener.send(route, encode_from_engine(EngineAnswers(tuple(rows))))
