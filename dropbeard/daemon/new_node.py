"""Make what an owner needs to take part: keys, salt, configuration, public card; all of it or nothing."""

from __future__ import annotations

import contextlib
import secrets
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dropbeard.errors import ConfigInvalid, DropbeardError
from dropbeard.serving.manifest import load_manifest, model_digest
from dropbeard.serving.synthetic import synthetic_digest
from dropbeard.signing.curve import CurveSecret, write_curve_secret
from dropbeard.signing.ecdsa_p256 import PrivateKey
from dropbeard.signing.keys import read_private_file, write_private_file, write_private_key
from dropbeard.types.cards import CARD_FORMAT, Card, check_endpoint, check_name
from dropbeard.types.node_config import EngineTable, KeysTable, NodeConfig, check_engine

PORTS = 4
"""A node listens on its port (votes) and the next three (lanes, clients, catching up)."""

SALT_HEAD: Final = "dropbeard salt secret, keep private\n"


@dataclass(frozen=True, slots=True)
class NodePlan:
    """What to make. ``passphrase`` protects owner and node key; ``passphrase_env`` is where the node finds it."""

    name: str
    host: str
    port: int
    engine: EngineTable
    passphrase: str | None = None
    passphrase_env: str | None = None
    genesis: str = "genesis.toml"
    state: str = "state"


@dataclass(frozen=True, slots=True)
class NewNode:
    """Where it was made."""

    config: Path
    card: Path


def make_node(plan: NodePlan, directory: Path) -> NewNode:
    """Make ``directory`` with everything in it; ConfigInvalid when it exists or cannot be made. Nothing is left behind
    on failure.
    """
    check_name(plan.name, "init")
    check_engine(plan.engine, "init")
    if "/" in plan.name or plan.name.startswith("."):
        raise ConfigInvalid(f"the name {plan.name!r} also names files: it may not hold / or start with a dot")
    if f"{plan.name}.toml" == plan.genesis:
        raise ConfigInvalid(f"the name {plan.name!r} is taken: {plan.genesis} is the group's file; choose another name")
    if not 1 <= plan.port <= 65_535 - PORTS + 1:
        raise ConfigInvalid(f"port {plan.port} leaves no room: it and the next three must be between 1 and 65535")
    # Before anything is made: a refused plan leaves not even a parent directory behind.
    check_endpoint(f"tcp://{plan.host}:{plan.port}", "init")
    model = _model_of(plan)
    missing: list[Path] = []
    try:
        _refuse_existing(directory)
        missing = [parent for parent in directory.parents if not parent.exists()]
        _fill_beside(plan, directory, model)
    except (OSError, DropbeardError) as wrong:
        _remove_empty(missing)
        if isinstance(wrong, OSError):
            raise ConfigInvalid(f"cannot make {directory}: {wrong.strerror}") from wrong
        raise
    return NewNode(directory / f"{plan.name}.toml", directory / f"{plan.name}.card.toml")


def _fill_beside(plan: NodePlan, directory: Path, model: bytes) -> None:
    directory.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{directory.name}.", dir=directory.parent))
    try:
        _fill(plan, scratch, model)
        _refuse_existing(directory)
        scratch.rename(directory)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _remove_empty(directories: Sequence[Path]) -> None:
    """Take back the parents that were made, the innermost first."""
    for directory in directories:
        with contextlib.suppress(OSError):
            directory.rmdir()


def _model_of(plan: NodePlan) -> bytes:
    if plan.engine.backend == "synthetic":
        return synthetic_digest(plan.name)
    return model_digest(load_manifest(plan.engine.model))


def _refuse_existing(directory: Path) -> None:
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise ConfigInvalid(f"{directory} exists and is not empty; keys are never overwritten, name another directory")


def _fill(plan: NodePlan, scratch: Path, model: bytes) -> None:
    owner_key, node_key, curve = PrivateKey.generate(), PrivateKey.generate(), CurveSecret.generate()
    ports = [f"tcp://{plan.host}:{plan.port + i}" for i in range(PORTS)]
    card = Card(
        format=CARD_FORMAT,
        name=plan.name,
        owner_key=owner_key.public.to_bytes().hex(),
        node_key=node_key.public.to_bytes().hex(),
        curve_key=curve.public.hex(),
        votes=ports[0],
        lanes=ports[1],
        clients=ports[2],
        catchup=ports[3],
        model=model.hex(),
        model_name="synthetic" if plan.engine.backend == "synthetic" else plan.engine.model,
    )
    config = NodeConfig(
        name=plan.name,
        genesis=plan.genesis,
        state=plan.state,
        keys=KeysTable("node.key", "curve.key", "salt.key", plan.passphrase_env),
        engine=plan.engine,
    )
    write_private_key(scratch / "owner.key", owner_key, plan.passphrase)
    write_private_key(scratch / "node.key", node_key, plan.passphrase)
    write_curve_secret(scratch / "curve.key", curve)
    write_private_file(scratch / "salt.key", (SALT_HEAD + secrets.token_hex(32) + "\n").encode())
    (scratch / f"{plan.name}.card.toml").write_text(card.to_toml(), encoding="utf-8")
    (scratch / f"{plan.name}.toml").write_text(config.to_toml(), encoding="utf-8")
    scratch.chmod(0o700)


def read_salt(path: Path) -> bytes:
    """The 32-byte salt secret; KeyInvalid or ConfigInvalid when it cannot be used."""
    lines = read_private_file(path).decode(errors="replace").splitlines()
    try:
        secret = bytes.fromhex(lines[1])
    except (IndexError, ValueError):
        secret = b""
    if len(secret) != 32:
        raise ConfigInvalid(f"{path} is not a salt secret; it was made by `dropbeard init`, restore it from a copy")
    return secret
