"""Ask one node one thing as a stranger: a connection, a frame out, frames back until one is what was asked for."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

import zmq

from dropbeard.errors import TransportFailed
from dropbeard.signing.curve import CurveSecret
from dropbeard.transport.frames import receive
from dropbeard.transport.options import connect, prepare, use_curve

T = TypeVar("T")


def ask_node(
    endpoint: str,
    server_key: bytes,
    secret: CurveSecret,
    question: bytes,
    read: Callable[[bytes], T | None],
    timeout_s: float,
) -> T:
    """Send ``question`` to the clients' socket at ``endpoint`` and give what ``read`` makes of the first frame that it
    does not pass over with None. ``server_key``: the node's CURVE key, 32 bytes. TransportFailed after ``timeout_s``.
    """
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    socket = context.socket(zmq.DEALER)
    prepare(socket)
    try:
        use_curve(socket, secret, server_key)
        connect(socket, endpoint)
        socket.send(question, zmq.NOBLOCK)
        until = time.monotonic() + timeout_s
        while (left_s := until - time.monotonic()) > 0:
            if not socket.poll(round(left_s * 1000) + 1):
                continue
            frames = receive(socket, 1)
            found = read(frames[0].bytes) if frames else None
            if found is not None:
                return found
    except zmq.ZMQError as wrong:
        raise TransportFailed(f"cannot ask {endpoint}: {zmq.strerror(wrong.errno or 0)}") from wrong
    finally:
        context.destroy(linger=0)
    raise TransportFailed(
        f"no answer from {endpoint} within {timeout_s:g} s; is the node up, the key its CURVE key, "
        "and its group open to this client?"
    )
