"""Certified inference: model owners agree on what was answered, and anyone can check it offline."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dropbeard.client import AsyncClient as AsyncClient
    from dropbeard.client import Client as Client

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """``Client`` and ``AsyncClient`` without making every import of the package pay for sockets and cryptography."""
    if name in ("Client", "AsyncClient"):
        import dropbeard.client

        return getattr(dropbeard.client, name)
    raise AttributeError(f"module 'dropbeard' has no attribute {name!r}")
