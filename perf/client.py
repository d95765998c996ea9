"""What an answer costs its client: P12, verifying and aggregating one certificate out of a batch of 64 in one block.

The certificates come from a local group. Nothing that an earlier batch left in a cache counts: all are emptied before
each.
"""

from __future__ import annotations

import functools
import sys
import time
from collections.abc import Sequence
from typing import Final

from dropbeard.client.answers import answer_of
from dropbeard.daemon.local_group import LocalGroup
from dropbeard.types.certificates import Certificate, decode_certificate
from dropbeard.types.entries import EntryKind
from dropbeard.types.group import Group
from dropbeard.types.ids import Digest
from dropbeard.verification.certificate import verify
from perf._load import Load, raw_inputs
from perf._measure import Figure, figure
from perf._observed import passing_group
from perf.ordering import ENGINE, SMALL_SIDE

BATCH: Final = 64
RUNS: Final = 40
GATHER_S: Final = 3.0


def bench(quick: bool) -> list[Figure]:
    """P12, from certificates in memory and from files' bytes."""
    group, batch = one_block()
    runs = RUNS // 4 if quick else RUNS
    files = [certificate.encode() for certificate in batch]
    whole = [each_us(group, batch) for _ in range(runs)]
    decoded = [each_us(group, [decode_certificate(data) for data in files]) for _ in range(runs)]
    return [
        figure("P12", "us to verify and aggregate one of 64", whole, (), bytes=len(files[0])),
        figure("P12 decoded", "us, the same of certificates read from bytes", decoded, ()),
    ]


def each_us(group: Group, batch: Sequence[Certificate]) -> float:
    """Microseconds for each certificate of a batch that nobody looked at before."""
    forget()
    started = time.perf_counter()
    for certificate in batch:
        answer_of(group, certificate, verify(certificate, group), 0.0)
    return (time.perf_counter() - started) * 1e6 / len(batch)


def forget() -> None:
    """Empty every cache of the types and of the verification: keys, signatures, ids, answers, nodes of paths."""
    for name, module in list(sys.modules.items()):
        if name.startswith(("dropbeard.types.", "dropbeard.verification.")):
            for value in vars(module).values():
                if isinstance(value, functools._lru_cache_wrapper):
                    value.cache_clear()


def one_block() -> tuple[Group, list[Certificate]]:
    """64 certificates whose entries stand in one block."""
    with passing_group(LocalGroup, ENGINE) as local, Load(local, raw_inputs(SMALL_SIDE)) as load:
        load.kept = []
        load.closed(8 * BATCH, GATHER_S, 0.0)
        kept, group = load.kept, local.group
    blocks: dict[Digest, list[Certificate]] = {}
    for certificate in kept:
        if certificate.kind is EntryKind.AGREED and len(certificate.headers) == 1:
            blocks.setdefault(certificate.headers[0].digest, []).append(certificate)
    largest = max(blocks.values(), key=len, default=[])
    if len(largest) < BATCH:
        raise SystemExit(f"no block had {BATCH} certificates of this client")
    return group, largest[:BATCH]
