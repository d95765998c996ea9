"""Private keys on disk: readable by their owner alone from the first moment, and never overwritten."""

from __future__ import annotations

import os
import shlex
import stat
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from dropbeard.errors import KeyInvalid
from dropbeard.signing.ecdsa_p256 import PrivateKey

KEY_FILE_BYTES_MAX = 16 * 1024
PASSPHRASE_BYTES_MAX = 1023  # OpenSSL's limit for an encrypted PKCS8 file

_PRIVATE_MODE = 0o600
_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_CREDENTIALS = "CREDENTIALS_DIRECTORY"


def write_private_key(path: Path, key: PrivateKey, passphrase: str | None = None) -> None:
    """Write ``key`` as PKCS8 PEM to a new file, encrypted if there is a passphrase."""
    encryption: KeySerializationEncryption = NoEncryption()
    if passphrase is not None:
        encryption = BestAvailableEncryption(_password(passphrase))
    write_private_file(path, key.parsed.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption))


def load_private_key(path: Path, passphrase: str | None = None) -> PrivateKey:
    """Read a P-256 private key from a file that nobody else can read."""
    password = None if passphrase is None else _password(passphrase)
    parsed = _parse_pem(path, read_private_file(path), password)
    try:
        return PrivateKey(parsed)
    except KeyInvalid as wrong_curve:
        raise KeyInvalid(f"{path}: {wrong_curve}") from None


def write_private_file(path: Path, content: bytes) -> None:
    """Create ``path`` with mode 0600 and put ``content`` on disk for good, or leave nothing."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _PRIVATE_MODE)
    except FileExistsError:
        raise KeyInvalid(f"{path} exists; a key is never overwritten: move it away or name another") from None
    except OSError as error:
        raise KeyInvalid(f"{path} cannot be created: {error.strerror}") from None
    try:
        with open(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        _sync_directory(path.parent)
    except OSError as error:
        path.unlink(missing_ok=True)
        raise KeyInvalid(f"{path} cannot be written: {error.strerror}; nothing was kept") from None


def read_private_file(path: Path) -> bytes:
    """Read a small regular file; one that others can read is refused, since its secret may be known."""
    try:
        # O_NONBLOCK: opening a pipe would otherwise wait for a writer.
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
            # The open file is asked, not the path: the path may name another file a moment later.
            _check_private(path, os.fstat(file.fileno()))
            content = file.read(KEY_FILE_BYTES_MAX + 1)
    except FileNotFoundError:
        raise KeyInvalid(f"{path} does not exist; make keys with 'dropbeard init' or correct the path") from None
    except OSError as error:
        raise KeyInvalid(f"{path} cannot be read: {error.strerror}") from None
    if len(content) > KEY_FILE_BYTES_MAX:
        raise KeyInvalid(f"{path} is over {KEY_FILE_BYTES_MAX} bytes: that is no key file")
    return content


def _check_private(path: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise KeyInvalid(f"{path} is no regular file; name the key file itself")
    if status.st_mode & (stat.S_IRWXO if _is_credential(path) else _OTHERS):
        mode = stat.S_IMODE(status.st_mode)
        raise KeyInvalid(f"{path} is open to others (mode {mode:04o}); run: chmod 600 {shlex.quote(str(path))}")


def credential(name: str) -> Path | None:
    """The key that systemd hands to this service under the name of this file; None where it hands none."""
    given = os.environ.get(_CREDENTIALS)
    path = None if given is None else Path(given) / Path(name).name
    return path if path is not None and path.exists() else None


def _is_credential(path: Path) -> bool:
    """Is it where systemd puts a service's own credentials? Group bits are the mask of an access list there."""
    given = os.environ.get(_CREDENTIALS)
    return given is not None and path.parent == Path(given)


def _sync_directory(directory: Path) -> None:
    # Without this the new file's name may be lost in a crash although its bytes are on disk.
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _password(passphrase: str) -> bytes:
    # surrogateescape: bytes of a terminal that are no UTF-8 come back as they were typed.
    password = passphrase.encode("utf-8", "surrogateescape")
    if not 1 <= len(password) <= PASSPHRASE_BYTES_MAX:
        raise KeyInvalid(f"a passphrase has 1 to {PASSPHRASE_BYTES_MAX} bytes, this one has {len(password)}")
    return password


def _parse_pem(path: Path, pem: bytes, password: bytes | None) -> ec.EllipticCurvePrivateKey:
    try:
        parsed = load_pem_private_key(pem, password)
    except TypeError:
        if password is None:
            raise KeyInvalid(f"{path} is encrypted; give its passphrase") from None
        raise KeyInvalid(f"{path} is not encrypted; give no passphrase, or make a key that is") from None
    except (ValueError, UnsupportedAlgorithm):
        if password is None:
            raise KeyInvalid(f"{path} holds no PEM private key, or a damaged one; restore it") from None
        raise KeyInvalid(f"{path}: wrong passphrase, or the file is damaged; try again or restore it") from None
    if not isinstance(parsed, ec.EllipticCurvePrivateKey):
        raise KeyInvalid(f"{path} holds no elliptic curve key; make one on NIST P-256")
    return parsed
