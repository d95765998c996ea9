"""The genesis file: TOML for people, the same group for everyone (rule 1.3).

The group's id depends on the values only, by their canonical bytes (group.Group.encode); ``id`` in the file is for
people and is checked.
"""

from __future__ import annotations

from dataclasses import fields

import msgspec

from dropbeard.errors import ConfigInvalid
from dropbeard.types.cards import CARD_FORMAT, Card, check_name, hex_bytes, owner_from_card
from dropbeard.types.client_rules import ClientRules
from dropbeard.types.group import Group, Owner
from dropbeard.types.ids import KEY_BYTES, ClientKey, OwnerId
from dropbeard.types.parameters import Parameters
from dropbeard.types.task import TaskSchema
from dropbeard.types.task_table import TaskTable, task_from, task_values
from dropbeard.types.toml_text import read_toml, table

GENESIS_FORMAT = 1


class _GroupTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    format: int
    name: str
    f: int
    answers: int
    id: str | None = None


class _OwnerTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    id: int
    name: str
    owner_key: str
    node_key: str
    curve_key: str
    votes: str
    lanes: str
    clients: str
    catchup: str
    model: str
    model_name: str


class _ClientsTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    rate_per_s: int
    burst: int
    per_day: int
    allow: list[str] | None = None


_ParametersTable = msgspec.defstruct(
    "_ParametersTable", [(spec.name, int) for spec in fields(Parameters)], frozen=True, forbid_unknown_fields=True
)


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    group: _GroupTable
    task: TaskTable
    parameters: _ParametersTable  # type: ignore[valid-type]
    owner: list[_OwnerTable]
    clients: _ClientsTable | None = None


def genesis_to_toml(group: Group) -> str:
    """The genesis file of a group."""
    head = {"format": GENESIS_FORMAT, "name": group.name, "f": group.f, "answers": group.answers, "id": group.id.hex()}
    parts = [
        table("[group]", head),
        table("[parameters]", {spec.name: getattr(group.parameters, spec.name) for spec in fields(Parameters)}),
        *([] if group.clients is None else [table("[clients]", _client_values(group.clients))]),
        *(table("[[owner]]", _owner_values(owner)) for owner in group.owners),
        table("[task]", task_values(group.task)),
    ]
    return "\n".join(parts)


def _client_values(rules: ClientRules) -> dict[str, int | list[str] | None]:
    allow = [key.hex() for key in rules.allow] or None
    return {"rate_per_s": rules.rate_per_s, "burst": rules.burst, "per_day": rules.per_day, "allow": allow}


def _client_rules(row: _ClientsTable | None, what: str) -> ClientRules | None:
    if row is None:
        return None
    if row.allow == []:
        raise ConfigInvalid(f"{what}: clients.allow is empty, so nobody could ask; without it anyone may")
    keys = tuple(ClientKey(hex_bytes(text, KEY_BYTES, "a key of clients.allow", what)) for text in row.allow or ())
    try:
        return ClientRules(row.rate_per_s, row.burst, row.per_day, keys)
    except ConfigInvalid as wrong:
        raise ConfigInvalid(f"{what}: {wrong}") from wrong


def _owner_values(owner: Owner) -> dict[str, str | int]:
    return {
        "id": owner.id,
        "name": owner.name,
        "owner_key": owner.owner_key.hex(),
        "node_key": owner.node_key.hex(),
        "curve_key": owner.curve_key.hex(),
        "votes": owner.endpoints.votes,
        "lanes": owner.endpoints.lanes,
        "clients": owner.endpoints.clients,
        "catchup": owner.endpoints.catchup,
        "model": owner.model.hex(),
        "model_name": owner.model_name,
    }


def genesis_from_toml(text: str, what: str = "the genesis") -> Group:
    """Read a genesis file's text; ConfigInvalid names the key that is wrong."""
    file = read_toml(text, _File, what, newest=("group", GENESIS_FORMAT))
    check_name(file.group.name, what)
    owners = tuple(_owner(row, what) for row in file.owner)
    task = task_from(file.task, what)
    clients = _client_rules(file.clients, what)
    try:
        parameters = Parameters(**msgspec.structs.asdict(file.parameters))
        sizes = file.group.f, file.group.answers
        group = Group(file.group.name, *sizes, owners, task, parameters, clients=clients)
    except ConfigInvalid as wrong:
        raise ConfigInvalid(f"{what}: {wrong}") from wrong
    if file.group.id is not None and file.group.id != group.id.hex():
        raise ConfigInvalid(f"{what}: its id is not that of its values ({group.id.hex()}); the file was changed")
    return group


def _owner(row: _OwnerTable, what: str) -> Owner:
    values = msgspec.structs.asdict(row)
    number = values.pop("id")
    return owner_from_card(Card(format=CARD_FORMAT, **values), OwnerId(number), f"{what}, owner {row.name!r}")


def task_schema(name: str, labels: tuple[str, ...]) -> TaskSchema:
    """A classification task with the usual bounds: top 5 (or all), files to 4 MiB, 50 million pixels."""
    row = TaskTable(name, 4 << 20, 50_000_000, top_k=min(5, len(labels)), labels=list(labels))
    return task_from(row, f"the task {name!r}")
