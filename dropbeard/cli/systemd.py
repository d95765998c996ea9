"""``dropbeard systemd``: show and install the service units."""

from __future__ import annotations

from pathlib import Path

import click

KINDS = ("node", "engine", "gateway", "prune", "prune-timer", "target", "slice", "sysusers", "tmpfiles")
PROGRAM = click.option(
    "--program", type=click.Path(path_type=Path), help="The dropbeard program that units start; else this one."
)


@click.group("systemd")
def systemd_command() -> None:
    """Units for a node, its engine and a gateway, each sandboxed; nothing is started or enabled by these commands."""


@systemd_command.command("show")
@click.argument("kind", type=click.Choice(KINDS))
@click.argument("name", required=False)
@PROGRAM
def show_command(kind: str, name: str | None, program: Path | None) -> None:
    """Print a unit of this installation; with NAME, an owner's, as it is for that owner."""
    from dropbeard.daemon.units import SHOWN, check_instance, program_path, unit_text

    text = unit_text(SHOWN[kind], program_path(program))
    if name is not None:
        check_instance(name)
        text = text.replace("%i", name)
    click.echo(text, nl=False)


@systemd_command.command("install")
@click.argument("names", nargs=-1)
@click.option("--root", type=click.Path(path_type=Path), default=Path("/"), show_default=True, help="Where to write.")
@click.option("--gpu", is_flag=True, help="The engines of NAMES get the machine's GPUs.")
@click.option("--openvino", is_flag=True, help="The engines of NAMES run OpenVINO, which compiles code.")
@click.option("--oip", metavar="ADDRESS", help="The engines of NAMES may reach this serving system.")
@click.option("--encrypted-keys", is_flag=True, help="The nodes of NAMES take keys that systemd-creds encrypted.")
@click.option("--gateway", is_flag=True, help="NAMES are gateways.")
@click.option("--gateway-tls", is_flag=True, help="The gateways NAMES take tls.key from systemd.")
@click.option("--gateway-key", is_flag=True, help="The gateways NAMES take client.key from systemd.")
@click.option(
    "--config", type=click.Path(path_type=Path), help="The node's file: units let its client_networks in alone."
)
@PROGRAM
def install_command(
    names: tuple[str, ...],
    root: Path,
    gpu: bool,
    openvino: bool,
    oip: str | None,
    encrypted_keys: bool,
    gateway: bool,
    gateway_tls: bool,
    gateway_key: bool,
    config: Path | None,
    program: Path | None,
) -> None:
    """Write the units, their users and folders, and drop-ins for NAMES; writing them again is harmless."""
    from dropbeard.daemon.units import (
        DROP_INS,
        PLACES,
        check_instance,
        drop_in,
        drop_in_place,
        program_path,
        unit_text,
        write_all,
    )
    from dropbeard.errors import ConfigInvalid

    chosen = {"gpu": gpu, "openvino": openvino, "oip": oip is not None, "encrypted-keys": encrypted_keys}
    chosen |= {"gateway-tls": gateway_tls, "gateway-key": gateway_key}
    if (any(chosen.values()) or config is not None) and not names:
        raise ConfigInvalid("a drop-in is for owners: name them")
    binary = program_path(program)
    files = {place: unit_text(file, binary) for file, place in PLACES.items()}
    for name in names:
        check_instance(name)
        for what in [what for what, wanted in chosen.items() if wanted]:
            files[drop_in_place(what, DROP_INS[what], name)] = drop_in(what, oip)
        if config is not None:
            files[drop_in_place("clients", "node", name)] = _allow_list(config)
    for path in write_all(root, files):
        click.echo(str(path))
    click.echo("next: systemd-sysusers && systemd-tmpfiles --create && systemctl daemon-reload")
    kinds = ("gateway",) if gateway or gateway_tls or gateway_key else ("engine", "node")
    for name in names:
        units = " ".join(f"dropbeard-{kind}@{name}" for kind in kinds)
        units += "" if "gateway" in kinds else f" dropbeard-prune@{name}.timer"
        click.echo(f"then: systemctl enable --now dropbeard.target {units}")


def _allow_list(config: Path) -> str:
    from dropbeard.daemon.files import read_node_files
    from dropbeard.daemon.units import allow_list
    from dropbeard.errors import ConfigInvalid
    from dropbeard.storage.files import read_genesis

    files = read_node_files(config)
    if not files.config.client_networks:
        raise ConfigInvalid(f"{config} names no client_networks: without them nobody but the peers could ask")
    ends = [end for owner in read_genesis(files.genesis).owners for end in owner.endpoints.all]
    hosts = [end.removeprefix("tcp://").rpartition(":")[0] for end in ends if end.startswith("tcp://")]
    return allow_list(hosts, files.config.client_networks)
