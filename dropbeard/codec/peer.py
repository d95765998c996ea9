"""Messages between replicas (schemas/peer.capnp)."""

from __future__ import annotations

from typing import Any, assert_never

from dropbeard.codec.guard import at_most, close_message, exactly, open_message, schema
from dropbeard.errors import MessageInvalid
from dropbeard.types import limits, wire
from dropbeard.types.blocks import (
    Cut,
    LaneTip,
    QuorumCertificate,
    Signatures,
    decode_header,
    decode_justification,
    decode_page,
    encode_signatures,
    read_signatures,
)
from dropbeard.types.group import Group
from dropbeard.types.ids import Digest, Epoch, Height, LaneHeight, OwnerId, Signature, View
from dropbeard.types.lanes import SignedBatch, decode_batch, encode_promise, read_promise
from dropbeard.types.messages import (
    AnyCertificate,
    BatchNotice,
    BootAnswer,
    BootQuestion,
    CertificateNotice,
    Echo,
    FetchBatches,
    FetchHeader,
    FetchPage,
    FetchSuccession,
    FetchViews,
    LanesMessage,
    PageNotice,
    Presence,
    Proposal,
    Status,
    SuccessionNotice,
    VotesMessage,
)
from dropbeard.types.statements import Finalize, Notarize, Nullify, Vote
from dropbeard.types.succession import decode_succession
from dropbeard.types.votes import SignedVote

_KINDS = {Notarize: "notarize", Finalize: "finalize", Nullify: "nullify"}
SIGNED_BYTES_MAX = 128 + 66 * limits.REPLICAS_MAX
TIP_BYTES = 64


def encode_votes(message: VotesMessage) -> bytes:
    """One frame for the votes socket."""
    return close_message(lambda m: _put_votes(m, message), schema("peer").VotesFrame, _estimate(message))


def _estimate(message: VotesMessage) -> int:
    if isinstance(message, Proposal):
        pages = sum(len(page.encoded) + 16 for page in message.pages)
        return len(message.header.body) + len(message.justification.encoded) + pages
    if isinstance(message, PageNotice):
        return len(message.page.encoded)
    if isinstance(message, SuccessionNotice):
        return len(message.succession.encode())
    if isinstance(message, Status):
        return 2 * SIGNED_BYTES_MAX + TIP_BYTES * (len(message.tips) + len(message.echoes))
    return 2 * SIGNED_BYTES_MAX


def _put_votes(frame: Any, message: VotesMessage) -> None:
    match message:
        case SignedVote():
            _put_signed(frame.init("vote"), message)
        case Proposal():
            _put_proposal(frame.init("proposal"), message)
        case CertificateNotice(certificate):
            _put_certificate(frame.init("certificate"), certificate)
        case Status():
            _put_status(frame.init("status"), message)
        case FetchHeader(header, above):
            asked = frame.init("fetchHeader")
            asked.header, asked.above = header, above
        case FetchViews(first, last):
            asked = frame.init("fetchViews")
            asked.first, asked.last = first, last
        case FetchPage(digest):
            frame.fetchPage = digest
        case PageNotice(page):
            into = frame.init("page")
            into.page = page.encoded
            into.epoch = page.nullifications[0].vote.epoch if page.nullifications else 0
        case BootQuestion(epoch, boot):
            asked = frame.init("bootQuestion")
            asked.boot, asked.epoch = boot, epoch
        case FetchSuccession(epoch):
            frame.fetchSuccession = epoch
        case SuccessionNotice(succession):
            frame.succession = succession.encode()
        case BootAnswer():
            _put_boot_answer(frame.init("bootAnswer"), message)
        case _:
            assert_never(message)


def _put_signed(into: Any, signed: SignedVote) -> None:
    into.signer, into.signature = signed.signer, signed.signature
    _put_vote(into.init("vote"), signed.vote)


def _put_boot_answer(into: Any, answer: BootAnswer) -> None:
    into.boot, into.epoch = answer.boot, answer.epoch
    if answer.vote is not None:
        _put_signed(into.init("vote"), answer.vote)
    if answer.lane is not None:
        promise = answer.lane.promise
        into.lane = wire.u16(promise.owner) + wire.u32(promise.epoch) + encode_promise(answer.lane)


def _put_vote(into: Any, vote: Vote) -> None:
    into.kind, into.view, into.epoch = _KINDS[type(vote)], vote.view, vote.epoch
    into.header = b"" if isinstance(vote, Nullify) else vote.header


