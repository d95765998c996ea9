"""``dropbeard group add``, ``remove``, ``replace``, ``rotate`` and what goes with them: who serves next (rule 8.4)."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from dropbeard.cli.lineages import GENESIS, SUCCESSIONS

if TYPE_CHECKING:
    from dropbeard.daemon.changes import Proposal
    from dropbeard.daemon.files import NodeFiles
    from dropbeard.types.group import Group, Owner
    from dropbeard.types.vote_file import ChangeVote

Command = TypeVar("Command", bound=Callable[..., Any])

CARD = click.argument("card", type=click.Path(path_type=Path))


def _voting(command: Command) -> Command:
    """The options of every command that makes a vote."""
    for option in (
        click.option("-o", "output", type=click.Path(path_type=Path), required=True, help="Vote file to write."),
        click.option("--answers", type=int, help="Owners that must answer; n-f if it is that now, else as it is."),
        click.option("--f", "faults", type=int, help="Byzantine owners tolerated; as now by default."),
        click.option("--passphrase-env", metavar="VAR", help="The owner key's passphrase is in $VAR."),
        click.option("--owner-key", "key", type=click.Path(path_type=Path), required=True, help="Kept offline."),
        SUCCESSIONS,
        GENESIS,
    ):
        command = option(command)
    return command


@click.command("add")
@CARD
@_voting
def add_command(card: Path, **given: Any) -> None:
    """Vote to take the owner of CARD into the group. Needs no network and no node; every owner writes the same change,
    each with its own key.
    """
    from dropbeard.storage.files import read_card
    from dropbeard.types.proposals import added

    _vote(lambda group: added(group, read_card(card), str(card)), **given)


@click.command("remove")
@click.argument("name")
@_voting
def remove_command(name: str, **given: Any) -> None:
    """Vote to remove the owner NAME from the group."""
    from dropbeard.types.proposals import removed

    _vote(lambda group: removed(group, name), **given)


@click.command("replace")
@click.argument("name")
@CARD
@_voting
def replace_command(name: str, card: Path, **given: Any) -> None:
    """Vote to have the owner of CARD take the place of the owner NAME, in one step."""
    from dropbeard.storage.files import read_card
    from dropbeard.types.proposals import replaced

    _vote(lambda group: replaced(group, name, read_card(card), str(card)), **given)


@click.command("rotate")
@click.argument("name")
@CARD
@_voting
def rotate_command(name: str, card: Path, **given: Any) -> None:
    """Vote to give the owner NAME the keys and endpoints of its new CARD (dropbeard group newkeys makes one)."""
    from dropbeard.storage.files import read_card
    from dropbeard.types.proposals import rotated

    _vote(lambda group: rotated(group, name, read_card(card), str(card)), **given)


def _vote(
    change: Callable[[Group], tuple[Owner, ...]],
    genesis: Path,
    successions: Path | None,
    key: Path,
    passphrase_env: str | None,
    faults: int | None,
    answers: int | None,
    output: Path,
) -> None:
    from dropbeard.cli.lineages import read_lineage
    from dropbeard.errors import ConfigInvalid, KeyInvalid
    from dropbeard.signing.keys import load_private_key
    from dropbeard.storage.files import read_genesis
    from dropbeard.types.ids import Signature
    from dropbeard.types.membership import change_statement, encode_configuration
    from dropbeard.types.proposals import differences, proposed
    from dropbeard.types.vote_file import CHANGE_TEXT_BYTES_MAX, ChangeVote, vote_to_toml

    group = read_lineage(read_genesis(genesis), successions).groups[-1]
    try:
        after = proposed(group, change(group), faults, answers)
    except ConfigInvalid as wrong:
        hint = "" if successions else "; if the group has changed since its genesis, name --successions"
        raise ConfigInvalid(f"{wrong}{hint}") from wrong
    private = load_private_key(key, None if passphrase_env is None else os.environ.get(passphrase_env))
    public = private.public.to_bytes()
    owner = next((owner for owner in group.owners if owner.owner_key == public), None)
    if owner is None:
        raise KeyInvalid(f"{key} is no owner key of epoch {group.epoch} of the group {group.name}")
    configuration = encode_configuration(after)
    statement = change_statement(group, configuration)
    vote = ChangeVote(group.id, group.epoch, owner.id, configuration, Signature(private.sign(statement.encode())))
    rows = differences(group, after)
    try:
        with output.open("x") as file:
            file.write(vote_to_toml(vote, "; ".join(rows)[:CHANGE_TEXT_BYTES_MAX]))
    except FileExistsError:
        raise ConfigInvalid(f"{output} exists; name another file") from None
    except OSError as wrong:
        raise ConfigInvalid(f"cannot write {output}: {wrong.strerror}") from wrong
    click.echo(f"{output}: {owner.name} votes that epoch {after.epoch}")
    for row in rows:
        click.echo(f"  {row}")
    click.echo(f"  n = {after.n}, f = {after.f}, answers = {after.answers}: {', '.join(o.name for o in after.owners)}")
    click.echo(f"{group.quorum} of {group.n} owners must vote the same; then all votes go to one and the same node:")
    click.echo(f"  dropbeard group submit CONFIG {output} ...")


@click.command("newkeys")
@CARD
@click.option("--passphrase-env", metavar="VAR", help="Encrypt the node key with the passphrase in $VAR.")
def newkeys_command(card: Path, passphrase_env: str | None) -> None:
    """Make a new node key and transport key beside an owner's CARD, and the card to rotate to. The node takes them into
    use in the epoch that names them, and not before.
    """
    from dropbeard.daemon.new_keys import make_new_keys
    from dropbeard.errors import ConfigInvalid

    passphrase = None if passphrase_env is None else os.environ.get(passphrase_env)
    if passphrase_env is not None and not passphrase:
        raise ConfigInvalid(f"--passphrase-env names ${passphrase_env}, which is not set or empty")
    made = make_new_keys(card, passphrase)
    click.echo(f"made {made.card}: every owner votes with it, dropbeard group rotate NAME {made.card.name} ...")
    click.echo("before the change is submitted, write under [keys] of the node's configuration and restart the node:")
    click.echo(f'  next_node = "{made.node.name}"')
    click.echo(f'  next_curve = "{made.curve.name}"')


@click.command("submit")
@click.argument("config", type=click.Path(path_type=Path))
@click.argument("votes", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--timeout", default=30.0, show_default=True, help="Seconds to wait for the node's word on each.")
def submit_command(config: Path, votes: tuple[Path, ...], timeout: float) -> None:
    """Hand owners' VOTES to the running node of CONFIG on this machine: exit 0 when it keeps all, 1 if it refuses one.

    Once a quorum wants the same, the node's lane carries the change. Votes are kept until the epoch is over, so they
    may come one by one; all of them have to reach one and the same node.
    """
    from dropbeard.daemon.changes import vote_tray
    from dropbeard.daemon.files import read_node_files
    from dropbeard.errors import ChangeRefused
    from dropbeard.storage.files import read_text
    from dropbeard.types.vote_file import VOTE_BYTES_MAX, vote_from_toml

    texts = [(path, read_text(path, VOTE_BYTES_MAX, "the vote")) for path in votes]
    for path, text in texts:
        vote_from_toml(text, str(path))
    state = read_node_files(config).state
    if not state.is_dir():
        raise ChangeRefused(f"{state} is not there: the node of {config} never ran")
    tray = vote_tray(state)
    for path, text in texts:
        tray.hand_over(text)
        click.echo(f"{path}: {tray.wait_for_word(timeout)}")


@click.command("show")
@click.argument("votes", nargs=-1, type=click.Path(path_type=Path))
@click.option("--node", "config", type=click.Path(path_type=Path), help="A node's configuration: its epoch, its votes.")
@click.option("--group", "genesis", type=click.Path(path_type=Path), help="The genesis file, where there is no node.")
@SUCCESSIONS
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def show_command(
    votes: tuple[Path, ...], config: Path | None, genesis: Path | None, successions: Path | None, as_json: bool
) -> None:
    """The owners of the present epoch, what they are asked to change, who voted for it and how many votes lack.

    VOTES are files; with --node, those that the node keeps are shown, too. Reads files alone, and asks no node.
    """
    from dropbeard.daemon.changes import proposals_of, read_votes
    from dropbeard.signing.signer import NodeKeyChecker

    files, group = _group_of(config, genesis, successions)
    checker = NodeKeyChecker(group)
    rows = [*_counting(votes, group)]
    if files is not None:
        rows += read_votes(files.state, group, checker)
    proposals = proposals_of(rows)
    if as_json:
        click.echo(json.dumps(_as_json(group, proposals)))
        return
    click.echo(f"group {group.name} ({group.id.hex()[:12]}), epoch {group.epoch}")
    click.echo(f"n = {group.n}, f = {group.f}, answers = {group.answers}, {group.quorum} votes change it")
    for owner in group.owners:
        click.echo(f"  {owner.id:3} {owner.name:20} {owner.endpoints.votes}")
    for proposal in proposals:
        click.echo(f"proposed: {proposal.text(group)}")
        click.echo(f"  {proposal.standing(group)}")
    if not proposals:
        click.echo("no change is proposed here")


def _group_of(config: Path | None, genesis: Path | None, successions: Path | None) -> tuple[NodeFiles | None, Group]:
    from dropbeard.cli.lineages import read_lineage
    from dropbeard.daemon.epoch_files import read_epochs
    from dropbeard.daemon.files import read_node_files
    from dropbeard.errors import ConfigInvalid
    from dropbeard.storage.files import read_genesis

    if (config is None) == (genesis is None):
        raise ConfigInvalid("say --node CONFIG where a node is, or --group GENESIS")
    if genesis is not None:
        return None, read_lineage(read_genesis(genesis), successions).groups[-1]
    assert config is not None
    files = read_node_files(config)
    return files, read_epochs(read_genesis(files.genesis), files.state)[0].groups[-1]


def _counting(paths: tuple[Path, ...], group: Group) -> list[ChangeVote]:
    """Votes in files; ChangeRefused when one does not count in this epoch."""
    from dropbeard.errors import ChangeRefused
    from dropbeard.signing.signer import NodeKeyChecker
    from dropbeard.storage.files import read_text
    from dropbeard.types.proposals import vote_fault
    from dropbeard.types.vote_file import VOTE_BYTES_MAX, vote_from_toml

    found = []
    for path in paths:
        vote = vote_from_toml(read_text(path, VOTE_BYTES_MAX, "the vote"), str(path))
        fault = vote_fault(group, vote, NodeKeyChecker(group))
        if fault is not None:
            raise ChangeRefused(f"{path}: {fault}")
        found.append(vote)
    return found


def _as_json(group: Group, proposals: list[Proposal]) -> dict[str, Any]:
    from dropbeard.types.membership import following_group
    from dropbeard.types.proposals import differences

    rows = [
        {
            "changes": differences(group, following_group(group, proposal.configuration)),
            "voted": [group.member(vote.owner).name for vote in proposal.votes],
            "missing": max(0, group.quorum - len(proposal.votes)),
        }
        for proposal in proposals
    ]
    owners = [{"id": owner.id, "name": owner.name, "votes": owner.endpoints.votes} for owner in group.owners]
    sizes = {"n": group.n, "f": group.f, "answers": group.answers, "quorum": group.quorum}
    return {
        "group": group.name,
        "id": group.id.hex(),
        "epoch": group.epoch,
        **sizes,
        "owners": owners,
        "proposed": rows,
    }


COMMANDS = (
    add_command,
    remove_command,
    replace_command,
    rotate_command,
    newkeys_command,
    submit_command,
    show_command,
)
