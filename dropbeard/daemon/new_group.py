"""Make a genesis file."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Final

from dropbeard.errors import ConfigInvalid, KeyInvalid
from dropbeard.signing.ecdsa_p256 import PublicKey
from dropbeard.storage.files import read_text
from dropbeard.types.cards import hex_bytes
from dropbeard.types.client_rules import ClientRules
from dropbeard.types.genesis_file import genesis_to_toml, task_schema
from dropbeard.types.group import Group
from dropbeard.types.ids import KEY_BYTES, ClientKey
from dropbeard.types.limits import GENESIS_BYTES_MAX
from dropbeard.types.parameters import MILLISECOND, SECOND, Parameters
from dropbeard.types.task import TaskSchema
from dropbeard.types.task_table import read_task

WAN: Final = Parameters(
    block_interval_us=20 * MILLISECOND,
    propose_timeout_us=3 * SECOND // 2,
    advance_timeout_us=3 * SECOND,
    finalize_timeout_us=600 * MILLISECOND,
    status_interval_us=2 * SECOND,
    starvation_us=6 * SECOND,
    near_us=600 * MILLISECOND,
    lane_window=1_024,
)

_NUMBER: Final = re.compile(r"[0-9]{1,20}")


def parameters_from(settings: Sequence[str], wan: bool) -> Parameters:
    """The defaults for a LAN or a WAN with NAME=VALUE settings on top; ConfigInvalid names a wrong one."""
    known = {spec.name for spec in fields(Parameters)}
    values: dict[str, int] = {}
    for setting in settings:
        name, _, text = setting.partition("=")
        if name not in known or not _NUMBER.fullmatch(text):
            raise ConfigInvalid(f"--set {setting}: write NAME=NUMBER with NAME one of {', '.join(sorted(known))}")
        values[name] = int(text)
    return replace(WAN if wan else Parameters(), **values)


def read_labels(path: Path | None) -> tuple[str, ...]:
    """Class names, one a line; ImageNet's, from the [imagenet] extra, when no file is named."""
    if path is None:
        from dropbeard.serving.labels import imagenet_labels

        return imagenet_labels()
    lines = read_text(path, GENESIS_BYTES_MAX, "the labels").splitlines()
    return tuple(line.strip() for line in lines if line.strip())


def client_rules_from(allowed: Sequence[Path], rate: int, burst: int | None, per_day: int) -> ClientRules | None:
    """The genesis' rules for clients; None when nothing is asked for. ``allowed``: files of CURVE public keys in hex,
    one a line, with comments behind #; ``burst`` is the rate if not said. ConfigInvalid names what is wrong.
    """
    keys: set[ClientKey] = set()
    for path in allowed:
        lines = [line.partition("#")[0].strip() for line in read_text(path, GENESIS_BYTES_MAX, "the keys").splitlines()]
        found = [ClientKey(hex_bytes(line, KEY_BYTES, "a client's key", str(path))) for line in lines if line]
        if not found:
            raise ConfigInvalid(f"{path} holds no key; write one CURVE public key in hex a line")
        keys.update(found)
    if not (keys or rate or burst or per_day):
        return None
    return ClientRules(rate, rate if burst is None else burst, per_day, tuple(sorted(keys)))


def task_of(name: str, labels: Path | None, file: Path | None) -> TaskSchema:
    """The schema that ``file`` holds in its ``[task]`` table, or a classification with these labels."""
    if file is None:
        return task_schema(name, read_labels(labels))
    return read_task(read_text(file, GENESIS_BYTES_MAX, "the task"), str(file))


def write_genesis(group: Group, output: Path) -> None:
    """Write the file whole or not at all; an existing one is never replaced, since its id is what people trust."""
    text = genesis_to_toml(group)
    _check_keys(group)
    scratch = output.with_name(f".{output.name}.{os.getpid()}")
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        scratch.write_text(text, encoding="utf-8")
        os.link(scratch, output)
    except FileExistsError as wrong:
        raise ConfigInvalid(f"{output} exists; a genesis is never replaced, name another file") from wrong
    except OSError as wrong:
        raise ConfigInvalid(f"cannot write {output}: {wrong.strerror}") from wrong
    finally:
        scratch.unlink(missing_ok=True)


def _check_keys(group: Group) -> None:
    # Found now, by the one who collects the cards, instead of later by every node and every verifier.
    for owner in group.owners:
        for what, key in (("owner_key", owner.owner_key), ("node_key", owner.node_key)):
            try:
                PublicKey.from_bytes(key)
            except KeyInvalid as wrong:
                raise ConfigInvalid(f"the {what} of {owner.name!r} is no key: {wrong}") from wrong
