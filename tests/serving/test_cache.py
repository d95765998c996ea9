"""Files in the cache are whole, alone and checked."""

from __future__ import annotations

from pathlib import Path

import pytest
from blake3 import blake3

from dropbeard.errors import StorageFailed
from dropbeard.serving.cache import cache_directory, has_digest, read_cached, store


def test_the_variable_of_the_product_names_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("DROPBEARD_CACHE", str(tmp_path / "own"))
    assert cache_directory() == tmp_path / "own"


def test_without_it_the_cache_is_where_others_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DROPBEARD_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_directory() == tmp_path / "xdg" / "dropbeard"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert cache_directory() == tmp_path / "home" / ".cache" / "dropbeard"


def test_a_stored_file_is_whole_and_alone(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "file"
    store(path, b"first")
    store(path, b"second")
    assert read_cached(path) == b"second"
    assert list(path.parent.iterdir()) == [path]


def test_a_folder_that_cannot_be_made_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageFailed, match="DROPBEARD_CACHE"):
        store(tmp_path / "file" / "under", b"data")


def test_a_store_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    (taken / "full").mkdir(parents=True)
    with pytest.raises(StorageFailed):
        store(taken, b"data")
    assert list(tmp_path.iterdir()) == [taken]


def test_a_file_that_is_not_there_is_none(tmp_path: Path) -> None:
    assert read_cached(tmp_path / "nothing") is None


def test_a_folder_in_a_files_place_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(StorageFailed, match="remove it"):
        read_cached(tmp_path)


def test_a_digest_is_the_plain_blake3_in_hexadecimal() -> None:
    assert has_digest(b"data", blake3(b"data").hexdigest())
    assert not has_digest(b"dat", blake3(b"data").hexdigest())
