"""The local status socket: its user's alone, at paths of any length, and not to be shaken by what comes in."""

from __future__ import annotations

import socket
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import zmq

from dropbeard.errors import NodeUnreachable
from dropbeard.transport.status_link import QUESTION_BYTES_MAX, SOCKET, StatusListener, ask
from tests.transport.worlds import Context, until

LONG = "a directory whose name alone is longer than a socket's path may be" * 2


@contextmanager
def serving(directory: Path) -> Iterator[list[bytes]]:
    """Answers every question with itself, in a thread."""
    context: Context = zmq.Context()
    listener, over, heard = StatusListener(context, directory), threading.Event(), []

    def loop() -> None:
        while not over.is_set():
            listener.socket.poll(20)
            for route, question in listener.receive():
                heard.append(question)
                listener.send(route, b"asked: " + question)

    thread = threading.Thread(target=loop)
    thread.start()
    try:
        yield heard
    finally:
        over.set()
        thread.join()
        listener.close()
        context.term()


@pytest.mark.parametrize("name", ["s", LONG])
def test_a_question_is_answered_wherever_the_state_directory_is(tmp_path: Path, name: str) -> None:
    directory = tmp_path / name
    directory.mkdir()
    with serving(directory):
        assert stat.S_IMODE((directory / SOCKET).stat().st_mode) == 0o600
        assert ask(directory, b"status/1", 100, 5) == b"asked: status/1"
    assert not (directory / SOCKET).exists()


def test_a_leftover_of_a_killed_node_is_replaced(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / SOCKET))
    with serving(tmp_path):
        assert ask(tmp_path, b"x", 100, 5) == b"asked: x"


def test_without_a_node_the_reason_is_named(tmp_path: Path) -> None:
    with pytest.raises(NodeUnreachable, match="no node runs here"):
        ask(tmp_path, b"status/1", 100, 1)
    with pytest.raises(NodeUnreachable, match="no node runs here"):
        ask(tmp_path / "never", b"status/1", 100, 1)
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(tmp_path / SOCKET))
        silent.listen()
        with pytest.raises(NodeUnreachable, match=r"does not answer within 0\.3 s"):
            ask(tmp_path, b"status/1", 100, 0.3)


def test_an_answer_beyond_the_bound_is_not_taken(tmp_path: Path) -> None:
    context: Context = zmq.Context()
    listener = StatusListener(context, tmp_path)
    thread = threading.Thread(target=lambda: _answer_one(listener, bytes(5_000)))
    thread.start()
    with pytest.raises(NodeUnreachable):
        ask(tmp_path, b"status/1", 1_000, 1)
    thread.join()
    listener.close()
    context.term()


def _answer_one(listener: StatusListener, data: bytes) -> None:
    def step() -> bool:
        asked = listener.receive()
        for route, _ in asked:
            listener.send(route, data)
        return bool(asked)

    until(step)


def test_malformed_questions_reach_nobody_and_the_next_one_is_answered(tmp_path: Path) -> None:
    with serving(tmp_path) as heard:
        path = str(tmp_path / SOCKET)
        with socket.socket(socket.AF_UNIX) as garbage:
            garbage.connect(path)
            garbage.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" + bytes(range(256)) * 16)
        context: Context = zmq.Context()
        hostile: zmq.Socket[bytes] = context.socket(zmq.DEALER)
        hostile.connect(f"ipc://{path}")
        hostile.send_multipart([b"a", b"b"])
        hostile.send_multipart([b"", b"c", b"d"] * 100)
        hostile.send(bytes(QUESTION_BYTES_MAX + 10))
        assert ask(tmp_path, b"still there", 100, 5) == b"asked: still there"
        context.destroy(linger=0)
        # ZeroMQ's oldest framing lets garbage through as a message: it is short, and a question that nobody knows.
        assert b"still there" in heard
        assert all(len(question) <= QUESTION_BYTES_MAX for question in heard)
        assert {b"a", b"b", b"c", b"d"}.isdisjoint(heard)


def test_a_huge_question_ends_its_connection_alone(tmp_path: Path) -> None:
    with serving(tmp_path) as heard:
        context: Context = zmq.Context()
        hostile: zmq.Socket[bytes] = context.socket(zmq.DEALER)
        hostile.connect(f"ipc://{tmp_path / SOCKET}")
        hostile.send(bytes(1 << 20))
        assert ask(tmp_path, b"x", 100, 5) == b"asked: x"
        context.destroy(linger=0)
        assert heard == [b"x"]
