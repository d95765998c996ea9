"""``dropbeard disclose``: give certificates to owners, who then know how often they agreed with the others."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from dropbeard.cli.lineages import GENESIS, SUCCESSIONS

if TYPE_CHECKING:
    from dropbeard.signing.curve import CurveSecret
    from dropbeard.types.group import Owner
    from dropbeard.types.messages import Disclosed

NOT_KEPT: Final = 1


@click.command("disclose")
@click.argument("certificates", nargs=-1, required=True, type=click.Path(path_type=Path))
@GENESIS
@SUCCESSIONS
@click.option("--to", "names", multiple=True, help="An owner to disclose to; all of them if not said.")
@click.option("--key", type=click.Path(path_type=Path), help="Client key file, for a group that is closed to others.")
@click.option("--timeout", default=5.0, show_default=True, help="Seconds to wait for each answer.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def disclose_command(
    certificates: tuple[Path, ...],
    genesis: Path,
    successions: Path | None,
    names: tuple[str, ...],
    key: Path | None,
    timeout: float,
    as_json: bool,
) -> int:
    """Give CERTIFICATES, with the answers that they hold, to the owners' nodes, which verify and keep them (rule 8.2).

    Exit code 0: every node that was asked has every certificate; 1: one has not, and why; 2: a file cannot be used.
    """
    from dropbeard.cli.lineages import read_lineage, unreadable
    from dropbeard.errors import ConfigInvalid
    from dropbeard.signing.curve import CurveSecret, load_curve_secret
    from dropbeard.storage.files import read_genesis

    with unreadable():
        lineage = read_lineage(read_genesis(genesis), successions)
        group = lineage.groups[-1]
        unknown = [name for name in names if name not in {owner.name for owner in group.owners}]
        if unknown:
            raise ConfigInvalid(f"group {group.name} has no owner {unknown[0]!r}; name one of its owners with --to")
        secret = CurveSecret.generate() if key is None else load_curve_secret(key)
    files = [(path, _checked(path, lineage)) for path in certificates]
    owners = [owner for owner in group.owners if not names or owner.name in names]
    rows = [(path, owner.name, _give(data, owner, secret, timeout)) for path, data in files for owner in owners]
    figures: list[dict[str, Any]] = [
        {"file": str(path), "owner": name, "kept": told.kept, "detail": told.detail} for path, name, told in rows
    ]
    if as_json:
        click.echo(json.dumps({"group": group.id.hex(), "disclosed": figures}))
    else:
        for row in figures:
            click.echo(f"{row['file']}: {row['owner']}: {'' if row['kept'] else 'NOT KEPT: '}{row['detail']}")
    return 0 if all(told.kept for _, _, told in rows) else NOT_KEPT


def _checked(path: Path, lineage: Any) -> bytes:
    """The file's bytes, once they are known to verify: a node would only refuse them."""
    from dropbeard.errors import CertificateUnreadable
    from dropbeard.storage.files import read_certificate
    from dropbeard.types.certificates import decode_certificate
    from dropbeard.types.limits import DISCLOSED_BYTES_MAX

    try:
        data = read_certificate(path, DISCLOSED_BYTES_MAX)
    except OSError as wrong:
        raise CertificateUnreadable(f"cannot read {path}: {wrong.strerror}") from wrong
    if len(data) > DISCLOSED_BYTES_MAX:
        raise CertificateUnreadable(f"{path} is larger than a message may be; give the owner the file itself")
    lineage.verify(decode_certificate(data))
    return data


def _give(data: bytes, owner: Owner, secret: CurveSecret, timeout_s: float) -> Disclosed:
    from dropbeard.codec.client import decode_disclosed, encode_to_node
    from dropbeard.errors import MessageInvalid, TransportFailed
    from dropbeard.transport.card_link import ask_node
    from dropbeard.types.messages import Disclose, Disclosed

    question = encode_to_node(Disclose(data))
    try:
        return ask_node(owner.endpoints.clients, owner.curve_key, secret, question, decode_disclosed, timeout_s)
    except (TransportFailed, MessageInvalid) as wrong:
        return Disclosed(False, str(wrong))
