"""Messages between a client and a node (schemas/client.capnp)."""

from __future__ import annotations

import struct
from typing import Any, assert_never

from dropbeard.codec.engine import cut_text, take_input_kind, take_text
from dropbeard.codec.guard import at_most, close_message, exactly, open_message, schema
from dropbeard.codec.peer import take_signatures
from dropbeard.errors import MessageInvalid
from dropbeard.types import limits, wire
from dropbeard.types.blocks import decode_header, encode_signatures
from dropbeard.types.entries import decode_entry
from dropbeard.types.group import Group
from dropbeard.types.ids import Digest, Epoch, GroupId, Nonce, OwnerId, RequestId, TimeUs
from dropbeard.types.messages import (
    Disclose,
    Disclosed,
    FetchCards,
    FetchOutcome,
    FetchSuccession,
    GroupCards,
    Hello,
    Openings,
    Rejected,
    RejectReason,
    Reply,
    Submit,
    Submits,
    SuccessionNotice,
    ToClient,
    ToNode,
    Welcome,
)
from dropbeard.types.requests import decode_openings, encode_openings
from dropbeard.types.succession import decode_succession

OPENING_BYTES = 160
"""Room that one opening takes beside its output."""

_SUBMIT = struct.Struct("<QQIBIIIH")


def encode_to_node(message: ToNode) -> bytes:
    """One header frame for a node; the inputs of Submits are the caller's next frames."""
    size = 256
    if isinstance(message, Submits):
        size += sum(_SUBMIT.size + len(row.options) for row in message.requests)
    if isinstance(message, Disclose):
        size += len(message.certificate)
    return close_message(lambda m: _put_to_node(m, message), schema("client").ToNode, size)


def _put_to_node(frame: Any, message: ToNode) -> None:
    match message:
        case Hello(group, minor):
            hello = frame.init("hello")
            hello.group, hello.minor = group, minor
        case FetchOutcome(request):
            frame.fetch = request
        case FetchSuccession(epoch):
            frame.succession = epoch
        case FetchCards():
            frame.cards = None
        case Disclose(certificate):
            frame.disclose = certificate
        case Submits(requests):
            into = frame.init("submit")
            into.group, into.rows = requests[0].group, b"".join(map(_submit_row, requests))
        case _:
            assert_never(message)


def _submit_row(row: Submit) -> bytes:
    head = (row.nonce, row.deadline, row.patience_us, row.kind, *row.shape, len(row.options))
    return _SUBMIT.pack(*head) + row.options


def decode_to_node(data: bytes) -> ToNode:
    """Read a client's header frame; MessageInvalid unless it is one. Another group's id is the caller's to judge."""
    return open_message(schema("client").ToNode, data, limits.MESSAGE_BYTES_MAX, _take_to_node)


def _take_to_node(frame: Any) -> ToNode:
    which = str(frame.which())
    if which == "hello":
        return Hello(GroupId(exactly(frame.hello.group, 32, "a group id")), frame.hello.minor)
    if which == "fetch":
        return FetchOutcome(RequestId(exactly(frame.fetch, 32, "a request id")))
    if which == "succession":
        return FetchSuccession(Epoch(frame.succession))
    if which == "cards":
        return FetchCards()
    if which == "disclose":
        return _take_disclose(frame.disclose)
    if which == "submit":
        return _take_submits(GroupId(exactly(frame.submit.group, 32, "a group id")), frame.submit.rows)
    raise MessageInvalid(f"a client's frame holds {which!r}")


def _take_disclose(certificate: bytes) -> Disclose:
    if len(certificate) > limits.DISCLOSED_BYTES_MAX:
        raise MessageInvalid(f"a certificate of {len(certificate)} bytes, at most {limits.DISCLOSED_BYTES_MAX}")
    return Disclose(certificate)


def _take_submits(group: GroupId, rows: bytes) -> Submits:
    requests = []
    for fields, options in wire.tailed_rows(_SUBMIT, rows, limits.SUBMITS_MAX, limits.OPTIONS_BYTES_MAX):
        nonce, deadline, patience_us, kind, height, width, channels = fields
        shape = (height, width, channels)
        requests.append(
            Submit(group, Nonce(nonce), TimeUs(deadline), patience_us, options, take_input_kind(kind), shape)
        )
    if not requests:
        raise MessageInvalid("a message submits nothing")
    return Submits(tuple(requests))


def encode_to_client(message: ToClient) -> bytes:
    """One frame for a client."""
    return close_message(lambda m: _put_to_client(m, message), schema("client").ToClient, _estimate(message))


def _estimate(message: ToClient) -> int:
    if isinstance(message, Openings):
        return sum(OPENING_BYTES + len(opening.output) for opening in message.openings)
    if isinstance(message, Reply):
        headers = sum(len(header.body) + 16 for header in message.headers)
        entries = sum(len(entry.encoded) + 32 for _, entry in message.entries)
        return headers + entries + 66 * len(message.signatures) + 32 * len(message.proof)
    if isinstance(message, SuccessionNotice):
        return len(message.succession.encode())
    return len(message.toml) if isinstance(message, GroupCards) else 4 * limits.REJECT_TEXT_BYTES_MAX


