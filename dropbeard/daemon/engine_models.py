"""The models that an engine daemon holds at once: one in force, the next one loaded and warmed beside it (rule 4.3)."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from queue import Empty, SimpleQueue
from typing import Final

import msgspec

from dropbeard.daemon.files import NodeFiles
from dropbeard.errors import DropbeardError, EngineFailed
from dropbeard.serving.backends import make_engine
from dropbeard.serving.engine import Engine
from dropbeard.serving.manifest import load_manifest, manifests_by_digest, model_digest
from dropbeard.serving.pipeline import Outcome, Pipeline
from dropbeard.serving.synthetic import MeasuredTime, ServiceTime, SyntheticEngine, synthetic_digest, synthetic_name
from dropbeard.types.engine_messages import EngineReady, LoadFailure
from dropbeard.types.group import FIRST_VERSION, Group
from dropbeard.types.ids import Digest, Version
from dropbeard.types.node_config import EngineTable

log = logging.getLogger("dropbeard.engine")

MODELS_MAX: Final = 4
"""Loaded at once: the one in force, the next one, and one that an abandoned update left."""

DRAIN_S: Final = 5.0
"""How long a model that is unloaded, or of a stopping engine, goes on with what it has."""

WATCH_S: Final = 10.0
"""Between two looks at the device."""

Deliver = Callable[[Sequence[Outcome]], None]


@dataclass(frozen=True, slots=True)
class Loaded:
    """One warm model with its own queue."""

    digest: Digest
    engine: Engine
    pipeline: Pipeline
    ready: EngineReady

    def figures(self) -> str:
        """For the log."""
        return " ".join(f"{name}={value}" for name, value in self.pipeline.figures().items())

    def finish(self) -> None:
        """Answer what it has, then end."""
        self.pipeline.drain(DRAIN_S)
        self.end()

    def end(self) -> None:
        """Give back its memory."""
        self.pipeline.stop()
        self.engine.unload()


class Models:
    """Loads in a thread of its own, so that what runs goes on; ``changed`` wakes the daemon's loop."""

    def __init__(self, files: NodeFiles, group: Group, deliver: Deliver, changed: Callable[[], None]) -> None:
        self._files = files
        self._group = group
        self._deliver = deliver
        self._changed = changed
        self._done: SimpleQueue[tuple[Version, Loaded | LoadFailure]] = SimpleQueue()
        self._loading: dict[Version, Digest] = {}
        self._lost: EngineFailed | None = None
        self.loaded: dict[Version, Loaded] = {}

    def load_first(self) -> None:
        """The model that the configuration names, before anything is served. Raises what loading raises."""
        self.loaded[FIRST_VERSION] = self._load(FIRST_VERSION, self._first_digest())

    def _first_digest(self) -> Digest:
        config = self._files.config
        if config.engine.backend == "synthetic":
            return synthetic_digest(config.name)
        return model_digest(load_manifest(config.engine.model))

    def ask(self, version: Version, digest: Digest) -> EngineReady | LoadFailure | None:
        """Begin to load; what is loaded or cannot be is said at once."""
        here = self.loaded.get(version)
        if here is not None and here.digest == digest:
            return here.ready
        if self._loading.get(version) == digest:
            return None
        if len(self.loaded) + len(self._loading) >= MODELS_MAX:
            return LoadFailure(version, digest, f"this engine holds {MODELS_MAX} models; restart it to drop old ones")
        self._loading[version] = digest
        threading.Thread(target=self._load_beside, args=(version, digest), name="load", daemon=True).start()
        return None

    def _load_beside(self, version: Version, digest: Digest) -> None:
        try:
            found: Loaded | LoadFailure = self._load(version, digest)
        except DropbeardError as wrong:
            found = LoadFailure(version, digest, str(wrong))
        except Exception as wrong:
            log.exception("load-failed version=%d", version)
            found = LoadFailure(version, digest, f"{type(wrong).__name__}: {wrong}")
        self._done.put((version, found))
        self._changed()

    def _load(self, version: Version, digest: Digest) -> Loaded:
        settings = self._files.config.engine
        name, engine = self._make(version, digest)
        engine.load()
        engine.warm_up(settings.max_batch)
        pipeline = Pipeline(engine, settings.max_batch, settings.queue_max, self._deliver)
        pipeline.start()
        return Loaded(digest, engine, pipeline, EngineReady(name, digest, version, settings.queue_max))

    def _make(self, version: Version, digest: Digest) -> tuple[str, Engine]:
        """The engine for a digest: only what this installation's catalogue has is ever run."""
        settings, owner = self._files.config.engine, self._files.config.name
        if settings.backend == "synthetic":
            if synthetic_digest(owner, version) != digest:
                raise EngineFailed(f"a synthetic engine has no model {digest.hex()[:12]} as version {version}")
            flavour = synthetic_name(owner, version).encode()
            return settings.model, SyntheticEngine(self._group.task, _service_time(settings), flavour)
        manifest = manifests_by_digest().get(digest)
        if manifest is None:
            raise EngineFailed(f"no model here has the digest {digest.hex()[:12]}; see: dropbeard models list --json")
        engine = make_engine(
            settings.backend,
            manifest,
            self._group.task,
            threads=settings.threads,
            streams=settings.streams,
            batch_max=settings.max_batch,
            device=settings.device,
            url=settings.url,
            remote_model=settings.remote_model,
        )
        return manifest.name, engine

    def news(self) -> list[EngineReady | LoadFailure]:
        """What was loaded, or was not, since the last call."""
        found: list[EngineReady | LoadFailure] = []
        while True:
            try:
                version, result = self._done.get_nowait()
            except Empty:
                return found
            self._loading.pop(version, None)
            if isinstance(result, LoadFailure):
                found.append(result)
                continue
            before = self.loaded.pop(version, None)
            if before is not None:
                before.finish()
            self.loaded[version] = result
            log.info("model-loaded model=%s version=%d", result.ready.model, version)
            found.append(result.ready)

    def limit(self, queue_max: int) -> None:
        """Every model, and those to come, queue no more than this."""
        files = self._files
        engine = msgspec.structs.replace(files.config.engine, queue_max=queue_max)
        self._files = replace(files, config=msgspec.structs.replace(files.config, engine=engine))
        for version, held in self.loaded.items():
            held.pipeline.limit(queue_max)
            self.loaded[version] = replace(held, ready=replace(held.ready, credits=queue_max))

    def unload(self, version: Version) -> None:
        """Drop a version; the only one left stays."""
        if version in self.loaded and len(self.loaded) > 1:
            log.info("engine-unloads version=%d", version)
            threading.Thread(target=self.loaded.pop(version).finish, name="unload", daemon=True).start()

    def watch(self) -> None:
        """In a thread of its own, until the process ends: a tiny real operation on each model's device."""
        while self._lost is None:
            time.sleep(WATCH_S)
            for held in list(self.loaded.values()):
                try:
                    held.engine.check()
                except EngineFailed as wrong:
                    self._lost = wrong
                    self._changed()

    def broken(self) -> BaseException | None:
        """What makes it useless to go on: an error that ended a model's thread, a lost device."""
        if self._lost is not None:
            return self._lost
        return next((held.pipeline.broken for held in self.loaded.values() if held.pipeline.broken is not None), None)

    def drain(self) -> None:
        """Answer what every model has."""
        for held in self.loaded.values():
            held.pipeline.drain(DRAIN_S)

    def stop(self) -> None:
        """End every model."""
        for held in self.loaded.values():
            held.end()


def _service_time(settings: EngineTable) -> ServiceTime | MeasuredTime:
    rows = settings.service_time_us
    return ServiceTime(0, 0) if rows is None else MeasuredTime(rows)
