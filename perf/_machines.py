"""The paper's set-up on GPU machines: what to do on each, as commands that a person can read, or have run over ssh.

A hosts file has one line for each owner: NAME ADDRESS SSH, where ADDRESS is where the others reach its node and SSH
what ssh takes. Node keys are made here and copied, which suits a measurement and nothing else; owner keys stay here.
"""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dropbeard.errors import ConfigInvalid

CONFIGURATIONS: Final = "/etc/dropbeard"
MODELS: Final = ("efficientnet-lite0", "efficientnet-lite1", "efficientnet-lite2", "squeezenet1.1")
COMMAND_S: Final = 1_800.0


@dataclass(frozen=True, slots=True)
class Machine:
    """One owner's."""

    name: str
    address: str
    ssh: str


def read_hosts(path: Path) -> list[Machine]:
    """ConfigInvalid when a line is not NAME ADDRESS SSH, or there are fewer than four."""
    try:
        lines = path.read_text().splitlines()
    except OSError as wrong:
        raise ConfigInvalid(f"cannot read {path}: {wrong.strerror}") from wrong
    rows = [line.split() for line in lines if line.strip() and not line.lstrip().startswith("#")]
    for row in rows:
        if len(row) != 3 or row[2].startswith("-"):
            raise ConfigInvalid(f"{path}: write NAME ADDRESS SSH on each line, not {' '.join(row)!r}")
    if len(rows) < 4:
        raise ConfigInvalid(f"{path} names {len(rows)} machines, a group that tolerates one liar needs four")
    return [Machine(*row) for row in rows]


def commands(machines: Sequence[Machine], backend: str, directory: Path) -> list[list[str]]:
    """In order: keys and genesis here; configuration, plan and units on each machine."""
    rows: list[list[str]] = []
    cards = []
    for place, machine in enumerate(machines):
        model, made = MODELS[place % len(MODELS)], directory / machine.name
        who = ["dropbeard", "init", machine.name, "--dir", str(made), "--host", machine.address]
        rows.append([*who, "--model", model, "--backend", backend])
        cards.append(str(made / f"{machine.name}.card.toml"))
    rows.append(["dropbeard", "group", "create", *cards, "--wan", "-o", str(directory / "genesis.toml")])
    for place, machine in enumerate(machines):
        model, made = MODELS[place % len(MODELS)], directory / machine.name
        there = f"{CONFIGURATIONS}/{machine.name}"
        rows.append(["cp", str(directory / "genesis.toml"), str(made / "genesis.toml")])
        rows.append(["mv", str(made / "owner.key"), str(directory / f"{machine.name}.owner.key")])
        rows.append(["scp", "-r", str(made), f"{machine.ssh}:{there}"])
        steps = [["dropbeard", "models", "fetch", "imagenet"]]
        if backend == "tensorrt":
            steps.append(["dropbeard", "engine", "build", model, "--backend", "tensorrt"])
        units = [f"dropbeard-engine@{machine.name}.service", f"dropbeard-node@{machine.name}.service"]
        steps.append(["sudo", "systemctl", "start", *units])
        rows += [["ssh", machine.ssh, shlex.join(step)] for step in steps]
    return rows


def show(rows: Sequence[Sequence[str]]) -> str:
    """For people and for a shell."""
    return "".join(f"{shlex.join(row)}\n" for row in rows)


def carry_out(rows: Sequence[Sequence[str]]) -> None:
    """One after the other; SystemExit at the first that fails."""
    for row in rows:
        print(shlex.join(row), flush=True)
        done = subprocess.run(row, check=False, timeout=COMMAND_S)
        if done.returncode:
            raise SystemExit(f"that command failed with {done.returncode}; nothing after it was done")
