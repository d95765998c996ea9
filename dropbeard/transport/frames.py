"""Receive whole messages without blocking, and throw away those with too many frames."""

from __future__ import annotations

import zmq


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
