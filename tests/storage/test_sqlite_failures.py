"""Real processes killed while they write, a real full disk, a write that fails: nothing acknowledged is lost."""

from __future__ import annotations

import os
import random
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dropbeard.errors import StorageFailed
from dropbeard.storage.records import Journal
from dropbeard.storage.sqlite_store import SqliteStore

TIMEOUT_S = 30
KILLS = 20
COMMIT_RECORDS = 3
COMMITS = 20
TMPFS_BYTES = 1 << 20
PROGRAM = f"""
import os, sys
from pathlib import Path
from dropbeard.storage import sqlite_store
from dropbeard.storage.records import Journal
sqlite_store.WAL_PAGES = 50  # so that kills hit the copying of the log into the file as well
store = sqlite_store.SqliteStore(Path(sys.argv[1]))
journal = Journal(store)
done = sum(1 for _ in journal.replay())
os.write(1, b"%d %d\\n" % (store.boot, done))
while True:
    journal.append([b"%d " % number + bytes(number % 700) for number in range(done, done + {COMMIT_RECORDS})])
    done += {COMMIT_RECORDS}
    os.write(1, b"%d %d\\n" % (store.boot, done))
"""


def record(number: int) -> bytes:
    return b"%d " % number + bytes(number % 700)


def kill_in_the_middle(directory: Path, after_bytes: int) -> tuple[int, int]:
    """Start a writer, kill it once it has reported so much; its boot counter and what it acknowledged."""
    child = subprocess.Popen([sys.executable, "-c", PROGRAM, str(directory)], stdout=subprocess.PIPE)
    assert child.stdout is not None
    try:
        said = child.stdout.readline()
        while len(said) < after_bytes:
            said += child.stdout.read1(after_bytes)  # type: ignore[attr-defined]
        child.kill()
        said += child.stdout.read()
    finally:
        child.kill()
        child.wait(TIMEOUT_S)
        child.stdout.close()
    boot, done = said[: said.rindex(b"\n")].splitlines()[-1].split()
    return int(boot), int(done)


def test_everything_acknowledged_survives_twenty_kills_and_commits_stay_whole(tmp_path: Path) -> None:
    rng = random.Random(1)
    for kill in range(1, KILLS + 1):
        boot, acknowledged = kill_in_the_middle(tmp_path, rng.randint(1, 1_000))
        # The odd starts are the children's, the even ones this process's.
        assert boot == 2 * kill - 1
        store = SqliteStore(tmp_path)
        assert store.boot == 2 * kill
        records = list(Journal(store).replay())
        store.close()
        assert records == [record(number) for number in range(len(records))]
        assert acknowledged <= len(records) <= acknowledged + COMMIT_RECORDS
        assert len(records) % COMMIT_RECORDS == 0


@contextmanager
def mounted(directory: Path) -> Iterator[None]:
    """A small file system in memory at ``directory``."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small file system needs root")
    options = ["-t", "tmpfs", "-o", f"size={TMPFS_BYTES}", "tmpfs", str(directory)]
    made = subprocess.run(["mount", *options], capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    if made.returncode != 0:
        pytest.skip(f"this machine mounts nothing: {made.stderr.strip()}")
    try:
        yield
    finally:
        # Lazily: a failed test may still hold files there.
        subprocess.run(["umount", "--lazy", str(directory)], timeout=TIMEOUT_S, check=True)


def fill(journal: Journal, filler: bytes, at_most: int) -> int:
    """Append until the disk is full; how many commits were acknowledged."""
    for done in range(at_most):
        try:
            journal.append([b"%d" % done, filler])
        except StorageFailed as wrong:
            assert str(wrong) == (
                "the journal cannot be written: database or disk is full; free space or check the disk"
            )
            return done
    pytest.fail("the disk is never full")


def test_on_a_full_disk_everything_acknowledged_is_readable_and_the_journal_goes_on_once_there_is_space(
    tmp_path: Path,
) -> None:
    with mounted(tmp_path):
        (tmp_path / "other").write_bytes(bytes(TMPFS_BYTES // 2))
        store = SqliteStore(tmp_path / "state")
        journal = Journal(store)
        list(journal.replay())
        filler = bytes(3_000)
        done = fill(journal, filler, 1_000)
        assert done > 10
        expected = [data for number in range(done) for data in (b"%d" % number, filler)]
        assert list(Journal(store).replay()) == expected
        (tmp_path / "other").unlink()
        journal.append([b"there is space"])
        expected.append(b"there is space")
        store.close()
        store = SqliteStore(tmp_path / "state")
        assert list(Journal(store).replay()) == expected
        store.close()


def test_a_node_killed_on_a_full_disk_starts_there_counts_and_reads_what_was_acknowledged(tmp_path: Path) -> None:
    program = f"""
