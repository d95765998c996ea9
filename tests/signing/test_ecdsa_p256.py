"""One encoding passes, every other is refused, and an independent implementation agrees on each case."""

from __future__ import annotations

import hashlib

import ecdsa
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from ecdsa.util import sigdecode_string, sigencode_string_canonize
from hypothesis import given, settings
from hypothesis import strategies as st

from dropbeard.errors import KeyInvalid
from dropbeard.signing.ecdsa_p256 import PrivateKey, PublicKey

P = 0xFFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF
N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
MESSAGE = b"the message that was signed"

# RFC 6979, appendix A.2.5: curve P-256, SHA-256.
RFC_SECRET = 0xC9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721
RFC_X = 0x60FED4BA255A9D31C961EB74C6356D68C049B8923B61FA6CE669622E60F29FB6
RFC_Y = 0x7903FE1008B8BC99A41AE9E95628BC64F2F1B20C2D7E9F5177A3C294D4462299
RFC_VECTORS = {
    b"sample": (
        0xEFD48B2AACB6A8FD1140DD9CD45E81D69D2C877B56AAF991C34D0EA84EAF3716,
        0xF7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064DC4AB2F843ACDA8,
    ),
    b"test": (
        0xF1ABB023518351CD71D881567B1EA663ED3EFCF6C5132B354F28D3B0B7D38367,
        0x019F4113742A2B14BD25926B49C649155F267E60D3814B4C0CC84250E46F0083,
    ),
}

KEY = PrivateKey(ec.derive_private_key(RFC_SECRET, ec.SECP256R1()))
SIGNATURE = KEY.sign(MESSAGE)
R, S = int.from_bytes(SIGNATURE[:32], "big"), int.from_bytes(SIGNATURE[32:], "big")
RFC_COMPRESSED = bytes([2 + RFC_Y % 2]) + RFC_X.to_bytes(32, "big")
BOTH_COORDINATES = RFC_X.to_bytes(32, "big") + RFC_Y.to_bytes(32, "big")


def pair(r: int, s: int) -> bytes:
    """The 64 bytes of (r, s)."""
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def stranger_verifies(public: bytes, message: bytes, signature: bytes) -> bool:
    """The ecdsa package's verdict; it knows no rule about low s."""
    key = ecdsa.VerifyingKey.from_string(public, curve=ecdsa.NIST256p, valid_encodings=("compressed",))
    try:
        return bool(key.verify(signature, message, hashlib.sha256, sigdecode_string))
    except ecdsa.BadSignatureError:
        return False


def stranger_accepts(public: bytes) -> bool:
    """Whether the ecdsa package reads these bytes as a compressed point."""
    try:
        ecdsa.VerifyingKey.from_string(public, curve=ecdsa.NIST256p, valid_encodings=("compressed",))
    except ecdsa.errors.MalformedPointError:
        return False
    return True


MALFORMED_SIGNATURES = {
    "empty": b"",
    "63 bytes, the last one gone": SIGNATURE[:-1],
    "63 bytes, the first one gone": SIGNATURE[1:],
    "65 bytes, one trailing": SIGNATURE + b"\x00",
    "65 bytes, one leading zero": b"\x00" + SIGNATURE,
    "65 bytes, s padded to 33": SIGNATURE[:32] + b"\x00" + SIGNATURE[32:],
    "twice": SIGNATURE + SIGNATURE,
    "DER": encode_dss_signature(R, S),
    "hex": SIGNATURE.hex().encode(),
    "r is 0": pair(0, S),
    "s is 0": pair(R, 0),
    "both are 0": pair(0, 0),
    "r is n": pair(N, S),
    "s is n": pair(R, N),
    "r is n + 1": pair(N + 1, S),
    "s is n + 1": pair(R, N + 1),
    "r and s are all ones": b"\xff" * 64,
    "r and s change places": pair(S, R),
    "both little-endian": SIGNATURE[31::-1] + SIGNATURE[:31:-1],
    "r is negated": pair(N - R, S),
}

