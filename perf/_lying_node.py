"""One node daemon that lies as the simulator's cast does: ``python -m perf._lying_node CONFIG KIND``."""

from __future__ import annotations

import random
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from dropbeard.agreement.effects import Infer
from dropbeard.agreement.turn import Outgoing, Turn
from dropbeard.daemon import node
from dropbeard.daemon.files import read_node_files
from dropbeard.daemon.outbox import Outbox
from dropbeard.daemon.process import StopSignal
from dropbeard.daemon.reloading import Reloader
from dropbeard.signing.ecdsa_p256 import PrivateKey
from dropbeard.signing.keys import load_private_key
from dropbeard.simulator.keys import Keys
from dropbeard.simulator.liars import KINDS
from dropbeard.simulator.liars.base import Liar
from dropbeard.simulator.replica import SimulatedReplica
from dropbeard.types.ids import OwnerId


@dataclass(frozen=True)
class _RealReplica:
    """What a liar asks of its replica."""

    owner: OwnerId
    turn: Turn
    signing: PrivateKey

    def key(self) -> PrivateKey:
        return self.signing


class _Lies(Outbox):
    """Twists what the node sends."""

    liar: Liar | None = None

    def send(self, outgoing: Sequence[Outgoing]) -> list[Infer]:
        return super().send(outgoing if _Lies.liar is None else _Lies.liar.twist(outgoing))


class _LyingNode(node.Node):
    """Asks nobody what it promised before: it would be stopped by its own lies."""

    def serve(self, stop: StopSignal, reloader: Reloader) -> None:
        self.state.boot, self.state.awake = 0, True
        replica = _RealReplica(self.state.me, self.turn, SIGNING[0])
        # The classes of the cast were written for simulated replicas; this has all that they use.
        _Lies.liar = KINDS[sys.argv[2]](cast(SimulatedReplica, replica), cast(Keys, None), random.Random(1))
        super().serve(stop, reloader)


SIGNING: list[PrivateKey] = []


def main() -> int:
    """The daemon, with the liar in front of its sockets."""
    files = read_node_files(Path(sys.argv[1]))
    SIGNING.append(load_private_key(files.node_key, files.passphrase()))
    node.Outbox, node.Node = _Lies, _LyingNode  # type: ignore[attr-defined,misc]
    return node.run_node(files)


if __name__ == "__main__":
    sys.exit(main())