import os, signal, sys
from pathlib import Path
from dropbeard.errors import StorageFailed
from dropbeard.storage.records import Journal
from dropbeard.storage.sqlite_store import SqliteStore
journal = Journal(SqliteStore(Path({str(tmp_path / "state")!r})))
list(journal.replay())
done = 0
try:
    while True:
        journal.append([bytes(3_000)])
        done += 1
except StorageFailed:
    print(done, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""
    with mounted(tmp_path):
        child = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, timeout=TIMEOUT_S, check=False
        )
        assert child.returncode == -signal.SIGKILL, child.stderr
        assert os.statvfs(tmp_path).f_bavail == 0
        for boot in (2, 3):
            store = SqliteStore(tmp_path / "state")
            assert store.boot == boot
            assert len(list(Journal(store).replay())) == int(child.stdout) > 10
            store.close()


@contextmanager
def no_file_larger_than(size: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_after_a_failed_write_nothing_is_written_before_a_new_start(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path)
    journal = Journal(store)
    list(journal.replay())
    journal.append([b"acknowledged"])
    with no_file_larger_than(100_000), pytest.raises(StorageFailed, match="cannot be written: disk I/O error"):
        journal.append([bytes(200_000)])
    with pytest.raises(StorageFailed, match="restart the node"):
        journal.append([b"too late"])
    store.close()
    store = SqliteStore(tmp_path)
    journal = Journal(store)
    assert list(journal.replay()) == [b"acknowledged"]
    journal.append([b"after the restart"])
    assert list(Journal(store).replay()) == [b"acknowledged", b"after the restart"]
    store.close()


def append_while_syncs_fail(directory: Path, first: str = "") -> list[str]:
    """What each of many commits comes to when all syncs but some first fail; ``first`` is run on the open store."""
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("making a sync fail needs strace")
    SqliteStore(directory).close()
    program = f"""
from pathlib import Path
from dropbeard.errors import StorageFailed
from dropbeard.storage.records import Journal
from dropbeard.storage.sqlite_store import SqliteStore
store = SqliteStore(Path({str(directory)!r}))
journal = Journal(store)
list(journal.replay())
{first}
for _ in range({COMMITS}):
    try:
        journal.append([b"record"])
        print("acknowledged", flush=True)
    except StorageFailed as wrong:
        print(wrong, flush=True)
"""
    # Spared are the mark's two at the start, those that begin the log, and a few commits'.
    faults = ["-e", "inject=fdatasync:error=EIO:when=10+", "-e", "inject=fsync:error=EIO:when=3+"]
    command = [strace, "-f", "-qq", "-o", "/dev/null", *faults, sys.executable, "-c", program]
    child = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    if "ptrace" in child.stderr:
        pytest.skip(f"this machine lets strace follow nothing: {child.stderr.strip()}")
    return child.stdout.splitlines()


def test_a_commit_whose_sync_fails_is_not_acknowledged_and_not_tried_again(tmp_path: Path) -> None:
    said = append_while_syncs_fail(tmp_path)
    acknowledged = said.count("acknowledged")
    assert 0 < acknowledged < COMMITS - 1
    assert said[:acknowledged] == ["acknowledged"] * acknowledged
    assert said[acknowledged].startswith("the journal cannot be written: disk I/O error")
    assert all(line.endswith("restart the node") for line in said[acknowledged + 1 :])
    store = SqliteStore(tmp_path)
    assert acknowledged <= len(list(Journal(store).replay())) <= acknowledged + 1
    store.close()


@pytest.mark.parametrize("level", ["OFF", "NORMAL"])
def test_a_mutant_that_commits_without_a_sync_acknowledges_what_no_disk_holds(tmp_path: Path, level: str) -> None:
    unsynced = f"store._database.execute('PRAGMA synchronous={level}')"
    assert append_while_syncs_fail(tmp_path, unsynced) == ["acknowledged"] * COMMITS
