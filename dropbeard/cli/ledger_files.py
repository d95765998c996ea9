"""``dropbeard ledger export``, ``backup``, ``restore``, ``prune``: what is kept of a ledger, and where."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

if TYPE_CHECKING:
    from dropbeard.daemon.files import NodeFiles
    from dropbeard.types.group import Group

PLACE = click.argument("place", metavar="CONFIG|DIR", type=click.Path(path_type=Path))
OUTPUT = click.option("-o", "output", type=click.Path(path_type=Path), required=True, help="File to write; a new one.")
ANSWER_BYTES_MAX: Final = 1_024
PAUSE_S: Final = 0.02
"""Between two questions to a running node: its votes go first."""


@click.command("export")
@PLACE
@OUTPUT
def export_command(place: Path, output: Path) -> int:
    """Write the ledger as one file for auditors, also while the node runs: dropbeard ledger verify takes it as it is.

    No keys, no inputs and no answers are in it. Clients are named by their public keys, as in every node's ledger.
    """
    from dropbeard.audit.exporting import write_export
    from dropbeard.audit.reading import read_ledger
    from dropbeard.storage.files import read_genesis

    files = node_files_of(place)
    group = read_genesis(files.genesis)
    count = write_export(output, group, read_ledger(files.state, group))
    click.echo(f"{output}: {count} records of group {group.name}, {output.stat().st_size} bytes")
    return 0


@click.command("backup")
@PLACE
@OUTPUT
def backup_command(place: Path, output: Path) -> int:
    """Copy the journal, also while the node runs, so that nobody can vote twice with it (rule 7.4).

    A node that is restored from it catches up, shows certificates and observes. It signs nothing until its owner has
    given it a new node key. The file holds answers to clients, so it has mode 0600; it holds no keys.
    """
    from dropbeard.storage.backup import write_backup
    from dropbeard.storage.files import read_genesis

    files = node_files_of(place)
    rows = write_backup(files.state, output, _node_keys(files, read_genesis(files.genesis)))
    click.echo(f"{output}: {rows} journal rows; a node restored from it observes until it has a new node key")
    return 0


@click.command("restore")
@click.argument("config", type=click.Path(path_type=Path))
@click.argument("backup", metavar="FILE", type=click.Path(path_type=Path))
def restore_command(config: Path, backup: Path) -> int:
    """Make the state directory of CONFIG from a backup; it must hold no journal.

    The node key that is there now signs nothing any more: restore first, then make the new key.
    """
    from dropbeard.daemon.files import read_node_files
    from dropbeard.errors import KeyInvalid
    from dropbeard.signing.keys import load_private_key
    from dropbeard.storage.backup import restore_backup

    files = read_node_files(config)
    try:
        present = [load_private_key(files.node_key, files.passphrase()).public.to_bytes()]
    except KeyInvalid:
        if files.node_key.exists():
            raise
        present = []  # lost, like the disk: those that the backup names are barred
    rows = restore_backup(backup, files.state, present)
    click.echo(f"{files.state}: {rows} journal rows; this node observes until its owner gives it a new node key")
    return 0


@click.command("prune")
@PLACE
@click.option("--timeout", default=300.0, show_default=True, help="Seconds to give a running node.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def prune_command(place: Path, timeout: float, as_json: bool) -> int:
    """Give back the space of what was pruned; what is still owed to anybody stays.

    A running node does it itself, bit by bit. Of one that does not run, what may be pruned is pruned at once and the
    file is packed, which takes its size once more on the disk. Exit code 0: done; 2: the node does not answer.
    """
    from dropbeard.transport.status_link import SOCKET

    files = node_files_of(place)
    before = _size(files.state)
    running = (files.state / SOCKET).exists()
    if running:
        _prune_running(files, timeout)
    else:
        _prune_stopped(files)
    after = _size(files.state)
    if as_json:
        click.echo(json.dumps({"running": running, "before_bytes": before, "after_bytes": after}))
    else:
        click.echo(f"{files.state}: {before >> 10} KiB before, {after >> 10} KiB now")
    return 0


def _prune_running(files: NodeFiles, timeout: float) -> None:
    from dropbeard.daemon.status_desk import PRUNE
    from dropbeard.errors import NodeUnreachable, StorageFailed
    from dropbeard.transport.status_link import ask

    end = time.monotonic() + timeout
    while True:
        answer: dict[str, Any] = json.loads(ask(files.state, PRUNE, ANSWER_BYTES_MAX, timeout))
        if "left" not in answer:
            raise NodeUnreachable(f"the node cannot do it: {answer.get('error', 'it is of an older release')}")
        if answer["left"] is None:
            raise StorageFailed("this journal was made by an earlier release: stop the node once and prune it then")
        if answer["left"] == 0:
            return
        if time.monotonic() > end:
            raise NodeUnreachable(f"{answer['left']} pages are left after {timeout:g} s; ask again")
        time.sleep(PAUSE_S)


def _prune_stopped(files: NodeFiles) -> None:
    from dropbeard.agreement.records import is_audit
    from dropbeard.errors import StorageFailed
    from dropbeard.storage.records import Journal
    from dropbeard.storage.sqlite_store import SqliteStore

    if not (files.state / "journal.db").is_file():
        raise StorageFailed(f"{files.state} is no node's state directory: it has no journal.db")
    store = SqliteStore(files.state)
    try:
        journal = Journal(store, is_audit)
        for part in journal.recover():
            for _ in part:
                pass
        journal.finish_pruning()
        store.pack()
    finally:
        store.close()


def _size(state: Path) -> int:
    return sum(path.stat().st_size for path in state.glob("journal.db*"))


def _node_keys(files: NodeFiles, group: Group) -> list[bytes]:
    """Every node key that this owner had in any epoch that its ledger knows of."""
    from dropbeard.agreement.records import SuccessionRecord
    from dropbeard.audit.reading import read_ledger
    from dropbeard.errors import ConfigInvalid
    from dropbeard.verification.lineage import lineage_of

    held = read_ledger(files.state, group)
    ended = [row.succession for row in [*held.checkpoint, *held.records] if isinstance(row, SuccessionRecord)]
    lineage = lineage_of(group, {given.epoch: given for given in ended}.values())
    keys = [owner.node_key for one in lineage.groups for owner in one.owners if owner.name == files.config.name]
    if not keys:
        raise ConfigInvalid(f"the genesis has no owner {files.config.name}: is it this node's?")
    return list(dict.fromkeys(keys))


def node_files_of(place: Path) -> NodeFiles:
    """Of a configuration, or of the one whose state directory ``place`` is, if it lies beside it."""
    from dropbeard.daemon.files import read_node_files
    from dropbeard.errors import ConfigInvalid

    if not place.is_dir():
        return read_node_files(place)
    for path in sorted(place.resolve().parent.glob("*.toml")):
        try:
            files = read_node_files(path)
        except ConfigInvalid:
            continue  # a card or another file
        if files.state == place.resolve():
            return files
    raise ConfigInvalid(f"no node configuration beside {place} names it as its state; name the configuration instead")
