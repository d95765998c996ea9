"""Files that are no certificate, by what is wrong with their layout."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from dropbeard.types.certificates import Certificate
from dropbeard.types.ids import OwnerId

Change = Callable[[Certificate], Certificate]


def _cut_descends(certificate: Certificate) -> Certificate:
    header = certificate.headers[0]
    return replace(certificate, headers=(replace(header, cut=header.cut[::-1]),))


def _promises_descend(certificate: Certificate) -> Certificate:
    entry = certificate.base.entry
    return replace(certificate, base=replace(certificate.base, entry=replace(entry, promises=entry.promises[::-1])))


def _long_path(certificate: Certificate) -> Certificate:
    path = certificate.base.path
    return replace(certificate, base=replace(certificate.base, path=replace(path, siblings=path.siblings * 7)))


UNREADABLE: dict[str, Change] = {
    "there is no header": lambda c: replace(c, headers=()),
    "the signers descend": lambda c: replace(c, signatures=c.signatures[::-1]),
    "a signer is there twice": lambda c: replace(c, signatures=c.signatures + c.signatures[-1:]),
    "the owners of a cut descend": _cut_descends,
    "the owners of an entry descend": _promises_descend,
    "a path has 21 siblings": _long_path,
    "there are 65 openings": lambda c: replace(
        c, answers=tuple(replace(c.answers[0], owner=OwnerId(owner)) for owner in range(65))
    ),
    "there are 1,026 headers": lambda c: replace(c, headers=c.headers * 1026),
}

NO_CERTIFICATES: dict[str, bytes] = {
    "empty": b"",
    "short": b"DBCERT\0",
    "a later version": b"DBCERT\0\x02" + bytes(2000),
    "a picture": b"\x89PNG\r\n\x1a\n" + bytes(2000),
    "too large": b"DBCERT\0\x01" + bytes(1 << 20),
}
