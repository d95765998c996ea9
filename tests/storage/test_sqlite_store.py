"""The SQLite store on real files: one process, durable commits, clear errors."""

from __future__ import annotations

import os
import resource
import signal
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from dropbeard.errors import StorageFailed
from dropbeard.storage.records import Journal
from dropbeard.storage.sqlite_store import SqliteStore

TIMEOUT_S = 30


def test_what_was_appended_is_there_after_closing(tmp_path: Path) -> None:
    for expected in ([], [b"a", b"b"], [b"a", b"b", b"a", b"b"]):
        store = SqliteStore(tmp_path)
        journal = Journal(store)
        assert list(journal.replay()) == expected
        journal.append([b"a", b"b"])
        store.close()


def test_files_are_private_and_boots_are_counted(tmp_path: Path) -> None:
    home = tmp_path / "state"
    for boot in (1, 2, 3):
        store = SqliteStore(home)
        assert store.boot == boot
        store.close()
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    assert stat.S_IMODE((home / "journal.db").stat().st_mode) == 0o600


def test_a_second_process_is_kept_out(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path)
    with pytest.raises(StorageFailed, match="another process"):
        SqliteStore(tmp_path)
    store.close()
    SqliteStore(tmp_path).close()


def test_a_second_process_is_refused_until_the_first_ends_even_by_kill_9(tmp_path: Path) -> None:
    program = (
        "import sys, time; from pathlib import Path; from dropbeard.storage.sqlite_store import SqliteStore;"
        f"store = SqliteStore(Path({str(tmp_path)!r})); print(store.boot, flush=True); time.sleep({TIMEOUT_S})"
    )
    holder = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "1\n"
    with pytest.raises(StorageFailed, match="another process"):
        SqliteStore(tmp_path)
    holder.kill()
    holder.wait(TIMEOUT_S)
    holder.stdout.close()
    store = SqliteStore(tmp_path)
    assert store.boot == 2
    store.close()


@pytest.mark.parametrize("length", [0, 1, 35, 36, 40])
def test_a_last_row_cut_short_is_dropped_for_good(tmp_path: Path, length: int) -> None:
    store = SqliteStore(tmp_path)
    journal = Journal(store)
    list(journal.replay())
    journal.append([b"first", b"second"])
    store.close()
    database = sqlite3.connect(tmp_path / "journal.db")
    database.execute("UPDATE records SET row = substr(row, 1, ?) WHERE number = 2", (length,))
    database.commit()
    database.close()
    for torn in (1, 0):
        store = SqliteStore(tmp_path)
        journal = Journal(store)
        assert list(journal.replay()) == [b"first"]
        assert journal.torn == torn
        store.close()


def test_a_record_too_large_to_read_back_is_never_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dropbeard.storage.records.RECORD_BYTES_MAX", 10)
    store = SqliteStore(tmp_path)
    journal = Journal(store)
    list(journal.replay())
    with pytest.raises(StorageFailed, match="11 bytes, at most 10"):
        journal.append([b"small", bytes(11)])
    assert list(store.rows()) == []
    store.close()


def test_a_journal_of_a_newer_release_is_refused(tmp_path: Path) -> None:
    SqliteStore(tmp_path).close()
    database = sqlite3.connect(tmp_path / "journal.db")
    database.execute("PRAGMA user_version=99")
    database.commit()
    database.close()
    with pytest.raises(StorageFailed, match="format 99"):
        SqliteStore(tmp_path)


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "journal.db").write_bytes(b"this is not a database" * 100)
    with pytest.raises(StorageFailed, match="cannot open the journal"):
        SqliteStore(tmp_path)


def test_a_directory_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageFailed, match="state directory"):
        SqliteStore(tmp_path / "file" / "state")


def test_a_flipped_byte_in_the_file_is_found(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path)
    journal = Journal(store)
    list(journal.replay())
    journal.append([b"marker-" + bytes([65 + i]) * 20 for i in range(5)])
    store.close()
    path = tmp_path / "journal.db"
    data = path.read_bytes()
    at = data.index(b"marker-CC")
    path.write_bytes(data[:at] + b"X" + data[at + 1 :])
    store = SqliteStore(tmp_path)
    with pytest.raises(StorageFailed, match="record 3 is damaged"):
        list(Journal(store).replay())
    store.close()


def test_everything_acknowledged_survives_kill_9(tmp_path: Path) -> None:
    program = f"""
import sys
from pathlib import Path
from dropbeard.storage.records import Journal
from dropbeard.storage.sqlite_store import SqliteStore
journal = Journal(SqliteStore(Path({str(tmp_path)!r})))
list(journal.replay())
for number in range(100000):
    journal.append([b"%d" % number])
    print(number, flush=True)
"""
    child = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    acknowledged = -1
    for line in child.stdout:
        acknowledged = int(line)
        if acknowledged >= 200:
            os.kill(child.pid, signal.SIGKILL)
            break
    rest = child.stdout.read().splitlines()
    child.wait(TIMEOUT_S)
    child.stdout.close()
    whole = [line for line in rest if line.isdigit()]
    acknowledged = int(whole[-2]) if len(whole) > 1 else acknowledged
    store = SqliteStore(tmp_path)
    records = list(Journal(store).replay())
    store.close()
    assert records == [b"%d" % number for number in range(len(records))]
    assert len(records) > acknowledged


def test_a_full_disk_is_an_error_and_promises_nothing(tmp_path: Path) -> None:
    program = f"""
import resource, signal, sys
from pathlib import Path
from dropbeard.errors import StorageFailed
from dropbeard.storage.records import Journal
from dropbeard.storage.sqlite_store import SqliteStore
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
journal = Journal(SqliteStore(Path({str(tmp_path)!r})))
list(journal.replay())
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
done = 0
try:
    while done < 10_000:
        journal.append([b"x" * 5_000])
        done += 1
except StorageFailed as wrong:
    print(done, wrong)
    sys.exit(7)
"""
    child = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )
    assert child.returncode == 7, child.stderr
    assert "cannot be written" in child.stdout
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 200_000
    store = SqliteStore(tmp_path)
    assert len(list(Journal(store).replay())) >= int(child.stdout.split()[0])
    store.close()
