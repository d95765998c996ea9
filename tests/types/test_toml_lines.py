"""The line of a key in a TOML text."""

from __future__ import annotations

import pytest

from dropbeard.types.toml_lines import line_of

TEXT = '''# comment with key = 1
name = "a"
long = """
inside = 2
[table]
"""
[engine]  # a comment
threads = 1
"max batch" = 8
inline = { url = "x" }
[keys.more]
node = "n"
a.b = 3
[[row]]
x = 1
'''


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("name",), 2),
        (("inside",), None),
        (("table",), None),
        (("engine",), 7),
        (("engine", "threads"), 8),
        (("engine", "max batch"), 9),
        (("engine", "inline", "url"), 10),
        (("engine", "missing"), 7),
        (("keys", "more", "node"), 12),
        (("keys", "more", "a", "b"), 13),
        (("row", "x"), 15),
        (("threads",), None),
        ((), None),
    ],
)
def test_a_key_is_found_at_its_line_or_at_that_of_its_table(path: tuple[str, ...], line: int | None) -> None:
    assert line_of(TEXT, path) == line
