"""A group that cannot work cannot exist, and its id covers every value."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from dropbeard.errors import ConfigInvalid
from dropbeard.types.group import Endpoints, Group, Owner
from dropbeard.types.ids import Digest, OwnerId, View
from dropbeard.types.parameters import Parameters
from dropbeard.types.quorum import quorum_size
from dropbeard.types.task import TaskSchema

TASK = TaskSchema("pictures", ("cat", "dog"), 2, 1 << 20, 1_000_000)


def owner(number: int) -> Owner:
    """An owner with keys of its own (of the right length; nothing is signed here)."""
    mark = bytes([number])
    ends = Endpoints(*(f"tcp://10.0.0.{number}:{port}" for port in (7400, 7401, 7402, 7403)))
    keys = b"\x02" + mark * 32, b"\x03" + mark * 32, mark * 32
    return Owner(OwnerId(number), f"owner {number}", *keys, ends, Digest(b"m" * 32), "model")


def group(n: int = 4, f: int = 1, answers: int = 3) -> Group:
    """A group of n."""
    return Group("tested", f, answers, tuple(owner(number) for number in range(n)), TASK, Parameters())


@pytest.mark.parametrize(
    ("n", "f", "answers"), [(1, 0, 1), (3, 0, 1), (4, 1, 3), (7, 2, 5), (9, 1, 3), (9, 1, 8), (64, 21, 43)]
)
def test_a_group_that_can_work_exists(n: int, f: int, answers: int) -> None:
    made = group(n, f, answers)
    assert made.quorum == quorum_size(n, f)
    # Any two quorums share f+1, and the honest alone are one.
    assert 2 * made.quorum - n >= f + 1
    assert made.quorum <= n - f


@pytest.mark.parametrize(
    ("n", "f", "answers"),
    [(3, 1, 2), (6, 2, 4), (4, -1, 3), (4, 1, 2), (4, 1, 4), (9, 1, 2), (0, 0, 0), (65, 1, 3)],
)
def test_sizes_that_cannot_work_are_refused(n: int, f: int, answers: int) -> None:
    with pytest.raises(ConfigInvalid):
        group(n, f, answers)


@pytest.mark.parametrize("key", ["name", "owner_key", "node_key", "curve_key", "endpoints"])
def test_two_owners_may_not_share_a_name_a_key_or_an_endpoint(key: str) -> None:
    made = group()
    twin = replace(made.owners[1], **{key: getattr(made.owners[0], key)})
    with pytest.raises(ConfigInvalid, match="share"):
        replace(made, owners=(made.owners[0], twin, *made.owners[2:]))


def test_ids_that_are_not_in_order_are_refused() -> None:
    made = group()
    with pytest.raises(ConfigInvalid):
        replace(made, owners=made.owners[::-1])


def _first_owner(made: Group, **changes: object) -> Group:
    return replace(made, owners=(replace(made.owners[0], **changes), *made.owners[1:]))  # type: ignore[arg-type]


CHANGES: dict[str, Callable[[Group], Group]] = {
    "name": lambda made: replace(made, name="other"),
    "f": lambda made: replace(made, f=0),
    "answers": lambda made: replace(made, f=0, answers=4),
    "owner name": lambda made: _first_owner(made, name="other"),
    "owner key": lambda made: _first_owner(made, owner_key=b"\x03" + bytes(32)),
    "node key": lambda made: _first_owner(made, node_key=b"\x02" + bytes(32)),
    "curve key": lambda made: _first_owner(made, curve_key=b"k" * 32),
    "votes": lambda made: _first_owner(made, endpoints=replace(made.owners[0].endpoints, votes="ipc:///a")),
    "lanes": lambda made: _first_owner(made, endpoints=replace(made.owners[0].endpoints, lanes="ipc:///a")),
    "clients": lambda made: _first_owner(made, endpoints=replace(made.owners[0].endpoints, clients="ipc:///a")),
    "model": lambda made: _first_owner(made, model=Digest(b"n" * 32)),
    "model name": lambda made: _first_owner(made, model_name="other"),
    "labels": lambda made: replace(made, task=replace(TASK, labels=("catd", "og"))),
    "top k": lambda made: replace(made, task=replace(TASK, top_k=1)),
    "bytes": lambda made: replace(made, task=replace(TASK, encoded_bytes_max=5)),
    "pixels": lambda made: replace(made, task=replace(TASK, pixels_max=5)),
    "a parameter": lambda made: replace(made, parameters=Parameters(epoch_delay=17)),
}


def test_the_id_covers_every_value() -> None:
    ids = [group().id, *(change(group()).id for change in CHANGES.values())]
    assert len(set(ids)) == len(CHANGES) + 1


def test_leaders_rotate() -> None:
    assert [group().leader(View(view)) for view in range(6)] == [0, 1, 2, 3, 0, 1]


def test_an_owner_that_is_not_there_is_none() -> None:
    made = group()
    assert made.owner(OwnerId(3)) is made.owners[3]
    assert [made.owner(OwnerId(number)) for number in (-1, 4, 65_535)] == [None] * 3
