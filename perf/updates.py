"""Model updates under load: what they cost, and whether any request fails.

``python -m perf.updates``: real daemons on loopback, synthetic engines, four owners in turn take one update after the
other while requests flow. One JSON object on standard output; 1 when a request failed.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from dropbeard.daemon.files import read_node_files
from dropbeard.daemon.local_group import LocalGroup
from dropbeard.daemon.updates import hand_over, wait_for_word
from dropbeard.errors import UpdateRefused
from dropbeard.serving.synthetic import synthetic_digest
from dropbeard.signing.keys import load_private_key
from dropbeard.types.ids import Epoch, Signature, Version
from dropbeard.types.lanes import SignedUpdate
from dropbeard.types.statements import ModelUpdate
from dropbeard.types.update_file import update_to_toml
from perf._observed import Observer, synthetic_group

SETTLE_S: Final = 2.0
UPDATE_TIMEOUT_S: Final = 30.0


def take_update(local: LocalGroup, place: int, version: int) -> str | None:
    """Hand one update over and wait for the node's word; what it says when it refuses."""
    owner, config = local.group.owners[place], local.configs[place]
    update = ModelUpdate(local.group.id, Epoch(0), owner.id, Version(version), synthetic_digest(owner.name, version))
    key = load_private_key(config.parent / "owner.key")
    state = read_node_files(config).state
    try:
        hand_over(state, update_to_toml(SignedUpdate(update, Signature(key.sign(update.encode()))), "synthetic"))
        wait_for_word(state, UPDATE_TIMEOUT_S)
    except UpdateRefused as refused:
        return str(refused)
    return None


def main() -> int:
    """So many updates, and the rate before and meanwhile."""
    parser = argparse.ArgumentParser(prog="python -m perf.updates", description="What model updates cost.")
    parser.add_argument("--updates", type=int, default=50)
    parser.add_argument("--in-flight", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=10.0, help="of load before the first update")
    chosen = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as directory,
        synthetic_group(Path(directory)) as local,
        Observer(local.group, chosen.in_flight) as observer,
    ):
        observer.wait_until_all_prove(local)
        time.sleep(SETTLE_S)
        before = observer.rate(chosen.seconds)
        started, count = time.monotonic(), len(observer.certified)
        refused = [take_update(local, k % local.group.n, 2 + k // local.group.n) for k in range(chosen.updates)]
        took = time.monotonic() - started
        meanwhile = (len(observer.certified) - count) / took
        figures = {
            "updates": chosen.updates,
            "refused": [text for text in refused if text is not None],
            "seconds": round(took, 1),
            "before_per_s": round(before),
            "meanwhile_per_s": round(meanwhile),
            "kept": round(meanwhile / before, 2),
            "failed_requests": observer.failed,
            "certified": len(observer.certified),
        }
    sys.stdout.write(f"{json.dumps(figures)}\n")
    return 1 if observer.failed or figures["refused"] else 0


if __name__ == "__main__":
    sys.exit(main())
