"""What ``dropbeard verify`` writes for others: verifiers to take along, and statements for tools that know in-toto."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from dropbeard.cli.lineages import unreadable

if TYPE_CHECKING:
    from dropbeard.signing.ecdsa_p256 import PrivateKey
    from dropbeard.types.certificates import Certificate
    from dropbeard.types.group import Group
    from dropbeard.verification.certificate import Verified

Command = TypeVar("Command", bound=Callable[..., Any])


def take_along(name: str, text: str) -> Callable[[Command], Command]:
    """A flag that writes a verifier: --html or --portable."""
    return click.option(name, is_flag=True, is_eager=True, expose_value=False, callback=_write_out, help=text)


def _write_out(context: click.Context, option: click.Parameter, wanted: bool) -> None:
    """On standard output; nothing else on the command line counts then."""
    if not wanted:
        return
    from dropbeard.verification.browser.page import portable_verifier, verifier_page

    click.echo(verifier_page() if option.name == "html" else portable_verifier(), nl=False)
    context.exit()


def check_options(dsse: bool, as_json: bool, key: Path | None) -> None:
    """Refuse what goes with another form of output only."""
    if (as_json and dsse) or (key is not None and not dsse):
        raise click.UsageError("--dsse is written in place of --json, and --sign signs it")


def key_from(path: Path | None, passphrase_env: str | None) -> PrivateKey | None:
    """The auditor's own key, if one is named."""
    from dropbeard.signing.keys import load_private_key

    if path is None:
        return None
    with unreadable():
        return load_private_key(path, None if passphrase_env is None else os.environ.get(passphrase_env))


def statement_text(
    certificate: Certificate, verified: Verified, group: Group, given: Path | None, key: PrivateKey | None
) -> str:
    """The statement, or the envelope that holds it if there is a key."""
    from dropbeard import __version__
    from dropbeard.audit.statement import envelope, payload, statement

    stated = statement(certificate, verified, group, __version__, None if given is None else given.read_bytes())
    return payload(stated).decode() if key is None else json.dumps(envelope(stated, key))
