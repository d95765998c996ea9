"""What owners may propose, said in words, and which votes count (rule 8.4)."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from dropbeard.errors import ConfigInvalid
from dropbeard.types.cards import CARD_FORMAT, Card
from dropbeard.types.group import Owner
from dropbeard.types.ids import Digest, Epoch, GroupId, OwnerId, Signature
from dropbeard.types.membership import change_statement, encode_configuration
from dropbeard.types.proposals import added, differences, proposed, removed, replaced, rotated, vote_fault
from dropbeard.types.vote_file import ChangeVote, vote_from_toml, vote_to_toml
from tests.agreement.epoch_pieces import KEYS, change
from tests.agreement.pieces import GROUP


def card_of(owner: Owner) -> Card:
    keys = {name: getattr(owner, name).hex() for name in ("owner_key", "node_key", "curve_key", "model")}
    ends = {name: getattr(owner.endpoints, name) for name in ("votes", "lanes", "clients", "catchup")}
    return Card(format=CARD_FORMAT, name=owner.name, model_name=owner.model_name, **keys, **ends)


NEW = card_of(KEYS.spares[0])
FRESH = msgspec.structs.replace(NEW, name="owner 1")
"""Another place and other keys for owner 1."""


def test_who_is_added_gets_an_id_that_nobody_had_and_answers_follow() -> None:
    after = proposed(GROUP, added(GROUP, NEW, "new"), None, None)
    assert (after.epoch, after.n, after.f, after.answers, after.members) == (1, 5, 1, 4, (0, 1, 2, 3, 4))
    assert differences(GROUP, after) == [f"adds owner 4 at {NEW.votes}", "answers = 4 instead of 3"]


def test_answers_that_are_not_n_minus_f_stay_as_they_are() -> None:
    few = replace(GROUP, answers=3, f=0)
    assert proposed(few, added(few, NEW, "new"), None, None).answers == 3
    assert proposed(few, added(few, NEW, "new"), 1, 4).answers == 4


def test_a_group_that_would_be_too_small_for_its_f_is_refused_in_a_line_that_names_both() -> None:
    with pytest.raises(ConfigInvalid, match=r"n = 3 owners cannot tolerate f = 1: n >= 3f\+1 needs f <= 0"):
        proposed(GROUP, removed(GROUP, "owner 2"), None, None)
    assert proposed(GROUP, removed(GROUP, "owner 2"), 0, None).answers == 3


def test_one_takes_the_place_of_another_in_one_step() -> None:
    after = proposed(GROUP, replaced(GROUP, "owner 2", NEW, "new"), None, None)
    assert after.members == (0, 1, 3, 4)
    assert differences(GROUP, after) == ["removes owner 2", f"adds owner 4 at {NEW.votes}"]


def test_new_keys_and_a_new_place_leave_name_id_and_first_model() -> None:
    after = proposed(GROUP, rotated(GROUP, "owner 1", FRESH, "fresh"), None, None)
    owner, before = after.member(OwnerId(1)), GROUP.member(OwnerId(1))
    assert (owner.name, owner.model) == (before.name, before.model)
    assert owner.node_key.hex() == FRESH.node_key
    assert differences(GROUP, after) == [
        f"gives owner 1 another owner key and node key and transport key and place, {FRESH.votes}"
    ]


@pytest.mark.parametrize(
    ("card", "name", "said"),
    [
        (NEW, "owner 1", "new is the card of owner 4, not of owner 1; replace changes owners"),
        (card_of(GROUP.owners[1]), "owner 1", "has the keys and endpoints that owner 1 has already"),
        (NEW, "nobody", "epoch 0 has no owner nobody; it has owner 0, owner 1, owner 2, owner 3"),
    ],
)
def test_a_card_that_rotates_nothing_is_refused(card: Card, name: str, said: str) -> None:
    with pytest.raises(ConfigInvalid, match=said):
        rotated(GROUP, name, card, "new")


@pytest.mark.parametrize("key", ["owner_key", "node_key", "curve_key"])
def test_a_key_that_another_owner_has_is_refused(key: str) -> None:
    taken = msgspec.structs.replace(NEW, **{key: getattr(GROUP.owners[3], key).hex()})
    with pytest.raises(ConfigInvalid, match="share the"):
        proposed(GROUP, added(GROUP, taken, "new"), None, None)


def vote(owner: int = 2) -> ChangeVote:
    configuration = change().configuration
    statement = change_statement(GROUP, configuration).encode()
    signature = Signature(KEYS.owner_keys[owner].sign(statement))
    return ChangeVote(GROUP.id, GROUP.epoch, OwnerId(owner), configuration, signature)


def test_a_vote_of_an_owners_key_counts_and_comes_back_from_its_file() -> None:
    assert vote_fault(GROUP, vote(), KEYS.checker) is None
    assert vote_from_toml(vote_to_toml(vote(), "what changes"), "a file") == vote()


LATER = proposed(GROUP, removed(GROUP, "owner 2"), 0, None)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (replace(vote(), group=GroupId(bytes(32))), "another group"),
        (replace(vote(), epoch=Epoch(3)), "the vote is for epoch 3, and the latest that is known here is 0"),
        (replace(vote(), owner=OwnerId(1)), "not signed with the owner key that epoch 0 names for owner 1"),
        (replace(vote(), owner=OwnerId(9)), "not signed with the owner key"),
        (replace(vote(), configuration=encode_configuration(LATER)), "not signed with the owner key"),
        (replace(vote(), configuration=Digest(bytes(32))), "cannot follow epoch 0: "),
    ],
    ids=["group", "epoch", "owner", "stranger", "configuration", "garbage"],
)
def test_a_vote_that_does_not_count_says_why(wrong: ChangeVote, said: str) -> None:
    fault = vote_fault(GROUP, wrong, KEYS.checker)
    assert fault is not None and said in fault


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("epoch = 0", "epoch = -1", "out of bounds"),
        ("configuration = ", "configuration = 'zz' #", "configuration must be"),
        ("format = 1", "format = 9", "format"),
        ("owner = 2", "owner = 2\nmore = 1", "more"),
    ],
)
def test_a_vote_file_that_is_none_names_its_key(before: str, after: str, said: str) -> None:
    text = vote_to_toml(vote(), "what changes").replace(before, after)
    with pytest.raises(ConfigInvalid, match=f"a file.*{said}"):
        vote_from_toml(text, "a file")
