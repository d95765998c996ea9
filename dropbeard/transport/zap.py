"""Who may connect: a ZAP handler that runs on the loop's own thread (a CURVE server without one accepts any key)."""

from __future__ import annotations

from collections import Counter
from typing import Final

import zmq

ENDPOINT: Final = "inproc://zeromq.zap.01"
VERSION: Final = b"1.0"
REQUEST_FRAMES: Final = 7
ASKED_AT_ONCE_MAX: Final = 256
"""Handshakes answered before the loop looks at anything else."""


class ZapHandler:
    """Answers ZeroMQ's questions about CURVE keys. A domain's allow-list is a set of 32-byte keys, or None for any.

    The key becomes the connection's User-Id (hex), which the sender of every message is told by; a routing id that a
    peer claims says nothing.
    """

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], domains: dict[str, frozenset[bytes] | None]) -> None:
        self._domains = dict(domains)
        self.refused: Counter[str] = Counter()
        self.socket: zmq.Socket[bytes] = context.socket(zmq.ROUTER)
        self.socket.set(zmq.LINGER, 0)
        self.socket.bind(ENDPOINT)

    def allow(self, domain: str, keys: frozenset[bytes] | None) -> None:
        """From now on only these keys get in, with None every key; connections that stand are not cut."""
        self._domains[domain] = keys

    def answer_all(self) -> None:
        """Answer what is waiting; never blocks."""
        for _ in range(ASKED_AT_ONCE_MAX):
            try:
                frames = self.socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            cut = frames.index(b"") + 1
            self._answer(frames[:cut], frames[cut:])

    def _answer(self, envelope: list[bytes], question: list[bytes]) -> None:
        if len(question) < REQUEST_FRAMES - 1 or question[0] != VERSION:
            return
        number, domain, mechanism = question[1], question[2].decode(errors="replace"), question[5]
        key = question[6] if len(question) > 6 else b""
        allowed = self._domains.get(domain, frozenset())
        good = mechanism == b"CURVE" and len(key) == 32 and (allowed is None or key in allowed)
        if not good:
            self.refused[domain] += 1
        status = [b"200", b"OK", key.hex().encode()] if good else [b"400", b"No access", b""]
        self.socket.send_multipart([*envelope, VERSION, number, *status, b""])

    def close(self) -> None:
        """Close the socket."""
        self.socket.close()


def key_of(frame: zmq.Frame) -> bytes | None:
    """The authenticated CURVE key of a received frame's connection; None when there is none."""
    try:
        user = frame.get("User-Id")
    except zmq.ZMQError:
        return None
    return bytes.fromhex(user) if isinstance(user, str) and len(user) == 64 else None
