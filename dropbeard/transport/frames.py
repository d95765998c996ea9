"""Receive whole messages without blocking, and throw away those with too many frames."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import zmq


class _Everything:
    """Holds whatever is asked for."""

    def __contains__(self, _: object) -> bool:
        return True


EVERYTHING: Final = _Everything()
"""Stands for the sockets that a poll found readable where nobody polled: each is asked."""


def send(socket: zmq.Socket[bytes], frames: Sequence[bytes]) -> None:
    """Hand one message to ZeroMQ without blocking; zmq.Again when its queue is full. Large frames are not copied."""
    large = any(len(frame) >= zmq.COPY_THRESHOLD for frame in frames)
    socket.send_multipart(frames, zmq.NOBLOCK, copy=not large)


def receive(socket: zmq.Socket[bytes], most: int) -> list[zmq.Frame] | None:
    """One message of at most ``most`` frames; [] when it had more; None when nothing is waiting.

    ZeroMQ hands over whole messages only, so one without an end is stopped elsewhere (unfinished.py).
    """
    try:
        frame = socket.recv(zmq.NOBLOCK, copy=False)
    except zmq.Again:
        return None
    frames = [frame]
    while frame.more:
        frame = socket.recv(zmq.NOBLOCK, copy=False)
        if len(frames) <= most:
            frames.append(frame)
    return frames if len(frames) <= most else []
