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
    return _path(key.digest(), "plan")


def store_plan(key: PlanKey, plan: bytes) -> Path:
    """Keep a plan that was just built here."""
    path = plan_path(key)
    store(path, _mac(key.digest(), plan) + plan)
    return path


def read_plan(key: PlanKey, name: str) -> memoryview:
    """The plan for a key. Raises ModelMissing, which says how to build it, when there is none of this machine's."""
    path = plan_path(key)
    advice = f"run: dropbeard engine build {name} --backend tensorrt"
    data = read_cached(path)
    if data is None:
        raise ModelMissing(
            f"there is no TensorRT plan of {name} for {key.device.name} and TensorRT {key.tensorrt}; {advice}"
        )
    plan = _after_mac(key.digest(), data)
    if plan is None:
        raise ModelMissing(f"{path} is not a plan that was built here; {advice}")
    return plan


def read_timing(device: DeviceName, tensorrt: str) -> bytes:
    """What earlier builds measured on such a device, or nothing."""
    name = _timing_digest(device, tensorrt)
    data = read_cached(_path(name, "timing"))
    timing = None if data is None else _after_mac(name, data)
    return b"" if timing is None else bytes(timing)


def store_timing(device: DeviceName, tensorrt: str, timing: bytes) -> None:
    """Keep what a build measured."""
    name = _timing_digest(device, tensorrt)
    store(_path(name, "timing"), _mac(name, timing) + timing)


def _timing_digest(device: DeviceName, tensorrt: str) -> bytes:
    text = f"timing\0{device.name}\0{device.capability}\0{tensorrt}"
    return blake3(text.encode(), derive_key_context=KEY_CONTEXT).digest()


def _path(name: bytes, ending: str) -> Path:
    return _folder() / f"{name.hex()}.{ending}"


def _mac(name: bytes, data: bytes | memoryview) -> bytes:
    """Of what lies under a name of 32 bytes."""
    return blake3(MAC_CONTEXT, key=_secret()).update(name).update(data).digest()


def _after_mac(name: bytes, kept: bytes) -> memoryview | None:
    """What lies after a MAC of this cache's; None when it is another's."""
    data = memoryview(kept)[MAC_BYTES:]
    return data if secrets.compare_digest(kept[:MAC_BYTES], _mac(name, data)) else None


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


def _secret() -> bytes:
    path = _folder() / "key"
    secret = read_cached(path)
    if secret is None:
        store(path, secrets.token_bytes(SECRET_BYTES))
        secret = read_cached(path)
    if secret is None or len(secret) != SECRET_BYTES:
        raise StorageFailed(f"{path} is damaged: remove it and build the plans again")
    return secret
