"""``dropbeard doctor``: what may ail a node, running or not."""

from __future__ import annotations

import ctypes
import os
import resource
import struct
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib import metadata
from pathlib import Path
from typing import Final

from dropbeard.daemon.asking import ask_status
from dropbeard.daemon.doctor_peers import Answer, ask_peers, genesis_of_peers, handshakes, reach, wire_versions
from dropbeard.daemon.files import NodeFiles
from dropbeard.daemon.findings import Check, Finding, fail, ok, run_all, warn
from dropbeard.daemon.readiness import Readiness
from dropbeard.daemon.unit_devices import gpu_in_unit, unit_properties
from dropbeard.daemon.vitals import DISK_FREE_BYTES, IN_SIGHT_INTERVALS, LAG_MAX
from dropbeard.errors import NodeUnreachable
from dropbeard.serving.catalogue import artefact
from dropbeard.serving.manifest import load_manifest, manifests_by_digest
from dropbeard.types.ids import Digest
from dropbeard.types.status import NodeStatus

ASK_S: Final = 3.0
NOT_RUNNING: Final = "not known while the node does not run"
START_IT: Final = "start the node and check again"

DESCRIPTORS_MIN: Final = 4_096
"""A node of 64 owners and some thousand clients uses so many."""

SYNCS: Final = 20
SYNC_BYTES: Final = 4_096
SYNC_WARN_S: Final = 0.02
SYNC_FAIL_S: Final = 0.2
"""Median of a small write and sync: every turn of a node waits for one."""

CLOCK_ERROR_WARN_US: Final = 100_000
_STA_UNSYNC: Final = 0x40
_TIMEX_BYTES: Final = 208
_TIMEX: Final = struct.Struct("@24xq8xi")
"""struct timex of 64-bit Linux: maxerror stands at byte 24, status at byte 40."""

LIBRARIES: Final[Mapping[str, tuple[str, ...]]] = {
    "onnx": ("onnxruntime",),
    "openvino": ("openvino",),
    "tensorrt": ("tensorrt", "pycuda"),
    "oip": ("tritonclient",),
    "synthetic": (),
}


