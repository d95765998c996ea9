"""Manual pages and completion scripts, made from the commands."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import click
import pytest

from dropbeard.cli.completion import SHELLS, script
from dropbeard.cli.main import VERBS, dropbeard, run
from dropbeard.cli.manual import pages, write_share

ROOT = Path(__file__).resolve().parents[2]
PAGES = pages()
TIMEOUT_S = 30


def test_every_command_has_a_page() -> None:
    assert {f"dropbeard-{verb}.1" for verb in VERBS} | {"dropbeard.1"} <= set(PAGES)
    ledger = dropbeard.get_command(click.Context(dropbeard), "ledger")
    assert isinstance(ledger, click.Group)
    assert {f"dropbeard-ledger-{name}.1" for name in ledger.commands} <= set(PAGES)


def command_of(words: str, command: click.Command = dropbeard) -> click.Command:
    """The command that a page's name spells; names of commands hold dashes, too."""
    if not words:
        return command
    assert isinstance(command, click.Group)
    context = click.Context(command)
    verb = next(verb for verb in command.list_commands(context) if f"{words}-".startswith(f"{verb}-"))
    found = command.get_command(context, verb)
    assert found is not None
    return command_of(words[len(verb) + 1 :], found)


@pytest.mark.parametrize("name", sorted(PAGES))
def test_a_page_has_every_option(name: str) -> None:
    command = command_of(name.removesuffix(".1").removeprefix("dropbeard").removeprefix("-"))
    page = PAGES[name].replace("\\-", "-")
    options = [option for option in command.params if isinstance(option, click.Option)]
    assert [option.name for option in options if option.opts[0] not in page] == []
    for heading in ("NAME", "SYNOPSIS", "DESCRIPTION", *(["OPTIONS"] if options else [])):
        assert f".SH {heading}\n" in page


@pytest.mark.skipif(shutil.which("groff") is None, reason="no groff is installed here to format pages with")
def test_pages_are_formatted_without_a_warning() -> None:
    text = "".join(PAGES.values()).encode()
    done = subprocess.run(
        ["groff", "-man", "-ww", "-Tutf8"], input=text, capture_output=True, timeout=TIMEOUT_S, check=True
    )
    assert done.stderr == b""


@pytest.mark.parametrize("shell", sorted(SHELLS))
def test_a_completion_script_is_one_of_its_shell(shell: str) -> None:
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"no {shell} is installed here to read the script with")
    subprocess.run([program, "-n"], input=script(shell).encode(), timeout=TIMEOUT_S, check=True)


def test_the_script_asks_the_program_for_verbs_and_options() -> None:
    for words, found in (("dropbeard led", "ledger"), ("dropbeard status --js", "--json")):
        asked = {"_DROPBEARD_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
        command = [sys.executable, "-m", "dropbeard"]
        done = subprocess.run(
            command, env={**os.environ, **asked}, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
        )
        assert f"plain,{found}" in done.stdout.splitlines()


def test_everything_is_written_where_it_is_looked_for(tmp_path: Path) -> None:
    written = {str(path.relative_to(tmp_path)) for path in write_share(tmp_path)}
    assert set(SHELLS.values()) | {f"man/man1/{name}" for name in PAGES} == written


def test_making_them_needs_no_more_than_a_build_has(tmp_path: Path) -> None:
    listing = (
        "import runpy, sys; sys.argv = ['manual', sys.argv[1]];"
        "runpy.run_module('dropbeard.cli.manual', run_name='__main__');"
        "print(*{name.partition('.')[0] for name in sys.modules} - sys.stdlib_module_names)"
    )
    command = [sys.executable, "-c", listing, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=True)
    used = {name for name in done.stdout.split() if not name.startswith("_") and "editable" not in name}
    required = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]
    # typing_extensions is only taken where it happens to be.
    assert used <= {requirement.partition(">=")[0] for requirement in required} | {"dropbeard", "typing_extensions"}


def test_the_command_prints_the_script(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["completion", "zsh"]) == 0
    assert capsys.readouterr().out.strip() == script("zsh").strip()
