"""Plans that this machine built, and no others: a plan is executable, so one from elsewhere is never loaded.

A plan lies in the cache under the digest of everything that decides whether it fits, after a MAC of a key that never
leaves this cache: a plan that was copied here, renamed or damaged is not found. The folder belongs to its user alone.
"""

from __future__ import annotations

import os
import secrets
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from blake3 import blake3

from dropbeard.errors import ModelMissing, StorageFailed
from dropbeard.serving.cache import cache_directory, read_cached, store
from dropbeard.serving.manifest import Manifest, Profile, model_digest
from dropbeard.serving.tensorrt.libraries import DeviceName

KEY_CONTEXT: Final = "dropbeard 1 plan key"
MAC_CONTEXT: Final = b"dropbeard 1 plan\0"
MAC_BYTES: Final = 32
SECRET_BYTES: Final = 32
OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


@dataclass(frozen=True, slots=True)
class PlanKey:
    """What a plan was built from and for; another of any of these is another plan."""

    model: bytes
    device: DeviceName
    tensorrt: str
    profile: Profile

    def digest(self) -> bytes:
        """32 bytes that name the plan."""
        major, minor = self.device.capability
        sizes = f"{self.profile.batch_best} {self.profile.batch_max}"
        parts = (self.model.hex(), self.device.name, f"{major}.{minor}", self.tensorrt, sizes)
        return blake3("\0".join(parts).encode(), derive_key_context=KEY_CONTEXT).digest()


def plan_key(manifest: Manifest, device: DeviceName, tensorrt: str) -> PlanKey:
    """The key of a manifest's plan on a device."""
    return PlanKey(model_digest(manifest), device, tensorrt, manifest.profile)


def plan_path(key: PlanKey) -> Path:
    """Where a key's plan lies, or would."""
    return _folder() / f"{key.digest().hex()}.plan"


def store_plan(key: PlanKey, plan: bytes) -> Path:
    """Keep a plan that was just built here."""
    folder = _folder()
    path = plan_path(key)
    store(path, _mac(_secret(folder), key, plan) + plan)
    return path


def read_plan(key: PlanKey, name: str) -> memoryview:
    """The plan for a key. Raises ModelMissing, which says how to build it, when there is none of this machine's."""
    folder = _folder()
    path = plan_path(key)
    advice = f"run: dropbeard engine build {name} --backend tensorrt"
    data = read_cached(path)
    if data is None:
        raise ModelMissing(
            f"there is no TensorRT plan of {name} for {key.device.name} and TensorRT {key.tensorrt}; {advice}"
        )
    plan = memoryview(data)[MAC_BYTES:]
    if not secrets.compare_digest(data[:MAC_BYTES], _mac(_secret(folder), key, plan)):
        raise ModelMissing(f"{path} is not a plan that was built here; {advice}")
    return plan


def read_timing(device: DeviceName, tensorrt: str) -> bytes:
    """What earlier builds measured on such a device, or nothing."""
    folder = _folder()
    data = read_cached(_timing_path(folder, device, tensorrt))
    if data is None:
        return b""
    timing = data[MAC_BYTES:]
    good = secrets.compare_digest(data[:MAC_BYTES], _timing_mac(folder, device, tensorrt, timing))
    return timing if good else b""


def store_timing(device: DeviceName, tensorrt: str, timing: bytes) -> None:
    """Keep what a build measured."""
    folder = _folder()
    store(_timing_path(folder, device, tensorrt), _timing_mac(folder, device, tensorrt, timing) + timing)


def _timing_name(device: DeviceName, tensorrt: str) -> bytes:
    return f"timing\0{device.name}\0{device.capability}\0{tensorrt}".encode()


def _timing_path(folder: Path, device: DeviceName, tensorrt: str) -> Path:
    name = blake3(_timing_name(device, tensorrt), derive_key_context=KEY_CONTEXT).hexdigest()
    return folder / f"{name}.timing"


def _timing_mac(folder: Path, device: DeviceName, tensorrt: str, timing: bytes) -> bytes:
    mac = blake3(MAC_CONTEXT, key=_secret(folder))
    return mac.update(_timing_name(device, tensorrt)).update(timing).digest()


def _mac(secret: bytes, key: PlanKey, plan: bytes | memoryview) -> bytes:
    return blake3(MAC_CONTEXT, key=secret).update(key.digest()).update(plan).digest()


def _folder() -> Path:
    folder = cache_directory() / "plans"
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        found = folder.stat()
    except OSError as error:
        raise StorageFailed(f"cannot make {folder}: {error.strerror}; set DROPBEARD_CACHE to another folder") from error
    if found.st_uid != os.geteuid() or found.st_mode & OTHERS:
        raise StorageFailed(f"{folder} must belong to you alone: chown it to your user and chmod 700")
    return folder


def _secret(folder: Path) -> bytes:
    path = folder / "key"
    secret = read_cached(path)
    if secret is None:
        store(path, secrets.token_bytes(SECRET_BYTES))
        secret = read_cached(path)
    if secret is None or len(secret) != SECRET_BYTES:
        raise StorageFailed(f"{path} is damaged: remove it and build the plans again")
    return secret
