"""Status, and fetching what links lost: no progress depends on a message arriving at the first try (rule 3.9)."""

from __future__ import annotations

from typing import assert_never

from dropbeard.agreement.effects import Broadcast, Effect, Send
from dropbeard.agreement.replica_state import Fetch, ReplicaState, Want
from dropbeard.agreement.voting import on_certificate
from dropbeard.types import versions
from dropbeard.types.blocks import LaneTip
from dropbeard.types.ids import Digest, Epoch, Height, LaneHeight, OwnerId, RequestId, View
from dropbeard.types.limits import FETCH_HEADERS_MAX, FETCH_VIEWS_MAX
from dropbeard.types.messages import (
    AnyCertificate,
    BatchNotice,
    CertificateNotice,
    Echo,
    FetchBatches,
    FetchBucket,
    FetchHeader,
    FetchInput,
    FetchPage,
    FetchSnapshot,
    FetchSuccession,
    FetchViews,
    PageNotice,
    Presence,
    Proposal,
    Status,
)

ASKED_AT_ONCE = 2
"""Peers asked at each repeated attempt: one of any f+1 is honest, and asking all costs n times the answer."""


SMOOTHING = 3
"""A new round trip weighs one part against this many of the old estimate."""


def status_of(state: ReplicaState) -> Status:
    """Where this replica stands."""
    best_view, best = state.best
    held = state.rounds.get(best_view)
    final = state.chain.final.header
    proved_by = state.chain.final.proved_by
    tips = state.lanes.tips_from(final.cut)
    return Status(
        epoch=state.group.epoch,
        view=state.view,
        final_height=final.height,
        best=held.notarizations.get(best) if held is not None else None,
        finalization=state.chain.finalizations.get(proved_by) if proved_by is not None else None,
        tips=tips,
        stamp=state.mono,
        echoes=tuple(Echo(peer, stamp, state.mono - came) for peer, (stamp, came) in state.peer_stamps.items()),
        presence=_presence(state),
        minor=versions.WIRE_MINOR,
    )


def _presence(state: ReplicaState) -> Presence:
    if state.ending is not None:
        return state.ending
    return Presence.WAITS if state.engine is None else Presence.SERVES


def on_node_ends(state: ReplicaState, presence: Presence) -> list[Effect]:
    """Everyone hears at once that we drain or leave, so that nobody waits for our turns (rule 3.6)."""
    state.ending = presence
    return [Broadcast(status_of(state))] if state.may_speak else []


def send_status(state: ReplicaState) -> list[Effect]:
    """Every ``status_interval``, and note which batches everyone was told of (rule 3.6, starvation)."""
    if state.mono < state.next_status_us:
        return []
    state.next_status_us = state.mono + state.group.parameters.status_interval_us
    status = status_of(state)
    for low, tip in zip(state.chain.final.header.cut, status.tips, strict=True):
        rows = state.lanes.between(low, tip)
        for signed in rows if isinstance(rows, list) else ():
            state.reported_us.setdefault(signed.batch.digest, state.mono)
    return [Broadcast(status)]


def on_status(state: ReplicaState, sender: OwnerId, status: Status) -> list[Effect]:
    """Learn what the sender has and we lack."""
    effects: list[Effect] = []
    if status.best is not None:
        effects += on_certificate(state, status.best)
    if status.finalization is not None:
        effects += on_certificate(state, status.finalization)
    if tuple(tip.owner for tip in status.tips) == state.group.members:
        state.peer_tips[sender] = status.tips
        state.lacking_tips[sender] = list(status.tips)
    if status.presence is Presence.LEAVES:
        state.leaving[sender] = None
    elif status.presence is not Presence.DRAINS:  # that may have been overtaken
        state.leaving.pop(sender, None)
    state.peer_views[sender] = status.view
    state.peer_heights[sender] = max(status.final_height, state.peer_heights.get(sender, status.final_height))
    state.peer_stamps[sender] = (status.stamp, state.mono)
    for echo in status.echoes:
        if echo.owner == state.me:
            _measure(state, sender, state.mono - echo.stamp - echo.held_us)
    return effects


def _measure(state: ReplicaState, peer: OwnerId, trip_us: int) -> None:
    """One more round trip; what a peer says of its own delay is bounded by what can be (rule 3.7)."""
    if 0 <= trip_us <= state.group.parameters.advance_timeout_us:
        before = state.round_trips.get(peer, trip_us)
        state.round_trips[peer] = (SMOOTHING * before + trip_us) // (SMOOTHING + 1)
        state.timeouts_us = None


def want_reported(state: ReplicaState) -> None:
    """Batches behind every tip that is held or reported, and the certificate that ended a higher view."""
    reach = 2 * state.group.parameters.lane_window
    for sender, tips in list(state.lacking_tips.items()):
        left = []
        for tip in tips:
            low = state.final_lane_height(tip.owner)
            if low < tip.height and (tip.height > low + reach or _want_missing(state, tip, low, sender)):
                left.append(tip)
        if left:
            state.lacking_tips[sender] = left
        else:
            del state.lacking_tips[sender]
    for sender, view in state.peer_views.items():
        if view > state.view:
            state.want("views", max(view - FETCH_VIEWS_MAX, state.view), view - 1, sender)


