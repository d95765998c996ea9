"""What the web page knows from files."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from dropbeard.audit.disclosed import read_disclosed
from dropbeard.types.certificates import Certificate
from dropbeard.verification.certificate import Verified
from dropbeard.web import archive
from dropbeard.web.archive import Archive
from dropbeard.web.timeline import Timeline
from tests.verification.building import Plan, build, world
from tests.web.serving import disclose, files_of

WORLD = world(4)


def archive_of(directory: Path) -> Archive:
    files = files_of(directory, WORLD.group)
    disclose(files, WORLD)
    return Archive(files, WORLD.group, lambda: None)


def test_before_anything_is_read_nothing_is_known(tmp_path: Path) -> None:
    read = archive_of(tmp_path).read()
    assert (read.certificates, read.disagreement) == ((), None)
    assert read.timeline == "the ledger is being read"


def test_certificates_count_once_and_others_are_refused(tmp_path: Path) -> None:
    found = archive_of(tmp_path)
    folder = tmp_path / "state" / "disclosed"
    (folder / "copy.dbcert").write_bytes((folder / "1.dbcert").read_bytes())
    (folder / "garbage.dbcert").write_bytes(b"no certificate")
    found.look_at_certificates()
    assert (len(found.read().certificates), found.read().refused) == (4, 1)


def test_only_files_that_are_new_are_verified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = archive_of(tmp_path)
    found.look_at_certificates()
    looked_at: list[str] = []

    def noted(path: Path, check: Callable[[Certificate], Verified]) -> Verified | None:
        looked_at.append(path.name)
        return read_disclosed(path, check)

    monkeypatch.setattr(archive, "read_disclosed", noted)
    (tmp_path / "state" / "disclosed" / "late.dbcert").write_bytes(build(WORLD, Plan()).encode())
    found.look_at_certificates()
    assert looked_at == ["late.dbcert"]
    assert len(found.read().certificates) == 5
    (tmp_path / "state" / "disclosed" / "late.dbcert").unlink()
    found.look_at_certificates()
    assert len(found.read().certificates) == 4


def test_the_ledger_is_replayed_when_another_model_is_in_force(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    replays: list[Path] = []

    def replayed(state: Path, genesis: Path, over: threading.Event) -> Timeline | str:
        replays.append(state)
        return Timeline(len(replays), (), b"")

    monkeypatch.setattr(archive, "read_apart", replayed)
    monkeypatch.setattr(archive, "REPLAY_PAUSE_S", 0.0)
    in_force = ["one"]
    found = Archive(files_of(tmp_path, WORLD.group), WORLD.group, lambda: list(in_force))
    for _ in range(3):
        found.look_at_ledger(threading.Event())
    assert len(replays) == 1
    in_force.append("two")
    found.look_at_ledger(threading.Event())
    assert found.read().timeline == Timeline(2, (), b"")
