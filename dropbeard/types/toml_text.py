"""Strict TOML for the files that people write: unknown keys and wrong types are one clear line (rule 9)."""

from __future__ import annotations

import difflib
import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar, get_args

import msgspec

from dropbeard.errors import ConfigInvalid
from dropbeard.types.toml_lines import line_of

T = TypeVar("T", bound=msgspec.Struct)

NUMBER_BITS_MAX = 1_024
"""Of a whole number in a file: more than any key takes, and short enough to be shown."""

_PLACE = re.compile(r"at `\$\.?(?P<path>[^`]*)`")
_INDEX = re.compile(r"\[[^\]]*\]")
_CHOICE = re.compile(r"Invalid enum value '(?P<value>[^']*)'")
_UNKNOWN = re.compile(r"unknown field `(?P<key>[^`]*)`(?: - at `\$(?P<where>[^`]*)`)?")


def read_toml(text: str, form: type[T], what: str, newest: tuple[str, int] | None = None) -> T:
    """Read ``text`` as ``form``; ConfigInvalid names ``what`` (the file), the key, and the nearest known one.

    ``newest`` is the table that holds the key ``format`` ("" for the file itself) and the one format that is known.
    """
    plain = read_plain(text, what)
    if newest is not None:
        _check_format(plain, newest[0], newest[1], what)
    return convert_plain(plain, text, form, what)


def read_plain(text: str, what: str) -> dict[str, Any]:
    """The tables of a TOML text; ConfigInvalid when it is none."""
    try:
        plain = tomllib.loads(text)
    except tomllib.TOMLDecodeError as wrong:
        raise ConfigInvalid(f"{what} is not TOML: {wrong}") from wrong
    except (RecursionError, ValueError) as wrong:
        # The parser's own limits: brackets nested without end, numbers of thousands of digits.
        raise ConfigInvalid(f"{what} is not TOML: a value is nested too deeply or too long") from wrong
    # Hexadecimal ones pass the parser, and no message could show them.
    if _longest(plain) > NUMBER_BITS_MAX:
        raise ConfigInvalid(f"{what}: a number is too long")
    return plain


def _longest(value: object) -> int:
    """Bits of the longest whole number anywhere in a value."""
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return value.bit_length() if isinstance(value, int) else max(map(_longest, inside), default=0)


def convert_plain(plain: Mapping[str, Any], text: str, form: type[T], what: str) -> T:
    """``plain``, which came from ``text``, as ``form``; ConfigInvalid names the line of what is wrong."""
    try:
        return msgspec.convert(plain, form, strict=True)
    except msgspec.ValidationError as wrong:
        line = line_of(text, _path_of(str(wrong)))
        place = what if line is None else f"{what}, line {line}"
        raise ConfigInvalid(f"{place}: {_explain(str(wrong), form)}") from wrong


def _path_of(text: str) -> list[str]:
    """The key that an error of msgspec is about."""
    place = _PLACE.search(text)
    path = [part for part in _INDEX.sub("", place["path"]).split(".") if part] if place is not None else []
    unknown = _UNKNOWN.search(text)
    return [*path, unknown["key"]] if unknown is not None else path


def _check_format(plain: Mapping[str, Any], holder: str, known: int, what: str) -> None:
    # Asked first: in a later format every other complaint would mislead.
    place = plain.get(holder) if holder else plain
    given = place.get("format") if isinstance(place, dict) else None
    if type(given) is int and given != known:
        raise ConfigInvalid(f"{what}: format {given} is unknown, this release reads {known}; use a newer release")


def _explain(text: str, form: type[msgspec.Struct]) -> str:
    found = _UNKNOWN.search(text)
    wrong_choice = _CHOICE.search(text)
    if wrong_choice is not None:
        return _explain_choice(wrong_choice["value"], _path_of(text), form) or text
    text = text.replace("Object contains ", "").replace("Object missing ", "missing ").replace("`$.", "`")
    if found is None:
        return text
    near = difflib.get_close_matches(found["key"], sorted(_known(form)), n=1)
    return text + (f"; did you mean `{near[0]}`?" if near else "")


def _explain_choice(value: str, path: Sequence[str], form: type[msgspec.Struct]) -> str | None:
    """What could stand in place of a value that is none of a few."""
    found: object = form
    for part in path:
        fields = msgspec.structs.fields(found) if isinstance(found, type) and issubclass(found, msgspec.Struct) else ()
        found = next((spec.type for spec in fields if spec.encode_name == part), None)
    choices = [choice for choice in get_args(found) if isinstance(choice, str)]
    if not choices:
        return None
    near = difflib.get_close_matches(value, choices, n=1)
    hint = f"; did you mean `{near[0]}`?" if near else ""
    return f"{value!r} cannot be `{'.'.join(path)}`: it is one of {', '.join(choices)}{hint}"


def _known(form: type[msgspec.Struct]) -> set[str]:
    """Every key that the form and the structs in it know."""
    keys: set[str] = set()
    for spec in msgspec.structs.fields(form):
        keys.add(spec.encode_name)
        for inner in (spec.type, *getattr(spec.type, "__args__", ())):
            if isinstance(inner, type) and issubclass(inner, msgspec.Struct):
                keys |= _known(inner)
    return keys


def quoted(text: str) -> str:
    """A TOML basic string."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def table(name: str, values: Mapping[str, Any]) -> str:
    """A TOML table of strings, numbers, booleans, lists of strings or of pairs of numbers; None is left out."""
    lines = [name] if name else []
    for key, value in values.items():
        if isinstance(value, str):
            lines.append(f"{key} = {quoted(value)}")
        elif isinstance(value, bool):
            lines.append(f"{key} = {str(value).lower()}")
        elif isinstance(value, int):
            lines.append(f"{key} = {value}")
        elif value is not None:
            rows = (quoted(item) if isinstance(item, str) else json.dumps(item) for item in value)
            lines.append(f"{key} = [\n" + "".join(f"  {row},\n" for row in rows) + "]")
    return "\n".join(lines) + "\n"
