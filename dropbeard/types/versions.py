"""The version of what travels between processes, as it stands in every message and in a node's status."""

from __future__ import annotations

WIRE_VERSION = 1
"""The major version: whoever speaks another is refused, with a line on both sides."""

WIRE_MINOR = 1
"""The minor version: a later one adds fields, which earlier builds do not read, and messages, which are sent to nobody
who said an earlier one. 0: builds that say none. 1: presence and minor version in Status, Hello and Welcome."""


def spoken(minor: int) -> str:
    """The whole version of somebody who is understood, for people."""
    return f"{WIRE_VERSION}.{minor}"
