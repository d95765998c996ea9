"""Keys, cards, genesis: what a new group needs, and one clear line for everything that can be wrong with it."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from dropbeard.cli.main import run
from dropbeard.types.genesis_file import genesis_from_toml

LABELS = "\n".join(f"class {number}" for number in range(10))


def make(folder: Path, name: str, port: int) -> Path:
    assert run(["init", name, "--dir", str(folder / name), "--port", str(port)]) == 0
    return folder / name / f"{name}.card.toml"


@pytest.fixture(scope="module")
def cards(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("owners")
    return [make(folder, name, 7400 + 10 * place) for place, name in enumerate(("alice", "bob", "carol", "dave"))]


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    path = tmp_path / "labels.txt"
    path.write_text(LABELS)
    return path


def create(cards: list[Path], output: Path, labels: Path, *more: str) -> int:
    return run(["group", "create", *map(str, cards), "-o", str(output), "--labels", str(labels), *more])


def one_line(capsys: pytest.CaptureFixture[str], *parts: str) -> None:
    error = capsys.readouterr().err
    assert len(error.strip().splitlines()) == 1, error
    for part in parts:
        assert part in error


def test_private_keys_are_readable_by_their_owner_alone(cards: list[Path]) -> None:
    home = cards[0].parent
    for name in ("owner.key", "node.key", "curve.key", "salt.key"):
        assert stat.S_IMODE((home / name).stat().st_mode) == 0o600
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    assert "PRIVATE" not in (home / "alice.toml").read_text() + cards[0].read_text()


def test_four_cards_make_a_genesis_that_reads_back(cards: list[Path], tmp_path: Path, labels: Path) -> None:
    output = tmp_path / "genesis.toml"
    assert create(cards, output, labels, "--name", "four", "--set", "block_interval_us=20000") == 0
    group = genesis_from_toml(output.read_text())
    assert (group.name, group.n, group.f, group.answers, group.quorum) == ("four", 4, 1, 3, 3)
    assert [owner.name for owner in group.owners] == ["alice", "bob", "carol", "dave"]
    assert group.parameters.block_interval_us == 20_000


def test_the_id_depends_on_the_values_and_not_on_the_text(cards: list[Path], tmp_path: Path, labels: Path) -> None:
    output = tmp_path / "genesis.toml"
    create(cards, output, labels)
    text = output.read_text()
    group = genesis_from_toml(text)
    assert genesis_from_toml("# a comment\n" + text.replace(" = ", "=")).id == group.id


@pytest.mark.parametrize(
    ("old", "new", "part"),
    [
        ("node_key", "nod_key", "did you mean `node_key`"),
        ("format = 1", "format = 2", "format 2"),
        ("format = 1", 'format = "1"', "Expected `int`"),
        ("tcp://127.0.0.1:7400", "udp://127.0.0.1:7400", "endpoint"),
        ("tcp://127.0.0.1:7400", "tcp://127.0.0.1:70000", "endpoint"),
        ("tcp://127.0.0.1:7400", "tcp://127.0.0.1", "endpoint"),
        ('name = "alice"', 'name = ""', "name"),
        ('curve_key = "', 'curve_key = "zz', "curve_key"),
        ("[", "", "is not TOML"),
    ],
)
def test_a_wrong_card_is_one_line_that_names_file_and_key(
    cards: list[Path], tmp_path: Path, labels: Path, capsys: pytest.CaptureFixture[str], old: str, new: str, part: str
) -> None:
    wrong = tmp_path / "wrong.card.toml"
    text = cards[0].read_text()
    wrong.write_text(text.replace(old, new, 1) if old in text else text + "\n= broken")
    assert create([wrong, *cards[1:]], tmp_path / "genesis.toml", labels) == 1
    one_line(capsys, "wrong.card.toml", part)
    assert not (tmp_path / "genesis.toml").exists()


def test_an_owner_twice_is_refused(
    cards: list[Path], tmp_path: Path, labels: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert create([*cards[:3], cards[0]], tmp_path / "genesis.toml", labels) == 1
    one_line(capsys, "alice.card.toml")


def test_a_shared_key_is_refused(
    cards: list[Path], tmp_path: Path, labels: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = tmp_path / "copy.card.toml"
    copy.write_text(cards[0].read_text().replace('name = "alice"', 'name = "mallory"'))
    assert create([*cards[:3], copy], tmp_path / "genesis.toml", labels) == 1
    one_line(capsys, "owner_key", "each owner needs its own")


def test_too_few_owners_for_f_are_refused(
    cards: list[Path], tmp_path: Path, labels: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert create(cards[:3], tmp_path / "genesis.toml", labels, "--f", "1") == 1
    one_line(capsys, "n >= 3f+1")


@pytest.mark.parametrize("setting", ["nope=1", "near_us=x", "near_us=99999999999", "near_us"])
def test_a_wrong_parameter_is_refused(
    cards: list[Path], tmp_path: Path, labels: Path, capsys: pytest.CaptureFixture[str], setting: str
) -> None:
    assert create(cards, tmp_path / "genesis.toml", labels, "--set", setting) == 1
    one_line(capsys, "near_us")


def test_a_genesis_is_never_replaced(
    cards: list[Path], tmp_path: Path, labels: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "genesis.toml"
    assert create(cards, output, labels) == 0
    before = output.read_bytes()
    capsys.readouterr()
    assert create(cards, output, labels, "--name", "other") == 1
    one_line(capsys, "never replaced")
    assert output.read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["genesis.toml", "labels.txt"]


def test_keys_are_never_overwritten_and_nothing_is_left_behind(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make(tmp_path, "erin", 7500)
    before = (tmp_path / "erin" / "node.key").read_bytes()
    capsys.readouterr()
    assert run(["init", "erin", "--dir", str(tmp_path / "erin")]) == 1
    one_line(capsys, "not empty")
    assert (tmp_path / "erin" / "node.key").read_bytes() == before
    assert run(["init", "a/b", "--dir", str(tmp_path / "x")]) == 1
    assert run(["init", "ok", "--dir", str(tmp_path / "x"), "--model", "no-such-model"]) == 1
    assert run(["init", "ok", "--dir", str(tmp_path / "x"), "--port", "65535"]) == 1
    assert run(["init", "ok", "--dir", str(tmp_path / "x"), "--passphrase-env", "DROPBEARD_NO_SUCH"]) == 1
    assert run(["init", "ok", "--dir", str(tmp_path / "x" / "y"), "--host", "not a host"]) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["erin"]


def test_a_directory_below_a_file_is_one_line_and_leaves_the_file_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("precious")
    assert run(["init", "gus", "--dir", str(tmp_path / "file" / "gus")]) == 1
    one_line(capsys, "cannot make")
    assert (tmp_path / "file").read_text() == "precious"


def test_a_name_with_quotes_goes_through_card_and_genesis(cards: list[Path], tmp_path: Path, labels: Path) -> None:
    odd = make(tmp_path, 'a"b', 7600)
    output = tmp_path / "genesis.toml"
    assert create([odd, *cards[1:]], output, labels) == 0
    assert genesis_from_toml(output.read_text()).owners[0].name == 'a"b'


@pytest.mark.parametrize(("answers", "code"), [("2", 1), ("3", 0), ("4", 1)])
def test_answers_lie_between_2f_plus_1_and_n_minus_f(
    cards: list[Path], tmp_path: Path, labels: Path, answers: str, code: int
) -> None:
    assert create(cards, tmp_path / "genesis.toml", labels, "--answers", answers) == code
    assert (tmp_path / "genesis.toml").exists() == (code == 0)


def test_a_card_that_is_a_directory_or_endless_is_one_line(
    cards: list[Path], tmp_path: Path, labels: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for path, part in ((tmp_path, "cannot read the card"), (Path("/dev/zero"), "larger than the card may be")):
        assert create([path, *cards[1:]], tmp_path / "genesis.toml", labels) == 1
        one_line(capsys, str(path), part)


def test_a_passphrase_protects_owner_and_node_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DROPBEARD_TEST_PASS", "correct horse")
    home = tmp_path / "fay"
    assert run(["init", "fay", "--dir", str(home), "--passphrase-env", "DROPBEARD_TEST_PASS"]) == 0
    assert b"ENCRYPTED" in (home / "node.key").read_bytes()
    assert 'passphrase_env = "DROPBEARD_TEST_PASS"' in (home / "fay.toml").read_text()
