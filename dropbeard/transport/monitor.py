"""Learn from ZeroMQ's socket monitor when connections come and go."""

from __future__ import annotations

from collections.abc import Container
from typing import Final

import zmq
from zmq.utils.monitor import parse_monitor_message

from dropbeard.transport.frames import EVERYTHING

EVENTS: Final = zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_DISCONNECTED | zmq.EVENT_HANDSHAKE_FAILED_AUTH
READ_AT_ONCE_MAX: Final = 64


class Monitor:
    """Events of one socket."""

    def __init__(self, socket: zmq.Socket[bytes]) -> None:
        self._watched = socket
        self.socket: zmq.Socket[bytes] = socket.get_monitor_socket(EVENTS)
        self.up = False
        self.refused = False
        """The other side does not know our key; ZeroMQ then never tries again by itself."""

    def changes(self, ready: Container[object] = EVERYTHING) -> list[bool]:
        """True for each connection made, False for each lost, in order; never blocks. ``ready`` as in PeerLink."""
        found = []
        for _ in range(READ_AT_ONCE_MAX if self.socket in ready else 0):
            try:
                frames = self.socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                break
            event = parse_monitor_message(frames)["event"]
            self.up = event == zmq.EVENT_HANDSHAKE_SUCCEEDED
            self.refused = self.refused or event == zmq.EVENT_HANDSHAKE_FAILED_AUTH
            found.append(self.up)
        return found

    def close(self) -> None:
        """Stop watching."""
        self._watched.disable_monitor()
        self.socket.close()
