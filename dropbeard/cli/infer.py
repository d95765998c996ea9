"""``dropbeard infer``: ask a group about pictures, show what was agreed, keep the certificates."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from dropbeard.cli.lineages import GENESIS, SUCCESSIONS

if TYPE_CHECKING:
    from dropbeard.client import Answer, Client
    from dropbeard.errors import DropbeardError
    from dropbeard.signing.curve import CurveSecret
    from dropbeard.types.task import Input

ANSWERED: Final = 0
FAILED: Final = 1
NOT_ASKED: Final = 2
BELOW_REQUIRED: Final = 3


@click.command("infer")
@click.argument("images", nargs=-1, required=True, type=click.Path(path_type=Path))
@GENESIS
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.option("--out", type=click.Path(path_type=Path), help="Save each certificate as NAME.dbcert in this directory.")
@click.option(
    "--key", type=click.Path(path_type=Path), help="The client's key file, made if there is none; else fresh."
)
@click.option("--timeout", default=10.0, show_default=True, help="Seconds until a request's deadline.")
@click.option("--patience", default=1.0, show_default=True, help="Seconds the group waits for the last owners.")
@SUCCESSIONS
@click.option("--require", type=click.Choice(["honest-plurality", "robust"]), help="Exit 3 below this assurance.")
def infer_command(
    images: tuple[Path, ...],
    genesis: Path,
    as_json: bool,
    out: Path | None,
    key: Path | None,
    timeout: float,
    patience: float,
    successions: Path | None,
    require: str | None,
) -> int:
    """Ask the group of GENESIS about each IMAGE; every answer is verified before it is shown.

    Exit code 0: all answered; 1: some were not, and why; 2: the group could not be asked at all; 3: all answered, some
    below --require. With the same --key an answer can be asked for again (docs/client-guide.md); its file is a secret.
    """
    from dropbeard.cli.infer_view import figures, lines
    from dropbeard.cli.main import one_line, say
    from dropbeard.client import Client
    from dropbeard.errors import ConfigInvalid, GroupUnreachable, KeyInvalid, LedgerInvalid
    from dropbeard.storage.files import read_genesis, read_successions
    from dropbeard.verification.aggregate import Assurance

    try:
        group, secret = read_genesis(genesis), _key(key)
        _make(out)
        wanted = Assurance(require or Assurance.NONE.value)
        past = () if successions is None else read_successions(successions, group.id)
        client = Client(
            group, secret, timeout=timeout, patience=min(patience, timeout), require=wanted, successions=past
        )
    except (ConfigInvalid, KeyInvalid, LedgerInvalid, GroupUnreachable) as wrong:
        wrong.exit_code = NOT_ASKED
        raise
    with client:
        rows = list(_ask(client, images, out))
    if as_json:
        click.echo(json.dumps({"group": group.name, "answers": [figures(*row, group) for row in rows]}))
    for path, answer, error, saved in rows if not as_json else ():
        for line in lines(path, answer, saved, group):
            click.echo(one_line(line))
        if error is not None:
            say(error)
    return _code(error for _, _, error, _ in rows)


Row = tuple[Path, "Answer | None", "DropbeardError | None", "Path | None"]
"""Picture, answer, what is wrong, certificate. An answer below --require has both."""


def _key(path: Path | None) -> CurveSecret | None:
    """The key in a file, or a new one that is written there."""
    from dropbeard.signing.curve import CurveSecret, load_curve_secret, write_curve_secret

    if path is None:
        return None
    if not path.exists():
        write_curve_secret(path, CurveSecret.generate())
    return load_curve_secret(path)


def _make(out: Path | None) -> None:
    from dropbeard.errors import ConfigInvalid

    try:
        if out is not None:
            out.mkdir(parents=True, exist_ok=True)
    except OSError as wrong:
        raise ConfigInvalid(f"cannot make the directory {out}: {wrong.strerror}; name another with --out") from wrong


def _ask(client: Client, images: Sequence[Path], out: Path | None) -> Iterator[Row]:
    """A row for each picture, in order; one that cannot be read does not keep the others from being asked."""
    from dropbeard.errors import InputInvalid

    asked: list[int] = []
    found: dict[int, Answer | DropbeardError] = {}

    def readable() -> Iterator[Input]:
        for place, path in enumerate(images):
            try:
                given = _input(client, path)
            except InputInvalid as wrong:
                found[place] = wrong
                continue
            asked.append(place)
            yield given

    for number, outcome in enumerate(client.map_outcomes(readable())):
        found[asked[number]] = outcome
    for place, path in enumerate(images):
        yield _row(path, found[place], out)


def _input(client: Client, path: Path) -> Input:
    """The file's own bytes, refused here if every node would refuse them."""
    from dropbeard.client.inputs import input_from
    from dropbeard.errors import InputInvalid

    given = input_from(path)
    try:
        client.group.task.check_input(given)
    except InputInvalid as wrong:
        raise InputInvalid(f"{path}: {wrong}") from wrong
    return given


def _row(path: Path, outcome: Answer | DropbeardError, out: Path | None) -> Row:
    from dropbeard.cli.infer_view import save
    from dropbeard.errors import AnswerBelowRequired, DropbeardError

    error = outcome if isinstance(outcome, DropbeardError) else None
    answer = outcome.answer if isinstance(outcome, AnswerBelowRequired) else outcome
    if isinstance(answer, DropbeardError):
        return path, None, error, None
    return path, answer, error, None if out is None else save(answer, path, out)


def _code(errors: Iterable[DropbeardError | None]) -> int:
    from dropbeard.errors import AnswerBelowRequired

    wrong = [error for error in errors if error is not None]
    if not wrong:
        return ANSWERED
    return BELOW_REQUIRED if all(isinstance(error, AnswerBelowRequired) for error in wrong) else FAILED
