"""What systemd hears, over a real datagram socket."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from dropbeard.daemon import notify
from dropbeard.daemon.notify import Notifier


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as hearing:
        hearing.bind(str(tmp_path / "notify"))
        hearing.settimeout(5)
        yield hearing


def notifier(hearing: socket.socket, **more: str) -> Notifier:
    return Notifier({"NOTIFY_SOCKET": hearing.getsockname(), **more})


def heard(hearing: socket.socket) -> str:
    return hearing.recv(4_096).decode()


def test_each_word_is_one_datagram(systemd: socket.socket) -> None:
    told = notifier(systemd)
    told.ready("serving\nmodels")
    told.status("view 7")
    told.alive()
    told.stopping()
    told.extend(30)
    words = [heard(systemd) for _ in range(5)]
    assert words == [
        "READY=1\nSTATUS=serving models",
        "STATUS=view 7",
        "WATCHDOG=1",
        "STOPPING=1\nSTATUS=finishing what is under way",
        "EXTEND_TIMEOUT_USEC=30000000",
    ]


def test_an_abstract_socket_is_spoken_to() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as hearing:
        hearing.bind(f"\0dropbeard-test-{os.getpid()}")
        hearing.settimeout(5)
        Notifier({"NOTIFY_SOCKET": f"@dropbeard-test-{os.getpid()}"}).alive()
        assert heard(hearing) == "WATCHDOG=1"


@pytest.mark.parametrize("name", ["", "@", "relative", "unix:/run/x"])
def test_without_systemd_nothing_is_said(name: str) -> None:
    silent = Notifier({"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "1000000"})
    silent.ready("nobody hears")
    with silent.patience("nobody waits"):
        pass
    assert silent.watchdog_s is None


def test_a_systemd_that_went_away_or_reads_nothing_stops_no_daemon(tmp_path: Path, systemd: socket.socket) -> None:
    Notifier({"NOTIFY_SOCKET": str(tmp_path / "gone")}).alive()
    told = notifier(systemd)
    for _ in range(2_000):
        told.alive()
    assert heard(systemd) == "WATCHDOG=1"


@pytest.mark.parametrize(
    ("given", "interval_s"),
    [
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({}, None),
    ],
)
def test_the_watchdog_is_fed_only_where_this_process_is_watched(
    systemd: socket.socket, given: dict[str, str], interval_s: float | None
) -> None:
    assert notifier(systemd, **given).watchdog_s == interval_s


def test_a_long_start_asks_for_more_time_again_and_again(
    systemd: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notify, "EXTEND_EVERY_S", 0.01)
    with notifier(systemd).patience("loading a model"):
        words = [heard(systemd) for _ in range(5)]
    assert words == ["STATUS=loading a model", *["EXTEND_TIMEOUT_USEC=30000000"] * 4]


def test_the_time_that_a_start_may_take_has_an_end(systemd: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notify, "EXTEND_EVERY_S", 0.01)
    monkeypatch.setattr(notify, "EXTEND_MAX_S", 0.03)
    told = notifier(systemd)
    with told.patience("loading"):
        words = [heard(systemd) for _ in range(5)]
        systemd.settimeout(0.2)
        with pytest.raises(TimeoutError):
            heard(systemd)
    assert words.count("EXTEND_TIMEOUT_USEC=30000000") == 4