class Doctor:
    """All checks of one configuration, those of ``dropbeard check`` first."""

    def __init__(self, files: NodeFiles) -> None:
        self._files = files
        self._readiness = Readiness(files)

    def findings(self) -> list[Finding]:
        """Every check in its order. Takes some seconds: peers that are down are waited for."""
        checks: Mapping[str, Check] = {
            "clock": lambda: clock(read_kernel_clock()),
            "descriptors": self.descriptors,
            "disk": self.disk,
            "libraries": self.libraries,
            "plan": self.plan,
            "gpu-in-unit": self.gpu_in_unit,
            "node": self.node,
            "engine": self.engine,
            "models-in-force": self.models_in_force,
            "journal": self.journal,
            "reach": lambda: reach(self._readiness.group(), self._answers),
            "reached-by": self.reached_by,
            "curve": lambda: handshakes(self._answers),
            "genesis-of-peers": lambda: genesis_of_peers(self._answers),
            "wire-versions": lambda: wire_versions(self._answers),
        }
        return run_all(checks, self._readiness.findings())

    @cached_property
    def _status(self) -> NodeStatus | None:
        try:
            return ask_status(self._files, ASK_S)
        except NodeUnreachable:
            return None

    @cached_property
    def _answers(self) -> list[Answer]:
        return ask_peers(self._readiness.group(), self._readiness.identity())

    def descriptors(self) -> Finding:
        """The limit of the running node, else of this shell."""
        status = self._status
        soft, whose = resource.getrlimit(resource.RLIMIT_NOFILE)[0], "this shell"
        if status is not None:
            soft, whose = resource.prlimit(status.pid, resource.RLIMIT_NOFILE)[0], "the node"
        if soft != resource.RLIM_INFINITY and soft < DESCRIPTORS_MIN:
            mend = f"LimitNOFILE=65536 in its unit, or ulimit -n {DESCRIPTORS_MIN}"
            return warn("descriptors", f"{whose} may open {soft} files", mend)
        return ok("descriptors", f"{whose} may open {soft if soft >= 0 else 'any number of'} files")

    def disk(self) -> Finding:
        """Syncs where the journal is, or will be."""
        directory = next(path for path in (self._files.state, *self._files.state.parents) if path.is_dir())
        took_s = sync_times(directory)
        median_s, worst_s = took_s[len(took_s) // 2], took_s[-1]
        text = f"a sync in {directory} takes {1000 * median_s:.1f} ms, {1000 * worst_s:.1f} ms at worst"
        usage = os.statvfs(directory)
        if usage.f_bavail * usage.f_frsize < DISK_FREE_BYTES:
            return fail("disk", f"{usage.f_bavail * usage.f_frsize >> 20} MiB are free in {directory}", "free space")
        if median_s > SYNC_WARN_S:
            mend = "put the state directory on a faster disk: every turn of the node waits for a sync"
            return fail("disk", text, mend) if median_s > SYNC_FAIL_S else warn("disk", text, mend)
        return ok("disk", text)

    def libraries(self) -> Finding:
        """What the engine's backend needs is installed."""
        backend = self._files.config.engine.backend
        found, missing = [], []
        for package in LIBRARIES[backend]:
            try:
                found.append(f"{package} {metadata.version(package)}")
            except metadata.PackageNotFoundError:
                missing.append(package)
        if missing:
            return fail("libraries", f"not installed: {', '.join(missing)}", f"pip install 'dropbeard[{backend}]'")
        return ok("libraries", ", ".join(found) or f"the backend {backend} needs none")

    def plan(self) -> Finding:
        """Driver, TensorRT and the compiled plan go together; other backends have none of them."""
        settings = self._files.config.engine
        if settings.backend != "tensorrt":
            return ok("plan", f"the backend {settings.backend} needs no plan and no driver")
        from dropbeard.serving.tensorrt.libraries import load_libraries
        from dropbeard.serving.tensorrt.plans import plan_key, read_plan

        libraries, manifest = load_libraries(), load_manifest(settings.model)
        device = libraries.device_name(settings.device)
        read_plan(plan_key(manifest, device, libraries.version), settings.model)
        return ok("plan", f"{settings.model} is compiled for {device.name} and TensorRT {libraries.version}")

    def gpu_in_unit(self) -> Finding:
        """The sandbox of the engine's unit, where there is one."""
        config = self._files.config
        unit = unit_properties(config.name) if config.engine.backend == "tensorrt" else None
        return gpu_in_unit(config.engine.backend, config.name, unit)

    def node(self) -> Finding:
        """Does it run, and is it well?"""
        status = self._status
        if status is None:
            return warn("node", "it does not run, or does not answer this user", "dropbeard run node CONFIG")
        if status.problems:
            return warn("node", "; ".join(status.problems), "see the other checks, and dropbeard status")
        return ok("node", f"healthy, view {status.chain.view}, height {status.chain.height}")

    def engine(self) -> Finding:
        """Is it ready, and did it start without trouble?"""
        status = self._status
        if status is None:
            return warn("engine", NOT_RUNNING, START_IT)
        starts = status.engine.starts
        if not status.engine.ready:
            why = f": {starts.last_failure}" if starts is not None and starts.last_failure else ""
            return fail("engine", f"it is not ready{why}", "see its log; dropbeard run engine CONFIG says why it ends")
        if status.engine.lost:
            return warn("engine", f"ready, lost {status.engine.lost} times since the node's start", "see its log")
        return ok("engine", f"ready, versions {', '.join(map(str, status.engine.loaded))} loaded")

    def models_in_force(self) -> Finding:
        """The version that the ledger has in force is in this machine's catalogue, whole."""
        status = self._status
        if status is None:
            return warn("models-in-force", NOT_RUNNING, START_IT)
        row = next((row for row in status.chain.models if row.owner == status.owner), None)
        if row is None:
            return warn("models-in-force", f"{status.owner} has no model in the ledger", "join the group first")
        if self._files.config.engine.backend == "synthetic":
            return ok("models-in-force", f"version {row.version} of a synthetic engine")
        manifest = manifests_by_digest().get(Digest(bytes.fromhex(row.digest)))
        if manifest is None:
            text = f"version {row.version}, {row.digest[:12]}, is in force and not in this machine's catalogue"
            return fail("models-in-force", text, "dropbeard models add its manifest and artefact")
        artefact(manifest.name)
        return ok("models-in-force", f"version {row.version} is {manifest.name}, and whole")

    def journal(self) -> Finding:
        """Not older than what the peers know (a restored snapshot would be)."""
        status, path = self._status, self._files.state / "journal.db"
        if status is None:
            if not path.exists():
                return ok("journal", "there is none yet")
            hours = (time.time() - _newest(path)) / 3600
            return warn("journal", f"last written {hours:.1f} h ago; its age against peers is {NOT_RUNNING}", START_IT)
        if not status.chain.awake:
            mend = "its peers must answer first; if it stays so, see the log: the disk may be an old copy (rule 7.4)"
            return warn("journal", "the node still asks its peers what they hold of its own statements", mend)
        if status.chain.lag > LAG_MAX:
            text = f"{status.chain.lag} blocks behind its peers"
            return warn("journal", text, "wait while it catches up; if the lag grows, look at disk and reach")
        return ok("journal", f"{status.disk.records} records, {status.chain.lag} blocks behind its peers")

    def reached_by(self) -> Finding:
        """Do the peers' connections to this node work? Only a running node hears them."""
        status = self._status
        if status is None:
            return warn("reached-by", NOT_RUNNING, START_IT)
        lately_us = IN_SIGHT_INTERVALS * self._readiness.group().parameters.status_interval_us
        rows = status.chain.peers
        silent = [row.owner for row in rows if row.heard_us_ago is None or row.heard_us_ago > lately_us]
        if silent:
            text = f"nothing comes from {', '.join(silent)}"
            mend = "start their nodes, or open this node's ports to them; behind NAT, check the card's address"
            enough = 1 + len(rows) - len(silent) >= self._readiness.group().quorum
            return warn("reached-by", text, mend) if enough else fail("reached-by", text, mend)
        return ok("reached-by", f"all {len(rows)} peers are heard")


@dataclass(frozen=True, slots=True)
class KernelClock:
    """What the kernel says of the wall clock: is it kept by somebody, and how far off may it be?"""

    kept: bool
    error_us: int


def read_kernel_clock() -> KernelClock | None:
    """adjtimex(2), asked only; None where it may not be asked."""
    buffer = (ctypes.c_char * _TIMEX_BYTES)()
    if ctypes.CDLL(None, use_errno=True).adjtimex(buffer) < 0:
        return None
    error_us, status = _TIMEX.unpack_from(buffer)
    return KernelClock(not status & _STA_UNSYNC, error_us)


def clock(found: KernelClock | None) -> Finding:
    """Is the wall clock kept? Deadlines are read by it; safety never depends on it (rule 1.2)."""
    if found is None:
        return warn("clock", "the kernel does not say whether the clock is kept", "see that a time service runs")
    if not found.kept:
        return warn("clock", "nothing keeps the clock in time", "timedatectl set-ntp true, or run chrony")
    if found.error_us > CLOCK_ERROR_WARN_US:
        return warn(
            "clock", f"it may be off by {found.error_us / 1000:.0f} ms", "see that the time service has sources"
        )
    return ok("clock", f"kept in time, off by {found.error_us / 1000:.1f} ms at most")


def sync_times(directory: Path) -> list[float]:
    """Seconds of SYNCS small writes with a sync each, ascending; the file is gone afterwards."""
    path = directory / f".doctor-{os.getpid()}"
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    took = []
    try:
        for _ in range(SYNCS):
            started = time.perf_counter()
            os.write(handle, bytes(SYNC_BYTES))
            os.fdatasync(handle)
            took.append(time.perf_counter() - started)
    finally:
        os.close(handle)
        path.unlink()
    return sorted(took)


def _newest(path: Path) -> float:
    beside = [path.with_name(f"{path.name}{ending}") for ending in ("", "-wal")]
    return max(one.stat().st_mtime for one in beside if one.exists())
