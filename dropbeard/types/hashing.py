"""BLAKE3 with one ``derive_key_context`` for each purpose, so that no digest means two things (rule 1.5)."""

from __future__ import annotations

from typing import Final

from blake3 import blake3

from dropbeard.types.ids import Digest

GENESIS: Final = "dropbeard 1 genesis"
INPUT: Final = "dropbeard 1 input"
BODY: Final = "dropbeard 1 request body"
REQUEST: Final = "dropbeard 1 request id"
COMMITMENT: Final = "dropbeard 1 commitment"
SALT: Final = "dropbeard 1 salt"
ITEMS: Final = "dropbeard 1 lane items"
LANE_BATCH: Final = "dropbeard 1 lane batch"
HEADER: Final = "dropbeard 1 header"
PAGE: Final = "dropbeard 1 nullification page"
JUSTIFICATION: Final = "dropbeard 1 justification"
STATE: Final = "dropbeard 1 state root"
STATE_GENESIS: Final = "dropbeard 1 genesis state"
STATE_BUCKET: Final = "dropbeard 1 state bucket"
STATE_WHOLE: Final = "dropbeard 1 whole state"
STATE_SNAPSHOT: Final = "dropbeard 1 state root with snapshot"
STATE_EPOCH: Final = "dropbeard 1 state root at the end of an epoch"
CONFIGURATION: Final = "dropbeard 1 configuration"
MERKLE_LEAF: Final = "dropbeard 1 merkle leaf"
MERKLE_NODE: Final = "dropbeard 1 merkle node"
MERKLE_ROOT: Final = "dropbeard 1 merkle root"
EVIDENCE: Final = "dropbeard 1 evidence"
RECORD: Final = "dropbeard 1 journal record"
GROUP_CARD: Final = "dropbeard 1 group card"


def digest(context: str, *parts: bytes) -> Digest:
    """Hash the concatenation of ``parts`` under ``context``; 32 bytes."""
    return Digest(blake3(b"".join(parts), derive_key_context=context).digest())


def digest_large(context: str, head: bytes, data: bytes) -> Digest:
    """The same of ``head`` and then ``data``, which is not copied."""
    return Digest(blake3(head, derive_key_context=context).update(data).digest())


def keyed(key: bytes, *parts: bytes) -> bytes:
    """Keyed BLAKE3 of the concatenation of ``parts`` under a 32-byte secret; 32 bytes."""
    return blake3(b"".join(parts), key=key).digest()
