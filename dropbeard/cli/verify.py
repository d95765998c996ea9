"""``dropbeard verify``: check a certificate offline and say what it says, no more."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dropbeard.cli.lineages import GENESIS, SUCCESSIONS, read_lineage, unreadable
from dropbeard.cli.take_along import check_options, key_from, statement_text, take_along

if TYPE_CHECKING:
    from dropbeard.types.group import Group
    from dropbeard.types.task import Input
    from dropbeard.verification.aggregate import Decision
    from dropbeard.verification.certificate import Verified
    from dropbeard.verification.lineage import Lineage

MODEL_HEX = 12
"""Hex digits of a model's digest that are shown when no local manifest has it."""

EVIDENCE_MAGIC = b"DBEVID\0\x01"


@click.command("verify")
@click.argument("certificate", type=click.Path(path_type=Path))
@GENESIS
@SUCCESSIONS
@click.option("--input", "given", type=click.Path(path_type=Path), help="The input that was asked about.")
@click.option("--require", type=click.Choice(["honest-plurality", "robust"]), help="Exit 3 below this assurance.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.option("--dsse", is_flag=True, help="An in-toto statement of what was verified, in place of the text.")
@click.option("--sign", "key", type=click.Path(path_type=Path), help="Your own P-256 key: --dsse in a signed envelope.")
@click.option("--passphrase-env", metavar="VAR", help="That key's passphrase is in $VAR.")
@take_along("--html", "Write the page that verifies in a browser, and no more.")
@take_along("--portable", "Write the verifier that is one Python file, and no more.")
def verify_command(
    certificate: Path,
    genesis: Path,
    successions: Path | None,
    given: Path | None,
    require: str | None,
    as_json: bool,
    dsse: bool,
    key: Path | None,
    passphrase_env: str | None,
) -> int:
    """Verify CERTIFICATE with the group's genesis: exit 0 valid, 1 invalid, 2 unreadable, 3 below --require.

    After a change of owners or keys, what ended each epoch before is needed too (--successions).

    An evidence file is judged instead: exit 0 it convicts, and names whom; 1 it does not; 2 unreadable.
    """
    from dropbeard.cli.outcome_view import decision_of, value_figures
    from dropbeard.errors import CertificateInvalid
    from dropbeard.storage.files import read_genesis
    from dropbeard.types.certificates import decode_certificate

    check_options(dsse, as_json, key)
    with unreadable():
        group = read_genesis(genesis)
        lineage = read_lineage(group, successions)
        asked = None if given is None else _input(given)
    data = _read(certificate)
    if data[: len(EVIDENCE_MAGIC)] == EVIDENCE_MAGIC and not dsse:
        return _judge(certificate, lineage, as_json)
    parsed = decode_certificate(data)
    try:
        with unreadable():
            verified = lineage.verify(parsed, asked)
    except CertificateInvalid as wrong:
        if as_json:
            click.echo(json.dumps(_figures(None, None, group, wrong.step)))
        raise
    group = lineage.groups[parsed.epoch]
    decision = decision_of(verified, group)
    if as_json:
        click.echo(json.dumps(_figures(verified, decision, group, None) | value_figures(verified, group)))
    elif dsse:
        click.echo(statement_text(parsed, verified, group, given, key_from(key, passphrase_env)))
    else:
        _explain(verified, decision, group, asked is not None)
    _require(decision, require)
    return 0


def _require(decision: Decision, required: str | None) -> None:
    from dropbeard.errors import AssuranceTooLow
    from dropbeard.verification.aggregate import Assurance

    if required is not None and not decision.assurance.covers(Assurance(required)):
        raise AssuranceTooLow(
            f"valid, but its assurance is {decision.assurance.value} (margin {decision.margin}), required is {required}"
        )


def _judge(path: Path, lineage: Lineage, as_json: bool) -> int:
    """Whom a piece of evidence convicts, and of what, by the keys of its own epoch (rule 8.1)."""
    from dropbeard.audit.blaming import judge_of
    from dropbeard.errors import EvidenceInvalid, EvidenceUnreadable, MessageInvalid
    from dropbeard.evidence.kinds import decode_evidence, epoch_in

    try:
        data = path.read_bytes()
        epoch = epoch_in(data)
        group = lineage.group(epoch)
        if group is None:
            raise EvidenceUnreadable(f"{path} {lineage.unknown(epoch)}")
        evidence = decode_evidence(data, group)
    except MessageInvalid as wrong:
        raise EvidenceUnreadable(f"{path}: {wrong}") from wrong
    fault = judge_of(group, lineage.root(epoch)).fault(evidence)
    owner = group.owner(evidence.accused)
    name = "nobody of this group" if owner is None else owner.name
    offence = evidence.offence.name.lower().replace("_", " ")
    if as_json:
        figures = {"convicts": fault is None, "accused": evidence.accused, "owner": name, "offence": offence}
        click.echo(json.dumps(figures | {"reason": fault}))
    if fault is not None:
        raise EvidenceInvalid(f"it does not convict {name} of {offence}: {fault}")
    if not as_json:
        click.echo(f"CONVICTS  {name} (owner {evidence.accused}) of {offence}, group {group.name}")
    return 0


def _read(path: Path) -> bytes:
    from dropbeard.errors import CertificateUnreadable
    from dropbeard.storage.files import read_certificate

    try:
        return read_certificate(path)
    except OSError as wrong:
        raise CertificateUnreadable(f"cannot read the certificate {path}: {wrong.strerror}") from wrong


def _input(path: Path) -> Input:
    from dropbeard.client.inputs import input_from

    return input_from(path)


def _figures(
    verified: Verified | None, decision: Decision | None, group: Group, failed_step: int | None
) -> dict[str, Any]:
    label = None if decision is None or decision.label is None else group.task.labels[decision.label]
    return {
        "valid": verified is not None,
        "failed_step": failed_step,
        "label": label,
        "margin": None if decision is None else decision.margin,
        "assurance": None if decision is None else decision.assurance.value,
        "openings": None if verified is None else len(verified.answers),
        "height": None if verified is None else verified.height,
    }


def _explain(verified: Verified, decision: Decision, group: Group, with_input: bool) -> None:
    from dropbeard.cli.outcome_view import outcome_lines
    from dropbeard.types.entries import EntryKind

    seconds = verified.time // 1_000_000
    click.echo(f"VALID  group {group.name} ({group.id.hex()[:MODEL_HEX]}), n = {group.n}, f = {group.f}")
    click.echo(f"request {verified.request.hex()[:16]}, agreed at height {verified.height}, {_utc(seconds)}")
    click.echo("the input is the one that was asked about" if with_input else "the input was not compared (--input)")
    if verified.kind is EntryKind.EXPIRED:
        click.echo("the group agreed that this request EXPIRED: too few owners answered by its deadline")
        return
    if group.task.form is None:
        _explain_votes(verified, decision, group)
    else:
        click.echo("\n".join(outcome_lines(verified, group)))
    if len(verified.answers) < group.n:
        click.echo(f"  {group.n - len(verified.answers)} of {group.n} owners have no opening here")


def _explain_votes(verified: Verified, decision: Decision, group: Group) -> None:
    from dropbeard.types.task import PROBABILITY_ONE

    labels = group.task.labels
    said = "undecided" if decision.label is None else f"agreed: {labels[decision.label]}"
    click.echo(f"{said}   margin {decision.margin}   assurance {decision.assurance.value}")
    names = _model_names()
    for answer in verified.answers:
        class_id, probability = answer.classification.choices[0]
        model = names.get(answer.model, answer.model.hex()[:MODEL_HEX])
        share = probability / PROBABILITY_ONE
        click.echo(f"  {answer.name:16} {model:20} v{answer.version:<4} {labels[class_id]} ({share:.0%})")


def _utc(seconds: int) -> str:
    import datetime

    try:
        moment = datetime.datetime.fromtimestamp(seconds, datetime.UTC)
    except (OverflowError, ValueError, OSError):
        return f"{seconds} s after 1970"
    return moment.strftime("%Y-%m-%d %H:%M:%S UTC by the owners' clocks")


def _model_names() -> dict[bytes, str]:
    """Names of local manifests by model digest: a name proves nothing, a digest does."""
    from dropbeard.errors import ConfigInvalid
    from dropbeard.serving.manifest import manifests_by_digest

    try:
        return {digest: manifest.name for digest, manifest in manifests_by_digest().items()}
    except (ConfigInvalid, OSError):
        # A broken manifest here says nothing about the certificate: digests are shown instead.
        return {}
