"""What a user gets wrong is one line that says what to do; the exit code is not 0 and nothing is left behind."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from dropbeard.cli.main import run

TIMEOUT_S = 60
LABELS = "\n".join(f"class {number}" for number in range(10))


def child(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "dropbeard", *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )


MENDED_BY_A_PERSON = 78
"""A daemon's exit code that a service manager does not answer with another start."""


def refused(result: subprocess.CompletedProcess[str], *parts: str, code: int = 1) -> None:
    assert result.returncode == code, result.stderr
    assert "Traceback" not in result.stderr
    assert len([line for line in result.stderr.splitlines() if line.startswith("dropbeard: ")]) == 1, result.stderr
    for part in parts:
        assert part in result.stderr


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A group of one synthetic owner (n = 1, f = 0): the smallest that runs."""
    (tmp_path / "labels.txt").write_text(LABELS)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = min(probe.getsockname()[1], 60_000)
    assert run(["init", "solo", "--dir", str(tmp_path / "solo"), "--port", str(port), "--backend", "onnx"]) == 0
    card, genesis = tmp_path / "solo" / "solo.card.toml", tmp_path / "solo" / "genesis.toml"
    labels = str(tmp_path / "labels.txt")
    assert run(["group", "create", str(card), "-o", str(genesis), "--labels", labels]) == 0
    return tmp_path / "solo"


def test_help_imports_nothing_heavy() -> None:
    program = (
        "import sys; from dropbeard.cli.main import run; run(['--help']);"
        "heavy = {'numpy', 'zmq', 'capnp', 'rich', 'cryptography', 'onnxruntime', 'blake3', 'msgspec'};"
        "sys.exit(','.join(sorted(heavy & set(sys.modules))) or 0)"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )
    assert (result.returncode, result.stderr) == (0, "")
    assert "verify" in result.stdout


@pytest.mark.parametrize(
    "verb",
    [
        "check",
        "config",
        "demo",
        "doctor",
        "drain",
        "group",
        "infer",
        "init",
        "models",
        "run",
        "simulate",
        "status",
        "systemd",
        "top",
        "upgrade-check",
        "verify",
    ],
)
def test_every_verb_has_help(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    if verb == "simulate":
        with pytest.raises(SystemExit):
            run([verb, "--help"])
    else:
        assert run([verb, "--help"]) == 0
    assert "usage" in capsys.readouterr().out.lower()


def test_an_engine_without_fetched_models_says_how_to_get_them(home: Path, tmp_path: Path) -> None:
    genesis = home / "genesis.toml"
    assert genesis.exists()
    result = child("run", "engine", str(home / "solo.toml"), DROPBEARD_CACHE=str(tmp_path / "empty"))
    refused(result, "dropbeard models fetch imagenet", code=MENDED_BY_A_PERSON)
    assert not (home / "engine.sock").exists()


def test_a_missing_configuration_is_refused(tmp_path: Path) -> None:
    refused(child("run", "node", str(tmp_path / "no.toml")), "cannot read", code=MENDED_BY_A_PERSON)


def test_a_missing_genesis_is_refused(home: Path) -> None:
    (home / "genesis.toml").unlink()
    refused(child("run", "node", str(home / "solo.toml")), "cannot read the genesis file", code=MENDED_BY_A_PERSON)


def test_a_genesis_that_is_not_one_is_refused(home: Path) -> None:
    (home / "genesis.toml").write_bytes(b"\xff\xfe\x00")
    refused(child("run", "node", str(home / "solo.toml")), "not text", code=MENDED_BY_A_PERSON)


def test_a_readable_key_is_refused_with_the_command_that_mends_it(home: Path) -> None:
    (home / "node.key").chmod(0o644)
    refused(child("run", "node", str(home / "solo.toml")), "chmod", code=MENDED_BY_A_PERSON)


def test_another_owners_key_is_refused(home: Path, tmp_path: Path) -> None:
    assert run(["init", "other", "--dir", str(tmp_path / "other")]) == 0
    (home / "node.key").write_bytes((tmp_path / "other" / "node.key").read_bytes())
    refused(
        child("run", "node", str(home / "solo.toml")),
        "no owner of the genesis has this node key",
        code=MENDED_BY_A_PERSON,
    )


def test_a_taken_port_is_refused(home: Path) -> None:
    text = (home / "solo.card.toml").read_text()
    port = int(text.split("tcp://127.0.0.1:")[1].split('"')[0])
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", port))
        holder.listen()
        refused(child("run", "node", str(home / "solo.toml")), str(port), "choose another port")


def test_an_unwritable_state_directory_is_refused(home: Path) -> None:
    (home / "state").write_text("in the way")
    refused(child("run", "node", str(home / "solo.toml")), "cannot use the state directory")


def test_a_damaged_journal_is_refused_with_its_place(home: Path) -> None:
    (home / "state").mkdir()
    (home / "state" / "journal.db").write_bytes(b"no database" * 200)
    refused(child("run", "node", str(home / "solo.toml")), "cannot open the journal")


def test_an_engine_socket_path_that_is_too_long_is_refused(home: Path) -> None:
    config = home / "solo.toml"
    config.write_text(config.read_text().replace("ipc://engine.sock", f"ipc://{'x' * 120}.sock"))
    refused(child("run", "node", str(config)), "at most 107 work", code=MENDED_BY_A_PERSON)


def test_an_unknown_key_in_the_configuration_is_refused(home: Path) -> None:
    config = home / "solo.toml"
    config.write_text(config.read_text().replace("log_level", "loglevel"))
    refused(child("run", "node", str(config)), "did you mean `log_level`", code=MENDED_BY_A_PERSON)


def test_verify_refuses_what_is_no_certificate(home: Path, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"not a certificate")
    refused(child("verify", str(tmp_path / "x"), "--group", str(home / "genesis.toml")), "certificate", code=2)
    refused(child("verify", str(tmp_path / "y"), "--group", str(home / "genesis.toml")), "cannot read", code=2)
    refused(child("verify", str(tmp_path / "x"), "--group", str(tmp_path / "no")), "cannot read the genesis", code=2)


@pytest.mark.parametrize(
    ("name", "data", "part"),
    [
        ("text.jpg", b"hello, this is text", "not a JPEG, PNG or WebP"),
        ("empty.jpg", b"", "empty"),
        ("cut.png", b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", "image"),
    ],
)
def test_the_demo_refuses_what_is_no_picture(tmp_path: Path, name: str, data: bytes, part: str) -> None:
    (tmp_path / name).write_bytes(data)
    refused(child("demo", str(tmp_path / name), "--dir", str(tmp_path / "d")), name, part)
    assert not (tmp_path / "d").exists()


def test_the_demo_refuses_a_picture_of_a_hundred_megapixels(tmp_path: Path) -> None:
    from PIL import Image

    Image.new("1", (10_000, 10_000)).save(tmp_path / "big.png")
    refused(child("demo", str(tmp_path / "big.png"), "--dir", str(tmp_path / "d")), "100000000 pixels")
    assert not (tmp_path / "d").exists()
