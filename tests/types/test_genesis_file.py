"""The genesis file: every group reads back as it was, and what is not one is a line that names the file."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from dropbeard.errors import ConfigInvalid
from dropbeard.types import limits
from dropbeard.types.genesis_file import genesis_from_toml, genesis_to_toml, task_schema
from dropbeard.types.group import Endpoints, Group, Owner
from dropbeard.types.ids import Digest, OwnerId
from dropbeard.types.parameters import Parameters


def owner(number: int, name: str = "", model_name: str = "net") -> Owner:
    ports = [f"tcp://10.0.0.{number + 1}:{7400 + channel}" for channel in range(4)]
    owner_key, node_key = (bytes([2 + number % 2, kind, number]) + bytes(30) for kind in (1, 2))
    model = Digest(bytes([number]) * 32)
    curve = bytes([number]) + bytes(31)
    return Owner(
        OwnerId(number), name or f"o{number}", owner_key, node_key, curve, Endpoints(*ports), model, model_name
    )


GROUP = Group("four", 1, 3, tuple(map(owner, range(4))), task_schema("animals", ("cat", "dog", "owl")), Parameters())
TEXT = genesis_to_toml(GROUP)
PRINTABLE = st.text(st.characters(codec="utf-8"), min_size=1, max_size=16).filter(
    lambda text: text.isprintable() and text == text.strip()
)


def settings_within_bounds() -> st.SearchStrategy[Parameters]:
    ranges = {spec.name: st.integers(spec.metadata["least"], spec.metadata["most"]) for spec in fields(Parameters)}
    return st.builds(Parameters, **ranges)


@given(PRINTABLE, st.lists(PRINTABLE, min_size=2, max_size=5), PRINTABLE, settings_within_bounds())
def test_a_group_reads_back_as_it_was(name: str, labels: list[str], owner_name: str, parameters: Parameters) -> None:
    owners = (owner(0, owner_name, owner_name), *GROUP.owners[1:])
    assume(owner_name not in {other.name for other in GROUP.owners[1:]})
    group = Group(name, 1, 3, owners, task_schema(name, tuple(labels)), parameters)
    read = genesis_from_toml(genesis_to_toml(group))
    assert (read, read.id) == (group, group.id)


def test_every_parameter_is_written_out() -> None:
    for spec in fields(Parameters):
        line = f"{spec.name} = {getattr(GROUP.parameters, spec.name)}\n"
        assert TEXT.count(line) == 1
        with pytest.raises(ConfigInvalid, match=f"missing required field `{spec.name}`"):
            genesis_from_toml(TEXT.replace(line, ""))


def test_the_id_may_be_left_out_but_not_be_wrong() -> None:
    line = f'id = "{GROUP.id.hex()}"\n'
    assert genesis_from_toml(TEXT.replace(line, "")).id == GROUP.id
    with pytest.raises(ConfigInvalid, match=r"F\.toml: its id is not that of its values"):
        genesis_from_toml(TEXT.replace('name = "four"', 'name = "five"'), "F.toml")


def test_a_later_format_is_named_before_its_unknown_keys() -> None:
    with pytest.raises(ConfigInvalid, match=r"F\.toml: format 2 is unknown"):
        genesis_from_toml("[group]\nformat = 2\nshape = 'new'\n[committee]\n", "F.toml")


@pytest.mark.parametrize(
    ("old", "new", "part"),
    [
        ("near_us = 200000", "near = 200000", "did you mean `near_us`"),
        ("near_us = 200000", "near_us = 99999999999999", "parameter near_us is 99999999999999"),
        ("near_us = 200000", "near_us = 2.0", "Expected `int`"),
        ("near_us = 200000", "near_us = true", "Expected `int`"),
        ("\nf = 1", "\nf = 2", "n >= 3f+1"),
        ("\nanswers = 3", "\nanswers = 4", "answers = 4"),
        ("\nid = 0", "\nid = 7", "owner ids"),
        ("\nid = 0", "\nid = -1", "owner ids"),
        ('name = "o1"', 'name = "o0"', "share the name o0"),
        ("tcp://10.0.0.2:7400", "tcp://10.0.0.1:7400", "share the endpoint"),
        ("tcp://10.0.0.2:7400", "tcp://10.0.0.2:0", "endpoint"),
        ("top_k = 3", "top_k = 4", "top_k = 4"),
        ("top_k = 3", "top_k = 0", "top_k = 0"),
        ('"owl"', '"o\\u001b[2Jwl"', "label"),
        ('"owl"', '""', "label"),
        ('"owl"', f'"{"w" * (limits.LABEL_BYTES_MAX + 1)}"', "label"),
        ("encoded_bytes_max = 4194304", "encoded_bytes_max = 99999999999", "encoded_bytes_max"),
        ("[task]", "[tasks]", "did you mean `task`"),
        ("[task]", "[[task]]", "Expected `object`"),
    ],
)
def test_a_wrong_value_is_one_line_that_names_the_file(old: str, new: str, part: str) -> None:
    assert old in TEXT
    with pytest.raises(ConfigInvalid) as wrong:
        genesis_from_toml(TEXT.replace(old, new, 1), "F.toml")
    assert str(wrong.value).startswith("F.toml")
    assert part in str(wrong.value)
    assert "\n" not in str(wrong.value)


@pytest.mark.parametrize("value", ["[" * 5_000, "1" * 5_000, "{ a = " * 2_000])
def test_a_value_that_exhausts_the_parser_is_refused(value: str) -> None:
    with pytest.raises(ConfigInvalid, match=r"F\.toml is not TOML"):
        genesis_from_toml(f"{TEXT}\nmore = {value}", "F.toml")


def test_a_changed_value_is_another_group() -> None:
    changed = [
        replace(GROUP, name="five"),
        replace(GROUP, f=0),
        replace(GROUP, owners=(replace(GROUP.owners[0], model_name="other"), *GROUP.owners[1:])),
        replace(GROUP, task=replace(GROUP.task, top_k=2)),
        replace(GROUP, parameters=replace(GROUP.parameters, near_us=1)),
    ]
    assert len({GROUP.id, *(group.id for group in changed)}) == 1 + len(changed)