def _put_certificate(into: Any, certificate: AnyCertificate) -> None:
    _put_vote(into.init("vote"), certificate.vote)
    into.signatures = encode_signatures(certificate.signatures)


def _put_proposal(into: Any, proposal: Proposal) -> None:
    into.header, into.signature = proposal.header.body, proposal.signature
    into.justification = proposal.justification.encoded
    into.pages = [page.encoded for page in proposal.pages]


def _put_status(into: Any, status: Status) -> None:
    into.epoch, into.view, into.finalHeight = status.epoch, status.view, status.final_height
    if status.best is not None:
        _put_certificate(into.init("best"), status.best)
    if status.finalization is not None:
        _put_certificate(into.init("finalization"), status.finalization)
    rows = into.init("tips", len(status.tips))
    for row, tip in zip(rows, status.tips, strict=True):
        row.owner, row.height, row.digest = tip.owner, tip.height, tip.digest
    into.stamp = status.stamp
    for row, echo in zip(into.init("echoes", len(status.echoes)), status.echoes, strict=True):
        row.owner, row.stamp, row.held = echo.owner, echo.stamp, echo.held_us
    into.presence, into.minor = int(status.presence), status.minor


def decode_votes(data: bytes, group: Group) -> VotesMessage:
    """Read a frame of the votes socket; MessageInvalid unless it is one. Signatures are not checked here."""
    return open_message(
        schema("peer").VotesFrame, data, limits.MESSAGE_BYTES_MAX, lambda frame: _take_votes(frame, group)
    )


def _take_votes(frame: Any, group: Group) -> VotesMessage:
    which = str(frame.which())
    if which == "vote":
        return _take_signed(frame.vote, group)
    if which == "proposal":
        return _take_proposal(frame.proposal, group)
    if which == "certificate":
        return CertificateNotice(_take_certificate(frame.certificate, group))
    if which == "status":
        return _take_status(frame.status, group)
    if which == "fetchHeader":
        asked = frame.fetchHeader
        return FetchHeader(Digest(exactly(asked.header, 32, "a digest")), Height(asked.above))
    if which == "fetchViews":
        asked = frame.fetchViews
        return FetchViews(View(asked.first), View(asked.last))
    if which == "fetchPage":
        return FetchPage(Digest(exactly(frame.fetchPage, 32, "a digest")))
    if which == "bootQuestion":
        return BootQuestion(Epoch(frame.bootQuestion.epoch), frame.bootQuestion.boot)
    if which == "bootAnswer":
        return _take_boot_answer(frame.bootAnswer, group)
    if which == "page":
        return PageNotice(decode_page(frame.page.page, group.id, Epoch(frame.page.epoch)))
    if which == "fetchSuccession":
        return FetchSuccession(Epoch(frame.fetchSuccession))
    if which == "succession":
        return SuccessionNotice(decode_succession(frame.succession, group.id))
    raise MessageInvalid(f"a votes frame holds {which!r}")


def _take_signed(row: Any, group: Group) -> SignedVote:
    vote, signature = _take_vote(row.vote, group), Signature(exactly(row.signature, 64, "a signature"))
    return SignedVote(_member(row.signer, vote.epoch, group), vote, signature)


def _take_boot_answer(row: Any, group: Group) -> BootAnswer:
    vote = _take_signed(row.vote, group) if row._has("vote") else None
    data, lane = row.lane, None
    if data:
        reader = wire.Reader(data)
        owner, epoch = reader.u16(), Epoch(reader.u32())
        lane = read_promise(reader, group.id, epoch, _member(owner, epoch, group))
        reader.end()
    return BootAnswer(Epoch(row.epoch), row.boot, vote, lane)


def _member(owner: int, epoch: Epoch, group: Group) -> OwnerId:
    """Who serves another epoch than ours is not known here (rule 8.4)."""
    if epoch == group.epoch and group.owner(OwnerId(owner)) is None:
        raise MessageInvalid(f"owner {owner} is no member of the group")
    return OwnerId(owner)


def _take_vote(row: Any, group: Group) -> Vote:
    kind, epoch, view, header = str(row.kind), Epoch(row.epoch), View(row.view), row.header
    if kind == "nullify":
        exactly(header, 0, "a Nullify's header")
        return Nullify(group.id, epoch, view)
    digest = Digest(exactly(header, 32, "a digest"))
    if kind == "notarize":
        return Notarize(group.id, epoch, view, digest)
    if kind == "finalize":
        return Finalize(group.id, epoch, view, digest)
    raise MessageInvalid("a vote of unknown kind")


