"""Transport keys: the Curve25519 pairs that ZeroMQ's CURVE uses, and the Z85 text in which it takes them."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from dropbeard.errors import KeyInvalid
from dropbeard.signing.keys import read_private_file, write_private_file

CURVE_KEY_BYTES = 32

_FILE_TEXT = "# dropbeard CURVE secret key (Curve25519, hex): keep this file private\npublic {}\nsecret {}\n"
_SECRET_LINE = re.compile(rb"^secret ([0-9a-f]{64})$", re.MULTILINE)
_Z85_DIGITS = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"
_Z85_WEIGHTS = (85**4, 85**3, 85**2, 85, 1)
_Z85_WORDS = struct.Struct(">8I")


@dataclass(frozen=True, slots=True)
class CurveSecret:
    """The secret half of a CURVE key pair, with the public half that follows from it."""

    raw: bytes = field(repr=False, compare=False)
    public: bytes = field(init=False)

    def __post_init__(self) -> None:
        _check_length(self.raw)
        public = X25519PrivateKey.from_private_bytes(self.raw).public_key().public_bytes_raw()
        object.__setattr__(self, "public", public)

    @classmethod
    def generate(cls) -> CurveSecret:
        """A fresh pair from the operating system's randomness."""
        return cls(X25519PrivateKey.generate().private_bytes_raw())


def write_curve_secret(path: Path, secret: CurveSecret) -> None:
    """Write both halves as text to a new file that only its owner can read."""
    write_private_file(path, _render(secret))


def load_curve_secret(path: Path) -> CurveSecret:
    """Read a file of ``write_curve_secret``; one that was changed into another key is refused."""
    content = read_private_file(path)
    found = _SECRET_LINE.search(content)
    if found is None:
        raise KeyInvalid(f"{path} is no CURVE secret key file; name the one that 'dropbeard init' made")
    secret = CurveSecret(bytes.fromhex(found[1].decode("ascii")))
    # A flipped digit would be another key without a word, so the file carries the public half as its check.
    if _render(secret) != content:
        raise KeyInvalid(f"{path} is damaged: its text does not fit its secret; restore it from a backup")
    return secret


def z85(key: bytes) -> bytes:
    """The 40 characters in which ZeroMQ takes a 32-byte key (ZeroMQ RFC 32)."""
    _check_length(key)
    words = _Z85_WORDS.unpack(key)
    return bytes(_Z85_DIGITS[word // weight % 85] for word in words for weight in _Z85_WEIGHTS)


def _render(secret: CurveSecret) -> bytes:
    return _FILE_TEXT.format(secret.public.hex(), secret.raw.hex()).encode("ascii")


def _check_length(key: bytes) -> None:
    if len(key) != CURVE_KEY_BYTES:
        raise KeyInvalid(f"a CURVE key has {CURVE_KEY_BYTES} bytes, got {len(key)}; take it from its card again")
