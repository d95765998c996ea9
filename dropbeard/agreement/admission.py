"""The group's rules for clients, as each replica keeps them at admission (rule 2.2).

Every replica counts for itself, by its own clocks, what came to it on the client's own connection; a request that f+1
lanes attest is run without counting (rule 2.3), and one that is agreed already is never refused (rule 4.5). So a liar
may admit whatever it likes, and nothing comes of it: f lanes are not enough for anybody else to run a request, and an
entry needs ``answers`` > f attestations, so some honest replica admitted every request that is in one.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from dropbeard.agreement.replica_state import Account, ReplicaState
from dropbeard.types.client_rules import ClientRules
from dropbeard.types.ids import ClientKey
from dropbeard.types.limits import CLIENT_ACCOUNTS_MAX
from dropbeard.types.messages import RejectReason
from dropbeard.types.parameters import SECOND

DAY_US: Final = 86_400 * SECOND


class Refusal(NamedTuple):
    """Why a request is not admitted, and when it is worth another try (0: not as it is)."""

    reason: RejectReason
    retry_after_us: int
    detail: str


def charge(state: ReplicaState, client: ClientKey) -> Refusal | None:
    """Count one more request of ``client``, or say which limit it would break; then nothing is counted."""
    rules = state.group.clients
    if rules is None or not (rules.rate_per_s or rules.per_day):
        return None
    account = _account(state, rules, client)
    refusal = _over_rate(rules, account) or _over_quota(rules, account, state.wall)
    if refusal is None:
        account.debt += SECOND
        account.used += 1
        _keep(state, client, account)
    return refusal


def _account(state: ReplicaState, rules: ClientRules, client: ClientKey) -> Account:
    """As it stands now; a clock that goes back brings no second quota."""
    today = state.wall // DAY_US
    account = state.accounts.get(client)
    if account is None:
        return Account(state.mono, today)
    account.debt = max(0, account.debt - rules.rate_per_s * max(0, state.mono - account.at_us))
    account.at_us = state.mono
    if today > account.day:
        account.day, account.used = today, 0
    return account


def _over_rate(rules: ClientRules, account: Account) -> Refusal | None:
    over = account.debt + SECOND - rules.burst * SECOND
    if not rules.rate_per_s or over <= 0:
        return None
    detail = f"at most {rules.rate_per_s} requests of one client a second, {rules.burst} at once"
    return Refusal(RejectReason.OVER_RATE, -(-over // rules.rate_per_s), detail)


def _over_quota(rules: ClientRules, account: Account, wall_us: int) -> Refusal | None:
    if not rules.per_day or account.used < rules.per_day:
        return None
    detail = f"at most {rules.per_day} requests of one client in a UTC day"
    return Refusal(RejectReason.OVER_QUOTA, DAY_US - wall_us % DAY_US, detail)


def _keep(state: ReplicaState, client: ClientKey, account: Account) -> None:
    state.accounts.pop(client, None)
    if len(state.accounts) >= CLIENT_ACCOUNTS_MAX:
        del state.accounts[next(iter(state.accounts))]
    state.accounts[client] = account
