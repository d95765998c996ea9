"""Rules for clients are said when a group is made, and a client that is not allowed is told so before it connects."""

from __future__ import annotations

from pathlib import Path

import pytest

from dropbeard.cli.main import run
from dropbeard.errors import KeyInvalid
from dropbeard.signing.curve import CurveSecret, load_curve_secret
from dropbeard.storage.files import read_genesis
from dropbeard.transport.client_link import ClientLink
from dropbeard.types.client_rules import ClientRules
from dropbeard.types.ids import ClientKey
from tests.verification.building import world


@pytest.fixture
def cards(tmp_path: Path) -> list[str]:
    """Four owners' cards, and the labels."""
    from dropbeard.daemon.new_node import NodePlan, make_node
    from dropbeard.types.node_config import EngineTable

    (tmp_path / "labels.txt").write_text("cat\ndog\n")
    engine = EngineTable("synthetic", backend="synthetic")
    plans = [NodePlan(f"owner{i}", "127.0.0.1", 20_000 + 10 * i, engine) for i in range(4)]
    return [str(make_node(plan, tmp_path / plan.name).card) for plan in plans]


def create(tmp_path: Path, cards: list[str], *options: str) -> int:
    labels, output = str(tmp_path / "labels.txt"), str(tmp_path / "made.genesis.toml")
    return run(["group", "create", *cards, "--task", "pets", "--labels", labels, "-o", output, *options])


def test_a_group_is_made_with_rules_for_its_clients(
    tmp_path: Path, cards: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["group", "client-key", str(tmp_path / "client.key")]) == 0
    public = capsys.readouterr().out.strip()
    assert load_curve_secret(tmp_path / "client.key").public.hex() == public
    other = "ab" * 32
    (tmp_path / "allowed.txt").write_text(f"# a comment\n{public}  # ours\n\n{other}\n{public}\n")
    limits = ["--client-rate", "50", "--client-burst", "100", "--client-day", "5000"]
    assert create(tmp_path, cards, "--allow-client", str(tmp_path / "allowed.txt"), *limits) == 0
    allow = tuple(sorted(ClientKey(bytes.fromhex(text)) for text in (public, other)))
    assert read_genesis(tmp_path / "made.genesis.toml").clients == ClientRules(50, 100, 5_000, allow)


def test_without_an_option_a_group_has_no_rules_and_a_rate_alone_is_its_own_burst(
    tmp_path: Path, cards: list[str]
) -> None:
    assert create(tmp_path, cards) == 0
    assert read_genesis(tmp_path / "made.genesis.toml").clients is None
    (tmp_path / "made.genesis.toml").unlink()
    assert create(tmp_path, cards, "--client-rate", "7") == 0
    assert read_genesis(tmp_path / "made.genesis.toml").clients == ClientRules(7, 7)


@pytest.mark.parametrize(
    ("text", "options", "part"),
    [
        ("nothing", (), "a client's key must be 64 lower-case hex digits"),
        ("# none\n", (), "holds no key"),
        ("ab" * 32, ("--client-burst", "5"), "go together"),
    ],
)
def test_rules_that_cannot_be_are_one_line(
    tmp_path: Path,
    cards: list[str],
    capsys: pytest.CaptureFixture[str],
    text: str,
    options: tuple[str, ...],
    part: str,
) -> None:
    (tmp_path / "allowed.txt").write_text(text)
    assert create(tmp_path, cards, "--allow-client", str(tmp_path / "allowed.txt"), *options) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert part in line
    assert not (tmp_path / "made.genesis.toml").exists()


def test_a_client_that_a_closed_group_does_not_name_is_told_so_before_it_connects() -> None:
    from dataclasses import replace

    stranger = CurveSecret.generate()
    closed = replace(world(4).group, clients=ClientRules(allow=(ClientKey(b"\1" * 32),)))
    with pytest.raises(KeyInvalid, match=f"{stranger.public.hex()} is none of them"):
        ClientLink(closed, stranger)
