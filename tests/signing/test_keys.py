"""Private key files: private from the first moment, never overwritten, refused with what to do about it."""

from __future__ import annotations

import os
import resource
import stat
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from dropbeard.errors import KeyInvalid
from dropbeard.signing.ecdsa_p256 import PrivateKey
from dropbeard.signing.keys import KEY_FILE_BYTES_MAX, load_private_key, write_private_file, write_private_key

KEY = PrivateKey.generate()


@pytest.fixture(name="open_umask")
def fixture_open_umask() -> Iterator[None]:
    """A process that hides nothing by default."""
    before = os.umask(0)
    yield
    os.umask(before)


def private(path: Path, content: bytes) -> Path:
    """A file with the right mode and whatever content."""
    write_private_file(path, content)
    return path


def pem_of(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> bytes:
    """Unencrypted PKCS8."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


@pytest.mark.parametrize("passphrase", [None, "open sesame", "mot de passe é", "raw \udcff byte"])
def test_a_written_key_loads_again_and_signs(tmp_path: Path, passphrase: str | None) -> None:
    write_private_key(tmp_path / "node.pem", KEY, passphrase)
    loaded = load_private_key(tmp_path / "node.pem", passphrase)
    assert loaded.public == KEY.public
    assert KEY.public.verify(b"message", loaded.sign(b"message"))


def test_a_key_file_is_pkcs8_pem_and_encrypted_when_there_is_a_passphrase(tmp_path: Path) -> None:
    write_private_key(tmp_path / "plain.pem", KEY)
    write_private_key(tmp_path / "locked.pem", KEY, "open sesame")
    assert (tmp_path / "plain.pem").read_bytes().startswith(b"-----BEGIN PRIVATE KEY-----\n")
    assert (tmp_path / "locked.pem").read_bytes().startswith(b"-----BEGIN ENCRYPTED PRIVATE KEY-----\n")


@pytest.mark.usefixtures("open_umask")
def test_a_key_file_has_mode_0600_under_any_umask(tmp_path: Path) -> None:
    write_private_key(tmp_path / "node.pem", KEY)
    assert stat.S_IMODE((tmp_path / "node.pem").stat().st_mode) == 0o600


def test_an_existing_file_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "node.pem"
    write_private_key(path, KEY)
    before = path.read_bytes()
    with pytest.raises(KeyInvalid, match="never overwritten"):
        write_private_key(path, PrivateKey.generate())
    assert path.read_bytes() == before


def test_a_dangling_link_in_the_way_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "node.pem").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(KeyInvalid, match="never overwritten"):
        write_private_key(tmp_path / "node.pem", KEY)
    assert not (tmp_path / "elsewhere").exists()


def test_a_missing_directory_is_named(tmp_path: Path) -> None:
    with pytest.raises(KeyInvalid, match="cannot be created: No such file or directory"):
        write_private_key(tmp_path / "nowhere" / "node.pem", KEY)


def test_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    # A file size limit makes the write itself fail; Python ignores the signal that comes with it.
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (16, before[1]))
    try:
        with pytest.raises(KeyInvalid, match="cannot be written: File too large; nothing was kept"):
            write_private_key(tmp_path / "node.pem", KEY)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o610, 0o601, 0o666, 0o400 | 0o040])
def test_a_file_that_others_can_touch_is_refused_with_the_command_that_mends_it(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "node key.pem"
    write_private_key(path, KEY)
    path.chmod(mode)
    with pytest.raises(KeyInvalid) as refused:
        load_private_key(path)
    assert str(refused.value).endswith(f"(mode {mode:04o}); run: chmod 600 '{path}'")
    path.chmod(0o600)
    assert load_private_key(path).public == KEY.public


def test_a_key_that_its_owner_may_only_read_loads(tmp_path: Path) -> None:
    write_private_key(tmp_path / "node.pem", KEY)
    (tmp_path / "node.pem").chmod(0o400)
    assert load_private_key(tmp_path / "node.pem").public == KEY.public


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(KeyInvalid, match=r"node\.pem does not exist"):
        load_private_key(tmp_path / "node.pem")


def test_a_directory_is_no_key_file(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    with pytest.raises(KeyInvalid, match="cannot be read: Is a directory"):
        load_private_key(tmp_path)


def test_a_pipe_is_no_key_file_and_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    with pytest.raises(KeyInvalid, match="no regular file"):
        load_private_key(tmp_path / "pipe")


@pytest.mark.parametrize("passphrase", ["close sesame", "open sesame ", "Open sesame"])
def test_a_wrong_passphrase_is_refused(tmp_path: Path, passphrase: str) -> None:
    write_private_key(tmp_path / "node.pem", KEY, "open sesame")
    with pytest.raises(KeyInvalid, match="wrong passphrase"):
        load_private_key(tmp_path / "node.pem", passphrase)


def test_an_encrypted_key_asks_for_its_passphrase(tmp_path: Path) -> None:
    write_private_key(tmp_path / "node.pem", KEY, "open sesame")
    with pytest.raises(KeyInvalid, match="is encrypted; give its passphrase"):
        load_private_key(tmp_path / "node.pem")


def test_a_passphrase_for_a_key_that_has_none_is_refused(tmp_path: Path) -> None:
    # Its operator believes that the key is protected.
    write_private_key(tmp_path / "node.pem", KEY)
    with pytest.raises(KeyInvalid, match="is not encrypted"):
        load_private_key(tmp_path / "node.pem", "open sesame")


@pytest.mark.parametrize("passphrase", ["", "x" * 1024, "é" * 512])
def test_a_passphrase_has_1_to_1023_bytes(tmp_path: Path, passphrase: str) -> None:
    with pytest.raises(KeyInvalid, match="1 to 1023 bytes"):
        write_private_key(tmp_path / "node.pem", KEY, passphrase)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"garbage",
        bytes(range(256)),
        pem_of(KEY.parsed)[:-40],
        pem_of(KEY.parsed).replace(b"M", b"A", 1),
        b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
        KEY.parsed.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
    ],
)
def test_garbage_is_no_key(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(KeyInvalid, match="holds no PEM private key"):
        load_private_key(private(tmp_path / "node.pem", content))


def test_a_damaged_encrypted_key_is_refused(tmp_path: Path) -> None:
    write_private_key(tmp_path / "whole.pem", KEY, "open sesame")
    torn = private(tmp_path / "torn.pem", (tmp_path / "whole.pem").read_bytes()[:-60])
    with pytest.raises(KeyInvalid, match="damaged"):
        load_private_key(torn, "open sesame")


def test_a_secret_with_another_keys_public_half_is_refused(tmp_path: Path) -> None:
    other = PrivateKey.generate()
    point = [
        key.parsed.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint) for key in (KEY, other)
    ]
    der = KEY.parsed.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    mixed = ec_pem(der.replace(point[0], point[1]))
    with pytest.raises(KeyInvalid, match="holds no PEM private key"):
        load_private_key(private(tmp_path / "mixed.pem", mixed))
    assert load_private_key(private(tmp_path / "same.pem", ec_pem(der))).public == KEY.public


def test_a_key_of_another_curve_is_refused_and_named(tmp_path: Path) -> None:
    other = private(tmp_path / "other.pem", pem_of(ec.generate_private_key(ec.SECP256K1())))
    with pytest.raises(KeyInvalid, match=r"other\.pem: the key is on curve secp256k1"):
        load_private_key(other)


def test_a_key_without_a_curve_is_refused(tmp_path: Path) -> None:
    other = private(tmp_path / "rsa.pem", pem_of(rsa.generate_private_key(65537, 2048)))
    with pytest.raises(KeyInvalid, match="no elliptic curve key"):
        load_private_key(other)


def test_a_file_over_the_limit_is_refused_and_one_at_it_is_read(tmp_path: Path) -> None:
    padding = KEY_FILE_BYTES_MAX - len(pem_of(KEY.parsed))
    fits = private(tmp_path / "fits.pem", pem_of(KEY.parsed) + b"\n" * padding)
    assert load_private_key(fits).public == KEY.public
    with pytest.raises(KeyInvalid, match="no key file"):
        load_private_key(private(tmp_path / "over.pem", fits.read_bytes() + b"\n"))


def ec_pem(der: bytes) -> bytes:
    """PKCS8 DER in PEM armour."""
    return b"-----BEGIN PRIVATE KEY-----\n" + b64encode(der) + b"\n-----END PRIVATE KEY-----\n"


def test_a_credential_of_systemd_may_have_the_mask_of_an_access_list(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """systemd gives a service read access by an access list: the mode then reads 0440 though the group has none."""
    write_private_key(tmp_path / "node.key", KEY)
    (tmp_path / "node.key").chmod(0o440)
    with pytest.raises(KeyInvalid, match="open to others"):
        load_private_key(tmp_path / "node.key")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert load_private_key(tmp_path / "node.key").public == KEY.public
    (tmp_path / "node.key").chmod(0o444)
    with pytest.raises(KeyInvalid, match="open to others"):
        load_private_key(tmp_path / "node.key")
