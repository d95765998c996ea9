"""A real group of four on loopback with synthetic engines, for tests of both clients."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt

from dropbeard.client import Client
from dropbeard.daemon.local_group import LocalGroup
from dropbeard.errors import GroupUnreachable
from dropbeard.types.node_config import EngineTable

LABELS = "\n".join(f"class {number}" for number in range(10))
START_TRIES = 30


@contextmanager
def running_group(directory: Path) -> Iterator[LocalGroup]:
    """A group whose four nodes all say welcome."""
    labels = directory / "labels.txt"
    labels.write_text(LABELS)
    with LocalGroup(directory / "g", engine=EngineTable("", backend="synthetic"), labels=labels) as local:
        for _ in range(START_TRIES):
            local.supervisor.poll()
            try:
                with Client(local.group, connect_timeout=2) as client:
                    if client.nodes_reached == local.group.n and len(client.infer(picture(0)).owners) == 4:
                        break
            except GroupUnreachable:
                continue
        else:
            raise AssertionError((local.directory / "alice" / "node.log").read_text())
        yield local


def picture(seed: int) -> npt.NDArray[np.uint8]:
    """A picture of its own for each seed: uint8, 8 x 8 x 3."""
    return np.random.default_rng(seed).integers(0, 255, (8, 8, 3), dtype=np.uint8)


def pictures(count: int, first: int = 1) -> list[npt.NDArray[np.uint8]]:
    """Different pictures."""
    return [picture(first + number) for number in range(count)]
