"""What owners may want of the next epoch, and how two groups differ, in words (rule 8.4)."""

from __future__ import annotations

from dataclasses import replace

from dropbeard.errors import ConfigInvalid, MessageInvalid
from dropbeard.types.cards import Card, owner_from_card
from dropbeard.types.checking import SignatureChecker
from dropbeard.types.group import Group, Owner
from dropbeard.types.ids import OwnerId
from dropbeard.types.membership import change_statement, following_group, next_group
from dropbeard.types.vote_file import ChangeVote

NAMED_KEYS = (("owner_key", "owner key"), ("node_key", "node key"), ("curve_key", "transport key"))


def added(group: Group, card: Card, what: str) -> tuple[Owner, ...]:
    """The owners with one more, under an id that nobody had before. ``what`` names the card's file."""
    return (*group.owners, owner_from_card(card, OwnerId(group.ids_given), what))


def removed(group: Group, name: str) -> tuple[Owner, ...]:
    """The owners without one; ConfigInvalid when there is none of this name."""
    gone = _named(group, name)
    return tuple(owner for owner in group.owners if owner != gone)


def replaced(group: Group, name: str, card: Card, what: str) -> tuple[Owner, ...]:
    """One leaves, another one comes."""
    comes = owner_from_card(card, OwnerId(group.ids_given), what)
    return (*removed(group, name), comes)


def rotated(group: Group, name: str, card: Card, what: str) -> tuple[Owner, ...]:
    """An owner with the keys and endpoints of a new card; name, id and first model stay. ConfigInvalid when the card is
    of another name or brings nothing new.
    """
    before, new = _named(group, name), owner_from_card(card, OwnerId(0), what)
    if new.name != name:
        raise ConfigInvalid(f"{what} is the card of {new.name}, not of {name}; replace changes owners")
    keys = (new.owner_key, new.node_key, new.curve_key, new.endpoints)
    if keys == (before.owner_key, before.node_key, before.curve_key, before.endpoints):
        raise ConfigInvalid(f"{what} has the keys and endpoints that {name} has already")
    after = replace(
        before, owner_key=new.owner_key, node_key=new.node_key, curve_key=new.curve_key, endpoints=new.endpoints
    )
    return tuple(after if owner == before else owner for owner in group.owners)


def proposed(group: Group, owners: tuple[Owner, ...], f: int | None, answers: int | None) -> Group:
    """The next group; ConfigInvalid when it cannot work. f stays as it is unless given; ``answers`` stays n - f if it
    is that now, and otherwise as it is."""
    faults = group.f if f is None else f
    usual = len(owners) - faults if group.answers == group.n - group.f else group.answers
    return next_group(group, owners, faults, usual if answers is None else answers)


def _named(group: Group, name: str) -> Owner:
    found = next((owner for owner in group.owners if owner.name == name), None)
    if found is None:
        names = ", ".join(owner.name for owner in group.owners)
        raise ConfigInvalid(f"epoch {group.epoch} has no owner {name}; it has {names}")
    return found


def differences(before: Group, after: Group) -> list[str]:
    """What changes from one epoch to the next, a line each."""
    found = [f"removes {owner.name}" for owner in before.owners if after.owner(owner.id) is None]
    for owner in after.owners:
        known = before.owner(owner.id)
        if known is None:
            found.append(f"adds {owner.name} at {owner.endpoints.votes}")
            continue
        changed = [said for key, said in NAMED_KEYS if getattr(known, key) != getattr(owner, key)]
        changed += [f"place, {owner.endpoints.votes}"] if known.endpoints != owner.endpoints else []
        if changed:
            found.append(f"gives {owner.name} another {' and '.join(changed)}")
    for name in ("f", "answers"):
        if getattr(before, name) != getattr(after, name):
            found.append(f"{name} = {getattr(after, name)} instead of {getattr(before, name)}")
    return found


def vote_fault(group: Group, vote: ChangeVote, checker: SignatureChecker) -> str | None:
    """Why a vote does not count in ``group``'s epoch; None when it does."""
    if vote.group != group.id:
        return "the vote is for another group"
    if vote.epoch < group.epoch:
        return f"the vote is for epoch {vote.epoch}, and the group is in epoch {group.epoch}: vote again, --successions"
    if vote.epoch > group.epoch:
        return f"the vote is for epoch {vote.epoch}, and the latest that is known here is {group.epoch}"
    try:
        following_group(group, vote.configuration)
    except MessageInvalid as wrong:
        return f"its configuration cannot follow epoch {group.epoch}: {wrong}"
    statement = change_statement(group, vote.configuration).encode()
    if group.owner(vote.owner) is None or not checker.check_owner(vote.owner, statement, vote.signature):
        return f"it is not signed with the owner key that epoch {group.epoch} names for owner {vote.owner}"
    return None
