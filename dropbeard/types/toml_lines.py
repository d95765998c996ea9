"""Where a key stands in a TOML text: the standard library's reader keeps no places."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

_TABLE: Final = re.compile(r"\s*\[{1,2}\s*(?P<name>[^\[\]]+?)\s*\]{1,2}\s*(#.*)?")
_KEY: Final = re.compile(r"\s*(?P<key>[A-Za-z0-9_.\-\"' ]+?)\s*=")
_QUOTES: Final = ('"""', "'''")


def line_of(text: str, path: Sequence[str]) -> int | None:
    """The line, from 1, at which the key ``path`` is set, or its table begins; None when it is not found.

    Keys inside inline tables are found at their table's key. Text inside multi-line strings is passed over.
    """
    for known in range(len(path), 0, -1):
        wanted = tuple(path[:known])
        for number, place in _places(text):
            if place == wanted:
                return number
    return None


def _places(text: str) -> list[tuple[int, tuple[str, ...]]]:
    found: list[tuple[int, tuple[str, ...]]] = []
    table: tuple[str, ...] = ()
    inside: str | None = None
    for number, line in enumerate(text.splitlines(), start=1):
        if inside is not None:
            inside = None if inside in line else inside
            continue
        head = _TABLE.fullmatch(line)
        key = _KEY.match(line)
        if head is not None:
            table = _parts(head["name"])
            found.append((number, table))
        elif key is not None:
            found.append((number, table + _parts(key["key"])))
        inside = next((quotes for quotes in _QUOTES if line.count(quotes) % 2), None)
    return found


def _parts(name: str) -> tuple[str, ...]:
    return tuple(part.strip().strip("\"'") for part in name.split("."))
