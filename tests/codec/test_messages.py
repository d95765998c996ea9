"""Every message comes back from its bytes as it was."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dropbeard.codec.client import decode_to_client, decode_to_node, encode_to_client, encode_to_node
from dropbeard.codec.engine import decode_from_engine, decode_to_engine, encode_from_engine, encode_to_engine
from dropbeard.codec.peer import decode_lanes, decode_votes, encode_lanes, encode_votes
from dropbeard.errors import MessageInvalid
from dropbeard.simulator.keys import make_keys
from dropbeard.simulator.options import options_for
from dropbeard.types.blocks import Header, Justification, LaneTip, Page, QuorumCertificate
from dropbeard.types.engine_messages import (
    EngineAnswers,
    EngineFailure,
    EngineFigures,
    EngineReady,
    FailReason,
    FromEngine,
    InferTicket,
    InferTickets,
    LoadFailure,
    LoadModel,
    NodeHello,
    ToEngine,
    UnloadModel,
)
from dropbeard.types.entries import Entry, EntryKind, Promise
from dropbeard.types.ids import (
    ClientKey,
    Digest,
    Epoch,
    GroupId,
    Height,
    LaneHeight,
    Nonce,
    OwnerId,
    RequestId,
    Signature,
    TimeUs,
    Version,
    View,
)
from dropbeard.types.lanes import Attestation, LaneBatch, SignedBatch, SignedPromise
from dropbeard.types.limits import CONFIGURATION_BYTES_MAX, DISCLOSED_BYTES_MAX, GROUP_CARDS_BYTES_MAX
from dropbeard.types.messages import (
    BatchNotice,
    BootAnswer,
    BootQuestion,
    CertificateNotice,
    Disclose,
    Disclosed,
    FetchBatches,
    FetchCards,
    FetchHeader,
    FetchOutcome,
    FetchPage,
    FetchSuccession,
    FetchViews,
    GroupCards,
    Hello,
    LanesMessage,
    Openings,
    PageNotice,
    Presence,
    Proposal,
    Rejected,
    RejectReason,
    Reply,
    Status,
    Submit,
    Submits,
    SuccessionNotice,
    ToClient,
    ToNode,
    VotesMessage,
    Welcome,
)
from dropbeard.types.requests import Opening
from dropbeard.types.statements import Finalize, Notarize, Nullify
from dropbeard.types.succession import Succession
from dropbeard.types.task import InputKind
from dropbeard.types.votes import SignedVote

GROUP = make_keys(options_for(1, 4)).group
D = Digest(bytes(range(32)))
E = Digest(bytes(range(32, 64)))
SIG = Signature(b"s" * 64)
ROWS = ((OwnerId(0), SIG), (OwnerId(2), SIG), (OwnerId(3), SIG))
NOTARIZE = Notarize(GROUP.id, GROUP.epoch, View(7), D)
NULLIFY = Nullify(GROUP.id, GROUP.epoch, View(8))
FINALIZE = Finalize(GROUP.id, GROUP.epoch, View(7), D)
CUT = tuple(LaneTip(owner, LaneHeight(owner + 1), D) for owner in GROUP.members)
PAGE = Page((QuorumCertificate(NULLIFY, ROWS),))
JUSTIFICATION = Justification(QuorumCertificate(NOTARIZE, ROWS), (PAGE.digest,))
HEADER = Header(GROUP.id, GROUP.epoch, Height(3), View(9), D, View(7), CUT, TimeUs(5), D, E, JUSTIFICATION.digest)
BATCH = LaneBatch(
    GROUP.id,
    GROUP.epoch,
    OwnerId(1),
    Version(1),
    LaneHeight(2),
    D,
    TimeUs(11),
    tuple(Attestation(ClientKey(bytes([i % 2]) * 32), TimeUs(99), 5, D, E) for i in range(5)),
)
ENTRY = Entry(EntryKind.AGREED, RequestId(D), ClientKey(E), (Promise(OwnerId(0), Version(1), D, E),))

VOTES: list[VotesMessage] = [
    SignedVote(OwnerId(1), NOTARIZE, SIG),
    SignedVote(OwnerId(1), NULLIFY, SIG),
    SignedVote(OwnerId(3), FINALIZE, SIG),
    Proposal(HEADER, SIG, JUSTIFICATION, (PAGE,)),
    Proposal(HEADER, SIG, Justification(None, ()), ()),
    CertificateNotice(QuorumCertificate(NOTARIZE, ROWS)),
    CertificateNotice(QuorumCertificate(NULLIFY, ROWS)),
    CertificateNotice(QuorumCertificate(FINALIZE, ROWS)),
    Status(GROUP.epoch, View(9), Height(2), QuorumCertificate(NOTARIZE, ROWS), QuorumCertificate(FINALIZE, ROWS), CUT),
    Status(GROUP.epoch, View(0), Height(0), None, None, ()),
    Status(GROUP.epoch, View(0), Height(0), None, None, (), 5, (), Presence.LEAVES, 65_535),
    FetchHeader(D, Height(4)),
    FetchViews(View(1), View(5)),
    FetchPage(D),
    PageNotice(PAGE),
    BootQuestion(Epoch(1), 2),
    BootAnswer(Epoch(0), 2, SignedVote(OwnerId(1), NULLIFY, SIG), SignedPromise(BATCH.promise, SIG)),
    BootAnswer(Epoch(1), 2, None, None),
    SignedVote(OwnerId(61), Nullify(GROUP.id, Epoch(5), View(8)), SIG),
    FetchSuccession(Epoch(3)),
    SuccessionNotice(Succession(Epoch(0), (HEADER,), ROWS, D, E, b"c" * CONFIGURATION_BYTES_MAX)),
]
LANES: list[LanesMessage] = [BatchNotice(SignedBatch(BATCH, SIG)), FetchBatches(D, LaneHeight(4))]
TO_NODE: list[ToNode] = [
    Hello(GROUP.id),
    FetchOutcome(RequestId(D)),
    FetchCards(),
    Disclose(b"certificate"),
    Disclose(bytes(DISCLOSED_BYTES_MAX)),
    Submits(
        (
            Submit(GroupId(D), Nonce(2**64 - 1), TimeUs(2**63), 2**32 - 1, b"o" * 64, InputKind.RAW_RGB8, (1, 2, 3)),
            Submit(GroupId(D), Nonce(0), TimeUs(1), 0, b"", InputKind.ENCODED_IMAGE, (0, 0, 0)),
        )
    ),
    FetchSuccession(Epoch(2**32 - 1)),
]
TO_CLIENT: list[ToClient] = [
    Welcome(OwnerId(3), Epoch(0), 77),
    Openings((Opening(RequestId(D), OwnerId(1), Version(1), E, b"answer", D),)),
    Openings(()),
    GroupCards("name = 'später'".encode()),
    GroupCards(b""),
    Disclosed(True, ""),
    Disclosed(False, "später"),
    GroupCards(bytes(GROUP_CARDS_BYTES_MAX)),
    Reply((HEADER,), ROWS, ((4, ENTRY), (9, ENTRY)), 12, (D, E, D)),
    Rejected(RequestId(D), RejectReason.BUSY, 2**40, "später, bitte"),
    SuccessionNotice(Succession(Epoch(1), (HEADER,), ROWS, D, E, b"c")),
]
TO_ENGINE: list[ToEngine] = [
    NodeHello(),
    InferTickets((InferTicket(2**64 - 1, TimeUs(5), Version(1), InputKind.ENCODED_IMAGE, (0, 0, 0), D),) * 2),
    LoadModel(Version(2**32 - 1), D),
    UnloadModel(Version(7)),
]
FROM_ENGINE: list[FromEngine] = [
    EngineReady("efficientnet-lite0", D, Version(1), 256),
    EngineAnswers(((1, b"x"), (2, b""))),
    EngineFailure(3, FailReason.TOO_LATE, "too late"),
    LoadFailure(Version(2), D, "no such model"),
    EngineFigures(Version(1), 2, 3, 4, 2**63, 5, 6, 7, 8, 9, ((1, 2), (8, 1))),
]


@pytest.mark.parametrize("message", VOTES, ids=lambda m: type(m).__name__)
def test_a_message_of_the_votes_socket_comes_back(message: VotesMessage) -> None:
    assert decode_votes(encode_votes(message), GROUP) == message


@pytest.mark.parametrize("message", LANES, ids=lambda m: type(m).__name__)
def test_a_message_of_the_lanes_socket_comes_back(message: LanesMessage) -> None:
    assert decode_lanes(encode_lanes(message), GROUP) == message


@pytest.mark.parametrize("message", TO_NODE, ids=lambda m: type(m).__name__)
def test_a_clients_message_comes_back(message: ToNode) -> None:
    assert decode_to_node(encode_to_node(message)) == message


@pytest.mark.parametrize("message", TO_CLIENT, ids=lambda m: type(m).__name__)
def test_a_nodes_answer_comes_back(message: ToClient) -> None:
    assert decode_to_client(encode_to_client(message), GROUP) == message


@pytest.mark.parametrize("message", TO_ENGINE, ids=lambda m: type(m).__name__)
def test_a_ticket_comes_back(message: ToEngine) -> None:
    assert decode_to_engine(encode_to_engine(message)) == message


@pytest.mark.parametrize("message", FROM_ENGINE, ids=lambda m: type(m).__name__)
def test_an_engines_message_comes_back(message: FromEngine) -> None:
    assert decode_from_engine(encode_from_engine(message)) == message


@given(st.binary(max_size=600))
def test_bytes_that_nobody_made_are_refused(data: bytes) -> None:
    for decode in (lambda: decode_votes(data, GROUP), lambda: decode_lanes(data, GROUP), lambda: decode_to_node(data)):
        with pytest.raises(MessageInvalid):
            decode()


@pytest.mark.parametrize(
    "message",
    [
        SignedVote(OwnerId(9), NOTARIZE, SIG),
        SignedVote(OwnerId(1), NOTARIZE, Signature(b"short")),
        CertificateNotice(QuorumCertificate(NOTARIZE, ROWS[::-1])),
        CertificateNotice(QuorumCertificate(NOTARIZE, ROWS[:1] * 2)),
        Proposal(HEADER, SIG, JUSTIFICATION, (PAGE,) * 5),
        FetchPage(Digest(b"short")),
    ],
    ids=lambda m: type(m).__name__,
)
def test_a_message_with_one_wrong_part_is_refused(message: VotesMessage) -> None:
    with pytest.raises(MessageInvalid):
        decode_votes(encode_votes(message), GROUP)


def test_a_batch_of_another_group_is_refused() -> None:
    other = LaneBatch(GroupId(D), GROUP.epoch, OwnerId(1), Version(1), LaneHeight(1), D, TimeUs(1), ())
    with pytest.raises(MessageInvalid, match="another group"):
        decode_lanes(encode_lanes(BatchNotice(SignedBatch(other, SIG))), GROUP)


def test_a_long_detail_is_cut_at_a_whole_character() -> None:
    sent = Rejected(RequestId(D), RejectReason.BUSY, 0, "ä" * 500)
    got = decode_to_client(encode_to_client(sent), GROUP)
    assert isinstance(got, Rejected)
    assert got.detail == "ä" * 100
