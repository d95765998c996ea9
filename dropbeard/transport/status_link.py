"""The local socket on which a running node answers questions about itself: its own user's alone.

It lies in the node's state directory and has mode 0600. The path goes through a descriptor of that directory, since a
Unix socket's own limit of 107 bytes is shorter than many paths.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Container
from pathlib import Path
from typing import Final

import zmq

from dropbeard.errors import NodeUnreachable, TransportFailed
from dropbeard.transport.frames import EVERYTHING, receive
from dropbeard.transport.options import BACKLOG, prepare

SOCKET: Final = "status.sock"
SOCKET_MODE: Final = 0o600
QUESTION_BYTES_MAX: Final = 64
QUESTIONS_QUEUED_MAX: Final = 64
ASKED_AT_ONCE_MAX: Final = 16
"""Questions answered before the loop looks at anything else."""

Context = zmq.Context[zmq.Socket[bytes]]


class StatusListener:
    """The node's end. The state directory's lock keeps a second node away, so a socket that is there is a leftover."""

    def __init__(self, context: Context, directory: Path) -> None:
        self._path = directory / SOCKET
        try:
            listening = _listen(directory)
        except OSError as wrong:
            raise TransportFailed(f"cannot make the status socket {self._path}: {wrong.strerror}") from wrong
        self.socket: zmq.Socket[bytes] = context.socket(zmq.ROUTER)
        prepare(self.socket, QUESTION_BYTES_MAX, QUESTIONS_QUEUED_MAX)
        self.socket.set(zmq.LINGER, 0)
        self.socket.set(zmq.USE_FD, listening.detach())
        self.socket.bind(f"ipc://{SOCKET}")  # only a name: the descriptor listens already

    def receive(self, ready: Container[object] = EVERYTHING) -> list[tuple[bytes, bytes]]:
        """(route, question) of what is waiting; never blocks. ``ready`` as in PeerLink."""
        heard = []
        for _ in range(ASKED_AT_ONCE_MAX if self.socket in ready else 0):
            frames = receive(self.socket, 2)
            if frames is None:
                break
            if len(frames) == 2 and len(frames[1]) <= QUESTION_BYTES_MAX:
                heard.append((frames[0].bytes, frames[1].bytes))
        return heard

    def send(self, route: bytes, answer: bytes) -> None:
        """Answer; one who went away or reads nothing misses it."""
        try:
            self.socket.send_multipart([route, answer], zmq.NOBLOCK)
        except zmq.ZMQError:
            return

    def close(self) -> None:
        """Close the socket and remove its file."""
        self.socket.close()
        self._path.unlink(missing_ok=True)


def _listen(directory: Path) -> socket.socket:
    """A listening socket that nobody else could ever open, at a path of any length."""
    path = directory / SOCKET
    path.unlink(missing_ok=True)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
    handle = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        listening.bind(f"/proc/self/fd/{handle}/{SOCKET}")
        path.chmod(SOCKET_MODE)  # before it listens
        listening.listen(BACKLOG)
    except OSError:
        listening.close()
        raise
    finally:
        os.close(handle)
    return listening


class StatusLink:
    """The asking end, for one directory. ``bytes_max`` bounds an answer."""

    def __init__(self, context: Context, directory: Path, bytes_max: int) -> None:
        try:
            self._handle = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as wrong:
            raise NodeUnreachable(f"no node ran in {directory}: {wrong.strerror}") from wrong
        self.socket: zmq.Socket[bytes] = context.socket(zmq.DEALER)
        prepare(self.socket, bytes_max, QUESTIONS_QUEUED_MAX)
        self.socket.set(zmq.LINGER, 0)
        self.socket.connect(f"ipc:///proc/self/fd/{self._handle}/{SOCKET}")

    def ask(self, question: bytes) -> None:
        """Send a question; while the node is away it waits in the queue."""
        try:
            self.socket.send(question, zmq.NOBLOCK)
        except zmq.Again:
            return

    def answer(self) -> bytes | None:
        """An answer that came; never blocks."""
        frames = receive(self.socket, 1)
        return frames[0].bytes if frames else None

    def close(self) -> None:
        """Close the socket."""
        self.socket.close()
        os.close(self._handle)


def ask(directory: Path, question: bytes, bytes_max: int, timeout_s: float) -> bytes:
    """Ask the node of a state directory once; NodeUnreachable when it does not run, is another user's, or is silent."""
    path = directory / SOCKET
    if not path.exists():
        raise NodeUnreachable(f"no node runs here: {path} is not there; start it with: dropbeard run node CONFIG")
    if not os.access(path, os.R_OK | os.W_OK):
        raise NodeUnreachable(f"{path} belongs to another user; ask as the node's own user, or as root")
    context: Context = zmq.Context()
    try:
        link = StatusLink(context, directory, bytes_max)
        try:
            link.ask(question)
            if link.socket.poll(round(timeout_s * 1000)):
                found = link.answer()
                if found is not None:
                    return found
        finally:
            link.close()
    finally:
        context.destroy(linger=0)
    raise NodeUnreachable(f"the node of {directory} does not answer within {timeout_s:g} s: it is down, or it hangs")
