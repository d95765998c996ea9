"""Manual pages, made from the commands themselves: one for each, in section 1."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from inspect import cleandoc
from pathlib import Path
from typing import Final

import click

from dropbeard import __version__
from dropbeard.cli.completion import SHELLS, script
from dropbeard.cli.main import PROGRAM, VERBS, dropbeard

SUMMARY_MAX: Final = 300


def pages() -> dict[str, str]:
    """The text of each page by its file's name."""
    return dict(_pages(click.Context(dropbeard, info_name=PROGRAM), "Certified inference by a group of model owners."))


def write_share(share: Path) -> list[Path]:
    """Write pages and completion scripts below a ``share`` directory, each where it is looked for."""
    files = {f"man/man1/{name}": text for name, text in pages().items()}
    files |= {place: script(shell) for shell, place in SHELLS.items()}
    for place, text in sorted(files.items()):
        (share / place).parent.mkdir(parents=True, exist_ok=True)
        (share / place).write_text(text, encoding="utf-8")
    return [share / place for place in sorted(files)]


def _pages(context: click.Context, summary: str) -> Iterator[tuple[str, str]]:
    below = _below(context)
    name = context.command_path.replace(" ", "-")
    yield (
        f"{name}.1",
        "\n".join(_page(context, name, summary, [(child.info_name or "", s) for child, s in below])) + "\n",
    )
    for child, its_summary in below:
        yield from _pages(child, its_summary)


def _below(context: click.Context) -> list[tuple[click.Context, str]]:
    """The commands of a group, each with one line."""
    group = context.command
    if not isinstance(group, click.Group):
        return []
    found = []
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if command is None or command.hidden:
            continue
        summary = VERBS[name][1] if context.parent is None else command.get_short_help_str(limit=SUMMARY_MAX)
        found.append((click.Context(command, info_name=name, parent=context), summary))
    return found


def _page(context: click.Context, name: str, summary: str, below: list[tuple[str, str]]) -> Iterator[str]:
    yield f'.TH "{_roff(name.upper())}" 1 "" "dropbeard {__version__}" "dropbeard"'
    yield ".SH NAME"
    yield f"{_roff(name)} \\- {_roff(summary.rstrip('.'))}"
    yield ".SH SYNOPSIS"
    yield f".B {_roff(context.command_path)}"
    yield _roff(" ".join(context.command.collect_usage_pieces(context)))
    yield ".SH DESCRIPTION"
    for number, paragraph in enumerate(cleandoc(context.command.help or summary).split("\n\n")):
        if number:
            yield ".PP"
        yield from map(_line, paragraph.splitlines())
    options = [given for given in context.command.get_params(context) if isinstance(given, click.Option)]
    records = [option.get_help_record(context) for option in options]
    yield from _terms("OPTIONS", [record for record in records if record is not None])
    yield from _terms("COMMANDS", [(f"{name}-{verb}(1)", said) for verb, said in below])
    if context.parent is not None:
        yield ".SH SEE ALSO"
        yield _roff(f"{context.parent.command_path.replace(' ', '-')}(1)")


def _terms(heading: str, rows: list[tuple[str, str]]) -> Iterator[str]:
    if rows:
        yield f".SH {heading}"
    for term, text in rows:
        yield ".TP"
        yield f".B {_roff(term)}"
        yield from map(_line, text.splitlines())


def _line(text: str) -> str:
    """A line of text: a dot or an apostrophe in front would be a command to the formatter."""
    made = _roff(text.strip())
    return f"\\&{made}" if made.startswith((".", "'")) else made


def _roff(text: str) -> str:
    return text.replace("\\", "\\e").replace("-", "\\-")


if __name__ == "__main__":
    write_share(Path(sys.argv[1]))
