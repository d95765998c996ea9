"""An owner's public card: reads back, and each thing that cannot work is refused where it was written."""

from __future__ import annotations

import pytest

from dropbeard.errors import ConfigInvalid
from dropbeard.types.cards import Card, card_from_toml, check_endpoint, check_name

CARD = Card(
    format=1,
    name="alice",
    owner_key="02" + "11" * 32,
    node_key="03" + "22" * 32,
    curve_key="33" * 32,
    votes="tcp://alice.example:7400",
    lanes="tcp://10.0.0.1:7401",
    clients="ipc:///run/dropbeard/clients",
    catchup="tcp://alice.example:7403",
    model="44" * 32,
    model_name="efficientnet-lite0",
)


def test_a_card_reads_back() -> None:
    assert card_from_toml(CARD.to_toml(), "alice.card.toml") == CARD


@pytest.mark.parametrize(
    ("old", "new", "part"),
    [
        ("model_name", "modelname", "did you mean `model_name`"),
        ("format = 1", "format = 3\nlater = 1", "format 3 is unknown"),
        ("format = 1\n", "", "missing required field `format`"),
        (CARD.owner_key, CARD.node_key, "the same key"),
        (CARD.owner_key, CARD.owner_key[:-2], "owner_key must be 66"),
        (CARD.curve_key, "AA" * 32, "curve_key must be 64"),
        ("tcp://10.0.0.1:7401", "tcp://0.0.0.0:7401", "nobody can reach"),
        ("efficientnet-lite0", "\\u001b]0;x", "model_name"),
        ("efficientnet-lite0", "", "model_name"),
        ('name = "alice"', 'name = "al\\nice"', "name"),
        ('name = "alice"', "name = 7", "Expected `str`"),
    ],
)
def test_a_wrong_card_is_one_line_that_names_the_file(old: str, new: str, part: str) -> None:
    assert old in CARD.to_toml()
    with pytest.raises(ConfigInvalid) as wrong:
        card_from_toml(CARD.to_toml().replace(old, new, 1), "a.card.toml")
    assert str(wrong.value).startswith("a.card.toml")
    assert part in str(wrong.value)
    assert "\n" not in str(wrong.value)


@pytest.mark.parametrize("name", ["", " ", " a", "a ", "a\x1b", "a\u202eb", "\udcff", "x" * 65, "é" * 33])
def test_a_name_that_tricks_or_overflows_is_refused(name: str) -> None:
    with pytest.raises(ConfigInvalid, match="name"):
        check_name(name, "here")


def test_a_name_of_64_bytes_is_accepted() -> None:
    check_name("é" * 32, "here")


@pytest.mark.parametrize("endpoint", ["tcp://h:1", "tcp://h:65535", "ipc:///" + "x" * 106])
def test_an_endpoint_at_its_bounds_is_accepted(endpoint: str) -> None:
    check_endpoint(endpoint, "here")


@pytest.mark.parametrize(
    "endpoint",
    [
        "",
        "tcp://h",
        "tcp://h:",
        "tcp://h:0",
        "tcp://h:65536",
        "tcp://*:7400",
        "tcp://:7400",
        "tcp://h:74 00",
        "tcp://h:7400\n",
        "tcp://\udcff:7400",
        "udp://h:7400",
        "ipc://relative",
        "ipc:///" + "x" * 107,
        "tcp://" + "h" * 128 + ":1",
        "inproc://x",
    ],
)
def test_an_endpoint_that_zeromq_cannot_use_is_refused(endpoint: str) -> None:
    with pytest.raises(ConfigInvalid, match="endpoint"):
        check_endpoint(endpoint, "here")
