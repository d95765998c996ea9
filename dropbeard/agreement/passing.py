"""Certificates are passed on to who lacks them (rule 3.4).

Votes go to everyone, so a peer has nearly always made a certificate itself before ours could reach it, and shows so by
what it signs next. One that does not within ``finalize_timeout`` is sent the certificate.
"""

from __future__ import annotations

from dropbeard.agreement.effects import Effect, Send
from dropbeard.agreement.replica_state import Passing, ReplicaState
from dropbeard.types.ids import OwnerId
from dropbeard.types.messages import AnyCertificate, CertificateNotice
from dropbeard.types.statements import Nullify


def pass_on_later(state: ReplicaState, certificate: AnyCertificate) -> None:
    """Remember a certificate that is new here."""
    due_us = state.mono + state.group.parameters.finalize_timeout_us
    state.passing.setdefault((type(certificate.vote), certificate.vote.view), Passing(certificate, due_us))


def pass_on(state: ReplicaState) -> list[Effect]:
    """Send each certificate that is due to the peers that have not shown that they hold it; forget what all hold, so
    that no turn is run for it."""
    effects: list[Effect] = []
    for name, (certificate, due_us) in list(state.passing.items()):
        is_due = due_us <= state.mono
        for peer in state.peers:
            if not _shown(state, peer, certificate):
                if not is_due:
                    break
                effects.append(Send(peer, CertificateNotice(certificate)))
        else:
            del state.passing[name]
    return effects


def _shown(state: ReplicaState, peer: OwnerId, certificate: AnyCertificate) -> bool:
    """Below the final block nothing is needed. A Finalize needs a notarization in hand (R3); who voted in a later view
    is past this one, and what it still lacks comes with proposals or is fetched. Who signed what became final hears the
    other signers, or the next status."""
    vote = certificate.vote
    if vote.view < state.chain.final.header.view:
        return True
    latest = state.latest_votes.get(peer)
    if latest is not None and latest.vote.view > vote.view:
        return True
    if isinstance(vote, Nullify):
        return False
    final = state.chain.finalizations.get(vote.header)
    if final is not None and peer in dict(final.signatures):
        return True
    round_ = state.rounds.get(vote.view)
    return round_ is not None and peer in round_.finalizes.get(vote.header, {})


def next_passing_us(state: ReplicaState) -> list[int]:
    """When the next one is due."""
    return [next(iter(state.passing.values())).due_us] if state.passing else []
