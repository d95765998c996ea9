"""Socket options in one place, each bound named (rule 9)."""

from __future__ import annotations

import time
from typing import Final

import zmq

from dropbeard.errors import TransportFailed
from dropbeard.signing.curve import CurveSecret, z85
from dropbeard.types.limits import INPUT_BYTES_MAX, MESSAGE_BYTES_MAX

QUEUE_MAX: Final = 8_192
"""Messages ZeroMQ may queue on a connection: a fuse. Credits, windows and views are the flow control."""

INPUT_QUEUE_MAX: Final = 256
"""The same where a message may carry an input of megabytes."""

HANDSHAKE_MS: Final = 10_000
HEARTBEAT_MS: Final = 2_000
HEARTBEAT_TIMEOUT_MS: Final = 8_000
RECONNECT_MS: Final = 50
RECONNECT_MAX_MS: Final = 2_000
LINGER_MS: Final = 500
BACKLOG: Final = 256

BIND_ANEW_S: Final = 1.0
BIND_PAUSE_S: Final = 0.001

CURVE_FRAME_BYTES: Final = 33
"""What CURVE adds to a frame. ZeroMQ holds its bound against the frame as encrypted."""


def prepare(socket: zmq.Socket[bytes], bytes_max: int = MESSAGE_BYTES_MAX, queue: int = QUEUE_MAX) -> None:
    """Bounds and time-outs that every socket gets."""
    socket.set(zmq.MAXMSGSIZE, bytes_max + CURVE_FRAME_BYTES)
    socket.set(zmq.SNDHWM, queue)
    socket.set(zmq.RCVHWM, queue)
    socket.set(zmq.LINGER, LINGER_MS)
    socket.set(zmq.HANDSHAKE_IVL, HANDSHAKE_MS)
    socket.set(zmq.RECONNECT_IVL, RECONNECT_MS)
    socket.set(zmq.RECONNECT_IVL_MAX, RECONNECT_MAX_MS)
    socket.set(zmq.BACKLOG, BACKLOG)


def keep_alive(socket: zmq.Socket[bytes]) -> None:
    """Notice a dead connection by ZeroMQ's own heartbeats and TCP's."""
    socket.set(zmq.HEARTBEAT_IVL, HEARTBEAT_MS)
    socket.set(zmq.HEARTBEAT_TIMEOUT, HEARTBEAT_TIMEOUT_MS)
    socket.set(zmq.TCP_KEEPALIVE, 1)


def serve_curve(socket: zmq.Socket[bytes], secret: CurveSecret, domain: str) -> None:
    """CURVE server side; ``domain`` names the allow-list that ZAP asks."""
    socket.set(zmq.CURVE_SERVER, 1)
    socket.set(zmq.CURVE_SECRETKEY, z85(secret.raw))
    socket.set(zmq.ZAP_DOMAIN, domain.encode())
    socket.set(zmq.ZAP_ENFORCE_DOMAIN, 1)


def use_curve(socket: zmq.Socket[bytes], secret: CurveSecret, server_key: bytes) -> None:
    """CURVE client side: only the holder of ``server_key`` (32 bytes) gets through the handshake."""
    socket.set(zmq.CURVE_SECRETKEY, z85(secret.raw))
    socket.set(zmq.CURVE_PUBLICKEY, z85(secret.public))
    socket.set(zmq.CURVE_SERVERKEY, z85(server_key))


def listening_at(endpoint: str, host: str | None) -> str:
    """The genesis' endpoint, with its host replaced by the one to listen on, if there is one."""
    if host is None or not endpoint.startswith("tcp://"):
        return endpoint
    return f"tcp://{host}:{endpoint.rpartition(':')[2]}"


def connect(socket: zmq.Socket[bytes], endpoint: str) -> None:
    """Connect to a checked endpoint; an IPv6 address is one in brackets."""
    _choose_family(socket, endpoint)
    socket.connect(endpoint)


def _choose_family(socket: zmq.Socket[bytes], endpoint: str) -> None:
    # Not for names: ZeroMQ would then take a name's IPv6 address where only IPv4 reaches the host.
    if endpoint.startswith("tcp://["):
        socket.set(zmq.IPV6, 1)


def bind(socket: zmq.Socket[bytes], endpoint: str) -> None:
    """Bind, or TransportFailed with what to do."""
    _choose_family(socket, endpoint)
    try:
        socket.bind(endpoint)
    except zmq.ZMQError as wrong:
        taken = wrong.errno == zmq.EADDRINUSE
        hint = "stop what uses it or choose another port" if taken else "set `listen` to an address of this machine"
        raise TransportFailed(f"cannot listen on {endpoint}: {zmq.strerror(wrong.errno or 0)}; {hint}") from wrong


def bind_anew(socket: zmq.Socket[bytes], before: str, endpoint: str, secret: CurveSecret) -> None:
    """Listen with another CURVE key, or elsewhere; every connection that was made here ends and comes back.

    TransportFailed when the place is not to be had within BIND_ANEW_S: ZeroMQ's own thread frees it.
    """
    socket.unbind(before)
    socket.set(zmq.CURVE_SECRETKEY, z85(secret.raw))
    until = time.monotonic() + BIND_ANEW_S
    while True:
        try:
            bind(socket, endpoint)
        except TransportFailed:
            if time.monotonic() > until:
                raise
            time.sleep(BIND_PAUSE_S)
        else:
            return


INPUT_FRAME_BYTES_MAX: Final = INPUT_BYTES_MAX