MALFORMED_POINTS = {
    "empty": b"",
    "infinity": b"\x00",
    "infinity, padded": bytes(33),
    "prefix 01": b"\x01" + RFC_COMPRESSED[1:],
    "uncompressed": b"\x04" + BOTH_COORDINATES,
    "uncompressed, cut to 33 bytes": b"\x04" + BOTH_COORDINATES[:32],
    "hybrid, even": b"\x06" + BOTH_COORDINATES,
    "hybrid, odd": b"\x07" + BOTH_COORDINATES,
    "hybrid, even, cut to 33 bytes": b"\x06" + BOTH_COORDINATES[:32],
    "hybrid, odd, cut to 33 bytes": b"\x07" + BOTH_COORDINATES[:32],
    "both coordinates without a prefix": BOTH_COORDINATES,
    "prefix 05": b"\x05" + RFC_COMPRESSED[1:],
    "x alone": RFC_COMPRESSED[1:],
    "32 bytes": RFC_COMPRESSED[:-1],
    "34 bytes": RFC_COMPRESSED + b"\x00",
    "x is p": b"\x02" + P.to_bytes(32, "big"),
    "x is all ones": b"\x03" + b"\xff" * 32,
}


def is_on_curve(x: int) -> bool:
    """Whether x**3 - 3x + b has a root, which makes x a point's."""
    b = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B
    return pow(x**3 - 3 * x + b, (P - 1) // 2, P) == 1


def off_curve_x() -> int:
    """The smallest x that belongs to no point."""
    return next(x for x in range(100) if not is_on_curve(x))


def on_curve_x() -> int:
    """The smallest x that belongs to a point."""
    return next(x for x in range(100) if is_on_curve(x))


def test_a_signature_is_64_bytes_and_verifies() -> None:
    assert len(SIGNATURE) == 64
    assert KEY.public.verify(MESSAGE, SIGNATURE)


def test_a_signature_is_of_its_message_and_its_key_alone() -> None:
    assert not KEY.public.verify(MESSAGE + b"\x00", SIGNATURE)
    assert not PrivateKey.generate().public.verify(MESSAGE, SIGNATURE)


def test_what_we_sign_has_low_s_every_time() -> None:
    # Without the normalisation one signature in two has high s: 64 times low by luck is 2**-64.
    assert all(int.from_bytes(KEY.sign(MESSAGE)[32:], "big") <= N // 2 for _ in range(64))


def test_a_high_s_signature_is_refused_although_its_mathematics_hold() -> None:
    twin = pair(R, N - S)
    KEY.parsed.public_key().verify(encode_dss_signature(R, N - S), MESSAGE, ec.ECDSA(hashes.SHA256()))
    assert stranger_verifies(RFC_COMPRESSED, MESSAGE, twin)
    assert not KEY.public.verify(MESSAGE, twin)


@pytest.mark.parametrize("s", [N // 2, N // 2 + 1])
def test_the_border_between_low_and_high_s_lies_after_half_of_n(s: int) -> None:
    public, message = key_that_makes_valid(s)
    twin = pair(int.from_bytes(message[:32], "big"), s)
    assert stranger_verifies(public.to_bytes(), message, twin)
    assert public.verify(message, twin) is (s <= N // 2)


def key_that_makes_valid(s: int) -> tuple[PublicKey, bytes]:
    """A public key for which (r, s) signs a message that begins with r: Q = (s R - h G) / r."""
    generator = ecdsa.NIST256p.generator
    nonce_point = generator * 7
    r = nonce_point.x() % N
    message = r.to_bytes(32, "big")
    digest = int.from_bytes(hashlib.sha256(message).digest(), "big")
    inverse = pow(r, -1, N)
    point = nonce_point * (s * inverse % N) + generator * (-digest * inverse % N)
    return PublicKey.from_bytes(bytes(point.to_bytes("compressed"))), message


@pytest.mark.parametrize("name", MALFORMED_SIGNATURES)
def test_a_malformed_signature_is_refused_by_both_implementations(name: str) -> None:
    signature = MALFORMED_SIGNATURES[name]
    assert not KEY.public.verify(MESSAGE, signature)
    assert not stranger_verifies(RFC_COMPRESSED, MESSAGE, signature)


@settings(max_examples=100, deadline=None)
@given(signature=st.binary(max_size=200))
def test_no_bytes_make_verify_raise(signature: bytes) -> None:
    assert KEY.public.verify(MESSAGE, signature) is False


@settings(max_examples=60, deadline=None)
@given(bit=st.integers(0, 511))
def test_no_flipped_bit_of_a_signature_verifies(bit: int) -> None:
    flipped = (int.from_bytes(SIGNATURE, "big") ^ 1 << bit).to_bytes(64, "big")
    assert not KEY.public.verify(MESSAGE, flipped)
    assert not stranger_verifies(RFC_COMPRESSED, MESSAGE, flipped)


@settings(max_examples=25, deadline=None)
@given(secret=st.integers(1, N - 1), message=st.binary(max_size=300))
def test_the_ecdsa_package_verifies_what_we_sign_and_we_what_it_signs(secret: int, message: bytes) -> None:
    ours = PrivateKey(ec.derive_private_key(secret, ec.SECP256R1()))
    theirs = ecdsa.SigningKey.from_secret_exponent(secret, curve=ecdsa.NIST256p, hashfunc=hashlib.sha256)
    assert ours.public.to_bytes() == theirs.get_verifying_key().to_string("compressed")
    assert stranger_verifies(ours.public.to_bytes(), message, ours.sign(message))
    low = theirs.sign_deterministic(message, sigencode=sigencode_string_canonize)
    assert ours.public.verify(message, low)


@pytest.mark.parametrize("message", RFC_VECTORS)
def test_the_known_answers_of_rfc_6979_verify_in_their_low_form_alone(message: bytes) -> None:
    r, s = RFC_VECTORS[message]
    public = PublicKey.from_bytes(RFC_COMPRESSED)
    assert public.verify(message, pair(r, min(s, N - s)))
    assert not public.verify(message, pair(r, max(s, N - s)))
    assert not public.verify(message + b"!", pair(r, min(s, N - s)))


def test_the_known_key_of_rfc_6979_has_the_known_point() -> None:
    assert KEY.public.to_bytes() == RFC_COMPRESSED
    assert KEY.public == PublicKey.from_bytes(RFC_COMPRESSED)


@pytest.mark.parametrize("name", MALFORMED_POINTS)
def test_a_public_key_in_any_other_encoding_is_refused_by_both_implementations(name: str) -> None:
    with pytest.raises(KeyInvalid):
        PublicKey.from_bytes(MALFORMED_POINTS[name])
    assert not stranger_accepts(MALFORMED_POINTS[name])


@pytest.mark.parametrize("prefix", [2, 3])
def test_a_point_off_the_curve_is_refused_and_its_neighbour_on_it_is_not(prefix: int) -> None:
    with pytest.raises(KeyInvalid, match="no point of P-256"):
        PublicKey.from_bytes(bytes([prefix]) + off_curve_x().to_bytes(32, "big"))
    assert not stranger_accepts(bytes([prefix]) + off_curve_x().to_bytes(32, "big"))
    on_curve = bytes([prefix]) + on_curve_x().to_bytes(32, "big")
    assert PublicKey.from_bytes(on_curve).to_bytes() == on_curve


def test_an_x_that_is_a_point_only_modulo_p_is_refused() -> None:
    assert stranger_accepts(b"\x02" + on_curve_x().to_bytes(32, "big"))
    with pytest.raises(KeyInvalid, match="no point of P-256"):
        PublicKey.from_bytes(b"\x02" + (on_curve_x() + P).to_bytes(32, "big"))
    assert not stranger_accepts(b"\x02" + (on_curve_x() + P).to_bytes(32, "big"))


def test_no_public_key_exists_unchecked() -> None:
    with pytest.raises(KeyInvalid):
        PublicKey(b"\x04" + BOTH_COORDINATES)


def test_a_private_key_of_another_curve_is_refused() -> None:
    with pytest.raises(KeyInvalid, match="secp256k1"):
        PrivateKey(ec.generate_private_key(ec.SECP256K1()))


def test_equal_public_keys_are_equal_and_hash_alike_and_others_are_not() -> None:
    same = PublicKey.from_bytes(KEY.public.to_bytes())
    assert {KEY.public: "found"}[same] == "found"
    assert same != PrivateKey.generate().public


def test_two_generated_keys_differ() -> None:
    assert PrivateKey.generate().public != PrivateKey.generate().public


def test_the_text_of_a_private_key_shows_only_the_public_half() -> None:
    assert repr(KEY) == f"PrivateKey(public={RFC_COMPRESSED.hex()})"
    assert repr(KEY.public) == f"PublicKey({RFC_COMPRESSED.hex()})"
