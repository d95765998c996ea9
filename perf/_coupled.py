"""A node whose ordering and inference take turns, for comparison: ``python -m perf._coupled CONFIG``.

One inference batch goes to the engine; the next one only when the answers of the last are ordered in a final block, so
that a request is ordered with its own inference batch and nothing overlaps. The product never does this.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

from dropbeard.agreement.effects import Infer
from dropbeard.agreement.events import Event
from dropbeard.daemon import node
from dropbeard.daemon.engine_desk import EngineDesk
from dropbeard.daemon.files import read_node_files
from dropbeard.daemon.local_group import LocalGroup
from dropbeard.daemon.supervisor import Child
from dropbeard.transport.engine_link import EngineLink
from dropbeard.types.ids import Digest, Version


class TurnsDesk(EngineDesk):
    """Hands over at most ``batch_max`` requests at once, and nothing while any of them is not ordered.

    ``promised`` and ``ordered``: how far our lane is, and how far final blocks are in it.
    """

    def __init__(
        self,
        link: EngineLink,
        in_force: Callable[[], tuple[Version, Digest]],
        promised: Callable[[], int],
        ordered: Callable[[], int],
        batch_max: int,
        check: Callable[[bytes], object],
    ) -> None:
        super().__init__(link, in_force, check)
        self._promised = promised
        self._ordered = ordered
        self._batch_max = batch_max
        self._waiting: deque[Infer] = deque()
        self._until: int | None = None
        """How far our lane must be ordered before the next batch; not known while the last one is at the engine."""

    def hand_over(self, orders: Sequence[Infer]) -> list[Event]:
        """After each turn, when what came of the last answers stands in our lane."""
        self._waiting.extend(orders)
        if self._tickets:
            return []
        if self._until is None:
            self._until = self._promised()
        if not self._waiting or self._ordered() < self._until:
            return []
        batch = [self._waiting.popleft() for _ in range(min(self._batch_max, len(self._waiting)))]
        self._until = None
        return super().hand_over(batch)


class CoupledNode(node.Node):
    """The product's node with that desk."""

    batch_max = 1

    def _engine_desk(self) -> EngineDesk:
        return TurnsDesk(
            self._engine,
            lambda: (self.state.own_model.version, self.state.own_model.model),
            lambda: self.state.own_tip.height,
            lambda: self.state.final_lane_height(self.state.me),
            self.batch_max,
            self.state.group.task.read_output,
        )


class CoupledGroup(LocalGroup):
    """A group of such nodes."""

    def _child(self, kind: str, config: Path) -> Child:
        if kind == "engine":
            return super()._child(kind, config)
        command = (sys.executable, "-m", "perf._coupled", str(config))
        return Child(f"{kind} {config.stem}", command, config.parent / f"{kind}.log")


def main() -> int:
    """As ``dropbeard run node``, with the other class."""
    files = read_node_files(Path(sys.argv[1]))
    CoupledNode.batch_max = files.config.engine.max_batch
    node.Node = CoupledNode  # type: ignore[misc]
    return node.run_node(files)


if __name__ == "__main__":
    sys.exit(main())
