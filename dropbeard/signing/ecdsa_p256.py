"""ECDSA over NIST P-256 with SHA-256, in the one encoding that is accepted (rule 1.3).

A signature is 64 bytes, r then s, each 32 bytes big-endian, with 1 <= r < n and 1 <= s <= n // 2. With (r, s)
also (r, n - s) is valid; accepting only the low one leaves one of the two, but nothing may be identified by
signature bytes even so, because signing is randomised (rule 1.5). A public key is a compressed SEC1 point: 33
bytes, the first 02 or 03.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from dropbeard.errors import KeyInvalid

SCALAR_BYTES = 32
SIGNATURE_BYTES = 2 * SCALAR_BYTES
PUBLIC_KEY_BYTES = 1 + SCALAR_BYTES

_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_S_MAX = _ORDER // 2
_CURVE = ec.SECP256R1()
_ALGORITHM = ec.ECDSA(hashes.SHA256())
_COMPRESSED = (b"\x02", b"\x03")


@dataclass(frozen=True, slots=True, repr=False)
class PublicKey:
    """A point that was checked when this object was made: an unchecked one cannot exist."""

    encoded: bytes
    parsed: ec.EllipticCurvePublicKey = field(init=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "parsed", _parse_point(self.encoded))

    @classmethod
    def from_bytes(cls, encoded: bytes) -> PublicKey:
        """Read a compressed point; anything else is KeyInvalid."""
        return cls(bytes(encoded))

    def to_bytes(self) -> bytes:
        """The 33 bytes that name this key in a genesis."""
        return self.encoded

    def verify(self, message: bytes, signature: bytes) -> bool:
        """Say whether ``signature`` is this key's over ``message``; hostile bytes give False."""
        if len(signature) != SIGNATURE_BYTES:
            return False
        r = int.from_bytes(signature[:SCALAR_BYTES], "big")
        s = int.from_bytes(signature[SCALAR_BYTES:], "big")
        if not (1 <= r < _ORDER and 1 <= s <= _S_MAX):
            return False
        try:
            self.parsed.verify(encode_dss_signature(r, s), message, _ALGORITHM)
        except InvalidSignature:
            return False
        return True

    def __repr__(self) -> str:
        return f"PublicKey({self.encoded.hex()})"


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class PrivateKey:
    """An owner's or a node's signing key; it shows only its public half."""

    parsed: ec.EllipticCurvePrivateKey
    public: PublicKey = field(init=False)

    def __post_init__(self) -> None:
        if not isinstance(self.parsed.curve, ec.SECP256R1):
            raise KeyInvalid(f"the key is on curve {self.parsed.curve.name}; make one on NIST P-256")
        point = self.parsed.public_key().public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
        object.__setattr__(self, "public", PublicKey(point))

    @classmethod
    def generate(cls) -> PrivateKey:
        """A fresh key from the operating system's randomness."""
        return cls(ec.generate_private_key(_CURVE))

    def sign(self, message: bytes) -> bytes:
        """Sign ``message`` itself (SHA-256 is applied here), always with low s."""
        r, s = decode_dss_signature(self.parsed.sign(message, _ALGORITHM))
        # OpenSSL gives high s about half the time.
        low = min(s, _ORDER - s)
        return r.to_bytes(SCALAR_BYTES, "big") + low.to_bytes(SCALAR_BYTES, "big")

    def __repr__(self) -> str:
        return f"PrivateKey(public={self.public.encoded.hex()})"


def _parse_point(encoded: bytes) -> ec.EllipticCurvePublicKey:
    if len(encoded) != PUBLIC_KEY_BYTES or encoded[:1] not in _COMPRESSED:
        raise KeyInvalid(
            f"a public key is {PUBLIC_KEY_BYTES} bytes that begin with 02 or 03 (a compressed P-256 point), "
            f"got {len(encoded)} bytes that begin with {encoded[:1].hex() or 'nothing'}"
        )
    try:
        return ec.EllipticCurvePublicKey.from_encoded_point(_CURVE, encoded)
    except ValueError:
        raise KeyInvalid(f"{encoded.hex()} is no point of P-256; take the key from its card again") from None
