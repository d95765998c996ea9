"""Every maximum that does not belong to the genesis, in one place (rule 9). Genesis parameters: parameters.py."""

from __future__ import annotations

from typing import Final

REPLICAS_MAX: Final = 64
"""Owners in a group; bounds every cut, certificate and quorum."""

NAME_BYTES_MAX: Final = 64
ENDPOINT_BYTES_MAX: Final = 128
LABELS_MAX: Final = 65_536
LABEL_BYTES_MAX: Final = 128
GENESIS_BYTES_MAX: Final = 8 << 20
CARD_BYTES_MAX: Final = 64 << 10

OPTIONS_BYTES_MAX: Final = 64
OUTPUT_BYTES_MAX: Final = 16 << 10
"""One owner's answer as task-schema bytes."""

DIMENSIONS_MAX: Final = 4
"""Of a tensor that is an answer."""

BOXES_MAX: Final = 256
"""Objects in one owner's answer: fusing those of 64 owners compares each with each."""

UNIT_BYTES_MAX: Final = 32

INPUT_BYTES_MAX: Final = 16 << 20
"""Fuse of the transport; the genesis sets the limit that clients meet."""

MESSAGE_BYTES_MAX: Final = 1 << 20
"""A message's header frame on the votes, lanes and clients sockets."""

FRAMES_MAX: Final = 2
"""Header frame and the input frame, where a message carries one input."""

SUBMITS_MAX: Final = 64
"""Requests of a client in one message."""

SUBMITS_BYTES_MAX: Final = 1 << 20
"""Inputs of one message together, when it holds more than one request."""

CONFIGURATION_BYTES_MAX: Final = 128 << 10
"""The owners of an epoch: 64 of them with the longest names and endpoints take half of it."""

SUCCESSIONS_MAX: Final = 1_024
"""Epochs of one group."""

SUCCESSIONS_BYTES_MAX: Final = 64 << 20
"""A file of what ended them."""

EVIDENCE_BYTES_MAX: Final = 256 << 10
"""One piece of evidence in a lane; a larger one (a justification of many pages) exists only as a file."""

EVIDENCE_BATCH_BYTES_MAX: Final = 512 << 10
"""All evidence of one lane batch, which travels in one message."""

EVIDENCE_FILE_BYTES_MAX: Final = 64 << 20
EVIDENCE_KEPT_MAX: Final = 1_024
"""Pieces of evidence that a replica remembers: one for each accused and kind, so 64 owners fit."""

PAGE_VIEWS: Final = 64
"""Views in an aligned page of nullifications (rule 3.2)."""

PAGES_MAX: Final = 1024
"""Pages that one justification may commit to: 65,536 nullified views in a row."""

PAGES_INLINE_MAX: Final = 4
"""Pages sent with a proposal; older ones are fetched by digest."""

LINKS_MAX: Final = 1024
"""Headers between an entry's block and the finalized one in a certificate."""

ENTRIES_MAX: Final = 1 << 20
"""Leaves of an entries tree; bounds the path length to 20."""

CERTIFICATE_BYTES_MAX: Final = 1 << 20

DISCLOSED_BYTES_MAX: Final = 1 << 19
"""A certificate that is sent to a node to keep: one message must hold it. Most have two thousand bytes."""

SUPPLEMENTS_MAX: Final = REPLICAS_MAX

FETCH_BATCHES_MAX: Final = 64
"""Lane batches in the answer to one fetch."""

FETCH_HEADERS_MAX: Final = 64
FETCH_VIEWS_MAX: Final = 64

PROPOSALS_PER_VIEW: Final = 2
"""Proposals kept of one view unless a certificate names them: two convict the leader."""

HISTORY_BLOCKS: Final = 2_560
"""Final blocks kept in memory to serve replicas and clients that are behind; more while retention lasts (rule 4.6). Two
and a half intervals of snapshots, which serve whoever is two behind; lane batches are kept for two."""

FORGOTTEN_BLOCKS: Final = HISTORY_BLOCKS // 4
"""Final blocks that go from memory at a time, at least: each time everything held is searched, and with the default
parameters that may be 60,000 blocks."""

SNAPSHOT_BUCKETS_MAX: Final = 100_000
"""Buckets of one second of deadlines: horizon and retention of a day each, and some."""

BULK_BYTES_MAX: Final = 64 << 20
"""The second frame on the catchup socket: an input, or one bucket of a snapshot."""

CHECKPOINT_BYTES_TURN: Final = 64 << 10
"""Bytes of a checkpoint that one turn encodes and writes: its votes wait a millisecond or two for them."""

CHECKPOINT_PAUSE_US: Final = 10_000
"""Time to the next turn while a checkpoint is under way and nothing else is to be done."""

APPLIED_BLOCKS: Final = 64
"""Final blocks whose changes are kept as objects; of older ones there are entries in few bytes."""

PERSISTED_MAX: Final = 65_536
"""Names of journaled blocks, batches and certificates remembered, so that none is written twice in a short time."""

VIEW_WINDOW: Final = 4096
"""Votes for a view further ahead than this are not kept: a certificate brings us there."""

REPLY_ENTRIES_MAX: Final = 1024
REJECT_TEXT_BYTES_MAX: Final = 200

PIXELS_MAX: Final = 1 << 28
"""The most pixels that a genesis may admit for one input."""

CLIENTS_ALLOWED_MAX: Final = 16_384
"""Keys that a genesis may allow: in hex they take 1.2 MB of its file."""

CLIENT_LIMIT_MAX: Final = 1_000_000_000
"""Of a client's rate, burst or quota in a genesis."""

CLIENT_ACCOUNTS_MAX: Final = 65_536
"""Clients whose use of rate and quota a replica remembers; whoever was admitted longest ago makes room."""

GROUP_CARDS_BYTES_MAX: Final = 256 << 10
"""A file of group cards; a node sends it in one message."""

GROUP_CARDS_MAX: Final = 256
CURRENCY_BYTES_MAX: Final = 16
PRICE_MAX: Final = 1 << 40
"""Micro-units for one answer: a million units."""
