"""CURVE keys: the same pairs, the same text and the same handshake as ZeroMQ's own."""

from __future__ import annotations

import contextlib
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
import zmq
from hypothesis import given, settings
from hypothesis import strategies as st
from zmq.utils import z85 as zmq_z85

from dropbeard.errors import KeyInvalid
from dropbeard.signing.curve import CurveSecret, load_curve_secret, write_curve_secret, z85
from dropbeard.signing.keys import write_private_file

WAIT_MS = 10_000
SECRET = CurveSecret(bytes(range(1, 33)))


@pytest.fixture(name="context")
def fixture_context() -> Iterator[zmq.Context[zmq.Socket[bytes]]]:
    """A ZeroMQ context that leaves nothing behind."""
    context = zmq.Context()
    yield context
    context.destroy(linger=0)


@settings(deadline=None)
@given(raw=st.binary(min_size=32, max_size=32))
def test_z85_is_the_one_of_pyzmq(raw: bytes) -> None:
    assert z85(raw) == zmq_z85.encode(raw)


@pytest.mark.parametrize("length", [0, 28, 31, 33, 36, 40])
def test_only_32_bytes_are_a_curve_key(length: int) -> None:
    with pytest.raises(KeyInvalid, match=f"32 bytes, got {length}"):
        z85(bytes(length))
    with pytest.raises(KeyInvalid, match=f"32 bytes, got {length}"):
        CurveSecret(bytes(length))


@settings(max_examples=30, deadline=None)
@given(raw=st.binary(min_size=32, max_size=32))
def test_the_public_half_is_the_one_that_zeromq_derives(raw: bytes) -> None:
    assert z85(CurveSecret(raw).public) == zmq.curve_public(z85(raw))


def test_a_curve_handshake_works_with_our_keys(context: zmq.Context[zmq.Socket[bytes]]) -> None:
    client_secret = CurveSecret.generate()
    server, client = context.socket(zmq.REP), context.socket(zmq.REQ)
    for socket, secret in ((server, SECRET), (client, client_secret)):
        socket.curve_secretkey, socket.curve_publickey = z85(secret.raw), z85(secret.public)
        socket.rcvtimeo = socket.sndtimeo = WAIT_MS
    server.curve_server = True
    client.curve_serverkey = z85(SECRET.public)
    client.connect(f"tcp://127.0.0.1:{server.bind_to_random_port('tcp://127.0.0.1')}")
    client.send(b"over CURVE")
    assert server.recv() == b"over CURVE"
    server.send(b"and back")
    assert client.recv() == b"and back"
    assert client.mechanism == server.mechanism == zmq.CURVE


def test_a_written_secret_loads_again(tmp_path: Path) -> None:
    write_curve_secret(tmp_path / "curve.key", SECRET)
    loaded = load_curve_secret(tmp_path / "curve.key")
    assert (loaded.raw, loaded.public) == (SECRET.raw, SECRET.public)


def test_the_file_says_what_it_is_and_has_mode_0600(tmp_path: Path) -> None:
    path = tmp_path / "curve.key"
    write_curve_secret(path, SECRET)
    assert path.read_text("ascii").startswith("# dropbeard CURVE secret key")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    write_curve_secret(tmp_path / "curve.key", SECRET)
    (tmp_path / "curve.key").chmod(0o644)
    with pytest.raises(KeyInvalid, match="run: chmod 600"):
        load_curve_secret(tmp_path / "curve.key")


def test_an_existing_file_is_never_overwritten(tmp_path: Path) -> None:
    write_curve_secret(tmp_path / "curve.key", SECRET)
    with pytest.raises(KeyInvalid, match="never overwritten"):
        write_curve_secret(tmp_path / "curve.key", CurveSecret.generate())
    assert load_curve_secret(tmp_path / "curve.key") == SECRET


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"secret 00\n", b"-----BEGIN PRIVATE KEY-----\n", SECRET.raw])
def test_another_file_is_refused(tmp_path: Path, content: bytes) -> None:
    write_private_file(tmp_path / "curve.key", content)
    with pytest.raises(KeyInvalid, match="no CURVE secret key file"):
        load_curve_secret(tmp_path / "curve.key")


def test_no_changed_byte_gives_another_key(tmp_path: Path) -> None:
    write_curve_secret(tmp_path / "curve.key", SECRET)
    content = (tmp_path / "curve.key").read_bytes()
    bent_path = tmp_path / "bent.key"
    accepted = []
    for index in range(len(content)):
        bent_path.unlink(missing_ok=True)
        write_private_file(bent_path, content[:index] + bytes([content[index] ^ 1]) + content[index + 1 :])
        with contextlib.suppress(KeyInvalid):
            accepted.append((index, load_curve_secret(bent_path).public))
    # Curve25519 itself ignores the three low bits of a secret's first byte, so that one change is none.
    first_byte = content.index(b"\nsecret ") + len(b"\nsecret ")
    assert accepted == [(first_byte + 1, SECRET.public)]


def test_the_text_of_a_secret_shows_only_the_public_half() -> None:
    assert repr(SECRET) == f"CurveSecret(public={SECRET.public!r})"


def test_two_generated_secrets_differ() -> None:
    assert CurveSecret.generate() != CurveSecret.generate()
