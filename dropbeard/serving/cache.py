"""The cache on this machine: files that were made or fetched once and are checked by digest at every use."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

from blake3 import blake3

from dropbeard.errors import StorageFailed


def cache_directory() -> Path:
    """``DROPBEARD_CACHE``, else ``dropbeard`` under ``XDG_CACHE_HOME`` or ~/.cache."""
    chosen = os.environ.get("DROPBEARD_CACHE")
    if chosen:
        return Path(chosen)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "dropbeard"


def has_digest(data: bytes, hex_digest: str) -> bool:
    """Whether the plain BLAKE3 of ``data`` is the pinned one."""
    return blake3(data).hexdigest() == hex_digest


def read_cached(path: Path) -> bytes | None:
    """A file's bytes, not checked yet; None when it is not there."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StorageFailed(f"cannot read {path}: {error.strerror}; remove it") from error


def store(path: Path, data: bytes) -> None:
    """Write a file whole or not at all: two processes may do it at once."""
    temporary: str | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with open(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
        temporary = None
    except OSError as error:
        advice = "free some space or set DROPBEARD_CACHE to a folder that can be written"
        raise StorageFailed(f"cannot write {path}: {error.strerror}; {advice}") from error
    finally:
        if temporary is not None:
            with contextlib.suppress(OSError):
                Path(temporary).unlink()