def _put_to_client(frame: Any, message: ToClient) -> None:
    match message:
        case Welcome(owner, epoch, granted, minor):
            into = frame.init("welcome")
            into.owner, into.epoch, into.credits, into.minor = owner, epoch, granted, minor
        case Openings(openings):
            frame.openings = encode_openings(openings)
        case Reply():
            into = frame.init("reply")
            into.headers = [header.body for header in message.headers]
            into.signatures = encode_signatures(message.signatures)
            into.indices = [index for index, _ in message.entries]
            into.entries = [entry.encoded for _, entry in message.entries]
            into.count, into.proof = message.count, b"".join(message.proof)
        case Rejected(request, reason, retry_after_us, detail):
            into = frame.init("rejected")
            into.request, into.reason, into.retryAfter = request, int(reason), retry_after_us
            into.detail = cut_text(detail, limits.REJECT_TEXT_BYTES_MAX)
        case SuccessionNotice(succession):
            frame.succession = succession.encode()
        case GroupCards(toml):
            frame.cards = toml
        case Disclosed(kept, detail):
            into = frame.init("disclosed")
            into.kept, into.detail = kept, cut_text(detail, limits.REJECT_TEXT_BYTES_MAX)
        case _:
            assert_never(message)


def decode_to_client(data: bytes, group: Group) -> ToClient:
    """Read a node's frame; MessageInvalid unless it is one. Nothing in it is proved yet."""
    return open_message(
        schema("client").ToClient, data, limits.MESSAGE_BYTES_MAX, lambda frame: _take_to_client(frame, group)
    )


def _take_to_client(frame: Any, group: Group) -> ToClient:
    which = str(frame.which())
    if which == "welcome":
        row = frame.welcome
        return Welcome(OwnerId(row.owner), Epoch(row.epoch), row.credits, row.minor)
    if which == "openings":
        return Openings(decode_openings(frame.openings, group.parameters.batch_items_max))
    if which == "reply":
        return _take_reply(frame.reply, group)
    if which == "succession":
        return SuccessionNotice(decode_succession(frame.succession, group.id))
    if which == "rejected":
        row = frame.rejected
        if row.reason not in RejectReason._value2member_map_:
            raise MessageInvalid(f"reject reason {row.reason} is unknown")
        detail = take_text(row.detail, limits.REJECT_TEXT_BYTES_MAX, "a detail")
        request = RequestId(exactly(row.request, 32, "a request id"))
        return Rejected(request, RejectReason(row.reason), row.retryAfter, detail)
    if which == "cards":
        return _take_cards(frame)
    if which == "disclosed":
        return _take_disclosed(frame)
    raise MessageInvalid(f"a node's frame holds {which!r}")


def decode_cards(data: bytes) -> GroupCards | None:
    """Read a node's frame without knowing its group: the cards it shows, None for another message; MessageInvalid for
    other bytes."""
    return open_message(schema("client").ToClient, data, limits.MESSAGE_BYTES_MAX, _only_cards)


def _only_cards(frame: Any) -> GroupCards | None:
    return _take_cards(frame) if str(frame.which()) == "cards" else None


def _take_cards(frame: Any) -> GroupCards:
    toml = frame.cards
    if len(toml) > limits.GROUP_CARDS_BYTES_MAX:
        raise MessageInvalid(f"group cards of {len(toml)} bytes, at most {limits.GROUP_CARDS_BYTES_MAX} are possible")
    return GroupCards(toml)


def decode_disclosed(data: bytes) -> Disclosed | None:
    """Read a node's frame without knowing its group: what became of a certificate, None for another message;
    MessageInvalid for other bytes."""
    return open_message(schema("client").ToClient, data, limits.MESSAGE_BYTES_MAX, _only_disclosed)


def _only_disclosed(frame: Any) -> Disclosed | None:
    return _take_disclosed(frame) if str(frame.which()) == "disclosed" else None


def _take_disclosed(frame: Any) -> Disclosed:
    row = frame.disclosed
    return Disclosed(row.kept, take_text(row.detail, limits.REJECT_TEXT_BYTES_MAX, "a detail"))


def _take_reply(row: Any, group: Group) -> Reply:
    headers = tuple(decode_header(h, group.id) for h in at_most(row.headers, limits.LINKS_MAX + 1, "headers"))
    indices = list(at_most(row.indices, limits.REPLY_ENTRIES_MAX, "indices"))
    entries = [decode_entry(e) for e in at_most(row.entries, limits.REPLY_ENTRIES_MAX, "entries")]
    proof = row.proof
    if not headers or len(indices) != len(entries) or len(proof) % 32 or row.count > limits.ENTRIES_MAX:
        raise MessageInvalid("a reply's headers, indices, entries and proof do not fit together")
    digests = tuple(Digest(proof[at : at + 32]) for at in range(0, len(proof), 32))
    rows = tuple(zip(indices, entries, strict=True))
    return Reply(headers, take_signatures(row.signatures), rows, row.count, digests)
