"""A node's configuration with the source of each value: its file, the environment, or the default.

``DROPBEARD_STATE`` replaces ``state``, ``DROPBEARD_ENGINE_THREADS`` replaces ``threads`` of ``[engine]``; names, keys
and lists stand in the file alone.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, get_args

import msgspec

from dropbeard.errors import ConfigInvalid
from dropbeard.types.node_config import EngineTable, KeysTable, NodeConfig, config_from_plain
from dropbeard.types.toml_lines import line_of
from dropbeard.types.toml_text import read_plain

PREFIX: Final = "DROPBEARD_"
OTHERS: Final = ("DROPBEARD_CACHE", "DROPBEARD_DIE_WITH_PARENT")
"""Variables that are no keys of a configuration."""

_FILE_ALONE: Final = ("name", "keys", "engine", "client_networks", "service_time_us")


@dataclass(frozen=True, slots=True)
class Sourced:
    """``sources`` by dotted key; ``unknown``: variables that look like ours, with what to say of each."""

    config: NodeConfig
    sources: Mapping[str, str]
    unknown: tuple[str, ...]


def variables() -> dict[str, tuple[str, ...]]:
    """Every variable that is read, and the key that it replaces."""
    top = [(spec.encode_name,) for spec in msgspec.structs.fields(NodeConfig)]
    engine = [("engine", spec.encode_name) for spec in msgspec.structs.fields(EngineTable)]
    free = [path for path in (*top, *engine) if path[-1] not in _FILE_ALONE]
    return {PREFIX + "_".join(path).upper(): path for path in free}


def sourced_config(text: str, what: str, environment: Mapping[str, str]) -> Sourced:
    """Read a configuration with what the environment replaces; ConfigInvalid names file and line, or variable."""
    plain = read_plain(text, what)
    known = variables()
    given = {path: name for name, path in known.items() if environment.get(name)}
    for path, name in given.items():
        _replace(plain, path, name, environment[name])
    config = config_from_plain(plain, text, what)
    sources = {".".join(path): _source(path, given, text) for path in _all_keys()}
    return Sourced(config, sources, _unknown(environment, known))


def _replace(plain: dict[str, Any], path: tuple[str, ...], name: str, value: str) -> None:
    table = plain
    for part in path[:-1]:
        table = table.setdefault(part, {})
        if not isinstance(table, dict):  # the file's own fault, which its reader names
            return
    form: type[msgspec.Struct] = EngineTable if len(path) > 1 else NodeConfig
    spec = _field(form, path[-1])
    try:
        table[path[-1]] = msgspec.convert(value, spec.type, strict=False)
    except msgspec.ValidationError as wrong:
        choices = get_args(spec.type)
        hint = f"; one of {', '.join(map(str, choices))}" if choices and "enum" in str(wrong) else ""
        raise ConfigInvalid(f"the environment variable {name}: {wrong}{hint}") from wrong


def _field(form: type[msgspec.Struct], name: str) -> msgspec.structs.FieldInfo:
    return next(spec for spec in msgspec.structs.fields(form) if spec.encode_name == name)


def _all_keys() -> list[tuple[str, ...]]:
    tables = ("keys", "engine")
    top = [(spec.encode_name,) for spec in msgspec.structs.fields(NodeConfig) if spec.encode_name not in tables]
    keys = [("keys", spec.encode_name) for spec in msgspec.structs.fields(KeysTable)]
    engine = [("engine", spec.encode_name) for spec in msgspec.structs.fields(EngineTable)]
    return [*top, *keys, *engine]


def _source(path: tuple[str, ...], given: Mapping[tuple[str, ...], str], text: str) -> str:
    if path in given:
        return f"environment {given[path]}"
    line = line_of(text, path)
    in_file = line is not None and line != (line_of(text, path[:-1]) if len(path) > 1 else None)
    return f"line {line}" if in_file else "default"


def _unknown(environment: Mapping[str, str], known: Mapping[str, object]) -> tuple[str, ...]:
    names = [*known, *OTHERS]
    strange = sorted(name for name in environment if name.startswith(PREFIX) and name not in names)
    rows = []
    for name in strange:
        near = difflib.get_close_matches(name, names, n=1)
        rows.append(f"{name} means nothing" + (f"; did you mean {near[0]}?" if near else ""))
    return tuple(rows)