def _take_certificate(row: Any, group: Group) -> AnyCertificate:
    return _certify(_take_vote(row.vote, group), take_signatures(row.signatures))


def _certify(vote: Vote, signatures: Signatures) -> AnyCertificate:
    match vote:
        case Notarize():
            return QuorumCertificate(vote, signatures)
        case Finalize():
            return QuorumCertificate(vote, signatures)
        case Nullify():
            return QuorumCertificate(vote, signatures)
        case _:
            assert_never(vote)


def take_signatures(data: bytes) -> Signatures:
    """Read a whole block of signatures; MessageInvalid on any other bytes."""
    reader = wire.Reader(data)
    signatures = read_signatures(reader)
    reader.end()
    return signatures


def _take_proposal(row: Any, group: Group) -> Proposal:
    header = decode_header(row.header, group.id)
    signature = Signature(exactly(row.signature, 64, "a signature"))
    justification = decode_justification(row.justification, group.id, header.epoch)
    pages = tuple(
        decode_page(page, group.id, header.epoch) for page in at_most(row.pages, limits.PAGES_INLINE_MAX, "pages")
    )
    return Proposal(header, signature, justification, pages)


def _take_status(row: Any, group: Group) -> Status:
    best = finalization = None
    if row._has("best"):
        shown = _take_certificate(row.best, group)
        if not isinstance(shown.vote, Notarize):
            raise MessageInvalid("a status' best certificate is no notarization")
        best = QuorumCertificate(shown.vote, shown.signatures)
    if row._has("finalization"):
        shown = _take_certificate(row.finalization, group)
        if not isinstance(shown.vote, Finalize):
            raise MessageInvalid("a status' finalization is none")
        finalization = QuorumCertificate(shown.vote, shown.signatures)
    epoch = Epoch(row.epoch)
    most = group.n if epoch == group.epoch else limits.REPLICAS_MAX
    tips: Cut = tuple(
        LaneTip(_member(t.owner, epoch, group), LaneHeight(t.height), Digest(exactly(t.digest, 32, "a digest")))
        for t in at_most(row.tips, most, "tips")
    )
    echoes = tuple(Echo(_member(e.owner, epoch, group), e.stamp, e.held) for e in at_most(row.echoes, most, "echoes"))
    told = Presence(row.presence) if row.presence in Presence._value2member_map_ else Presence.UNTOLD
    where = (epoch, View(row.view), Height(row.finalHeight), best, finalization, tips)
    return Status(*where, row.stamp, echoes, told, row.minor)


def encode_lanes(message: LanesMessage) -> bytes:
    """One frame for the lanes socket."""
    form = schema("peer").LanesFrame
    match message:
        case BatchNotice(signed):
            data = signed.batch.encode()
            return close_message(lambda m: _put_batch(m.init("batch"), data, signed.signature), form, len(data))
        case FetchBatches(tip, above):
            return close_message(lambda m: _put_fetch(m.init("fetchBatches"), tip, above), form, 64)
        case _:
            assert_never(message)


def _put_batch(into: Any, data: bytes, signature: Signature) -> None:
    into.batch, into.signature = data, signature


def _put_fetch(into: Any, tip: Digest, above: LaneHeight) -> None:
    into.tip, into.above = tip, above


def decode_lanes(data: bytes, group: Group) -> LanesMessage:
    """Read a frame of the lanes socket; MessageInvalid unless it is one. Signatures are not checked here."""
    return open_message(
        schema("peer").LanesFrame, data, limits.MESSAGE_BYTES_MAX, lambda frame: _take_lanes(frame, group)
    )


def _take_lanes(frame: Any, group: Group) -> LanesMessage:
    which = str(frame.which())
    if which == "batch":
        row = frame.batch
        batch = decode_batch(row.batch, group.parameters)
        if batch.group != group.id:
            raise MessageInvalid("a lane batch of another group")
        _member(batch.owner, batch.epoch, group)
        return BatchNotice(SignedBatch(batch, Signature(exactly(row.signature, 64, "a signature"))))
    if which == "fetchBatches":
        asked = frame.fetchBatches
        return FetchBatches(Digest(exactly(asked.tip, 32, "a digest")), LaneHeight(asked.above))
    raise MessageInvalid(f"a lanes frame holds {which!r}")