def _want_missing(state: ReplicaState, tip: LaneTip, low: LaneHeight, sender: OwnerId) -> bool:
    """Ask for the highest batch that is lacking below a tip; is there one?"""
    at, height = tip.digest, tip.height
    while height > low:
        signed = state.lanes.get(tip.owner, at)
        if signed is None:
            state.want("batch", at, low, sender)
            return True
        at, height = signed.batch.parent, LaneHeight(height - 1)
    return False


Question = (
    FetchSuccession | FetchHeader | FetchViews | FetchPage | FetchBatches | FetchInput | FetchSnapshot | FetchBucket
)


def send_fetches(state: ReplicaState) -> list[Effect]:
    """Ask for what is wanted now; forget what is not wanted any more; back off up to ``status_interval``."""
    if not state.wanted:
        state.fetches.clear()
        return []
    for gone in [want for want in state.fetches if want not in state.wanted]:
        del state.fetches[gone]
    effects: list[Effect] = []
    rules, now = state.group.parameters, state.mono
    for want, hint in state.wanted.items():
        fetch = state.fetches.get(want) or Fetch(now, 0)
        if now < fetch.next_us:
            continue
        pause = min(rules.finalize_timeout_us << min(fetch.attempts, 10), rules.status_interval_us)
        effects += [Send(peer, _question(state, want)) for peer in _whom(state, want, fetch.attempts, hint)]
        state.fetches[want] = Fetch(now + pause, fetch.attempts + 1)
    state.wanted.clear()
    return effects


def _whom(state: ReplicaState, want: Want, attempts: int, hint: OwnerId | None) -> list[OwnerId]:
    peers = state.peers
    if not peers:
        return []
    if attempts == 0 and hint is not None and hint != state.me:
        return [hint]
    kind, name, bound = want
    if isinstance(name, bytes):
        # Which peer is first must not depend on a digest that covers signatures, or no run could be repeated.
        name = name[0] if kind in ("bucket", "input") else bound
    first = (name + attempts * ASKED_AT_ONCE) % len(peers)
    return [peers[(first + k) % len(peers)] for k in range(min(ASKED_AT_ONCE, len(peers)))]


def _question(state: ReplicaState, want: Want) -> Question:
    kind, name, bound = want
    if kind == "views" and isinstance(name, int):
        return FetchViews(View(name), View(bound))
    if kind == "snapshot" and isinstance(name, int):
        return FetchSnapshot(Height(name))
    if kind == "succession" and isinstance(name, int):
        return FetchSuccession(Epoch(name))
    if not isinstance(name, bytes):
        raise AssertionError(f"a want of kind {kind} is named by a digest")
    if kind == "header":
        return FetchHeader(Digest(name), Height(bound))
    if kind == "bucket":
        return FetchBucket(Height(bound), Digest(name))
    if kind == "input":
        return FetchInput(RequestId(name))
    if kind == "page":
        return FetchPage(Digest(name))
    return FetchBatches(Digest(name), LaneHeight(bound))


def on_fetch(
    state: ReplicaState, sender: OwnerId, asked: FetchHeader | FetchViews | FetchPage | FetchBatches
) -> list[Effect]:
    """Serve a peer from what is in memory; nothing is sent for what is not."""
    match asked:
        case FetchHeader(header, above):
            return [Send(sender, proposal) for proposal in _proposals_down(state, header, above)]
        case FetchViews(first, last):
            return [Send(sender, CertificateNotice(cert)) for cert in _certificates(state, first, last)]
        case FetchPage(digest):
            page = state.chain.pages.get(digest)
            return [] if page is None else [Send(sender, PageNotice(page))]
        case FetchBatches(tip, above):
            rows = [signed for lanes in (state.lanes, *state.former.values()) for signed in lanes.find_down(tip, above)]
            return [Send(sender, BatchNotice(signed)) for signed in reversed(rows)]
        case _:
            assert_never(asked)


def _proposals_down(state: ReplicaState, header: Digest, above: Height) -> list[Proposal]:
    rows: list[Proposal] = []
    block = state.chain.block(header)
    while block is not None and block.proposal is not None and block.header.height > above:
        rows.append(block.proposal)
        if len(rows) == FETCH_HEADERS_MAX:
            break
        block = state.chain.block(block.header.parent)
    rows.reverse()
    return rows


def _certificates(state: ReplicaState, first: View, last: View) -> list[AnyCertificate]:
    rows: list[AnyCertificate] = []
    for view in range(first, min(last, first + FETCH_VIEWS_MAX - 1) + 1):
        round_ = state.rounds.get(View(view))
        if round_ is not None:
            rows += round_.notarizations.values()
            if round_.nullification is not None:
                rows.append(round_.nullification)
    return rows
