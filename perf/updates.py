"""Model updates under load: what they cost, whether any request fails, whether any certificate names a wrong version.

``python -m perf.updates``: real daemons on loopback, four owners in turn take one update after the other while requests
flow. ``--backend onnx`` loads real models, each owner the next of the four. Afterwards a node's ledger is replayed and
every certificate's versions are held against those in force at its heights. One JSON object on standard output; 1 when
a request failed or a certificate is wrong.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from dropbeard.audit.findings import Audit
from dropbeard.audit.ledger import audit_ledger
from dropbeard.audit.reading import read_records
from dropbeard.daemon.files import read_node_files
from dropbeard.daemon.local_group import OWNERS, LocalGroup
from dropbeard.daemon.updates import update_tray
from dropbeard.errors import UpdateRefused
from dropbeard.serving.catalogue import fetch_set
from dropbeard.serving.manifest import load_manifest, model_digest
from dropbeard.serving.synthetic import synthetic_digest
from dropbeard.signing.keys import load_private_key
from dropbeard.types.certificates import Certificate
from dropbeard.types.group import Group
from dropbeard.types.ids import Digest, Epoch, OwnerId, Signature, Version
from dropbeard.types.lanes import SignedUpdate
from dropbeard.types.statements import ModelUpdate
from dropbeard.types.update_file import update_to_toml
from perf._observed import Observer, local_group

SETTLE_S: Final = 2.0
UPDATE_TIMEOUT_S: Final = 60.0


def next_model(backend: str, owner: str, place: int, version: int) -> tuple[str, Digest]:
    """Name and digest of an owner's version: of a real backend the next of the four models."""
    if backend == "synthetic":
        return "synthetic", synthetic_digest(owner, version)
    name = OWNERS[(place + version - 1) % len(OWNERS)][1]
    return name, model_digest(load_manifest(name))


def take_update(local: LocalGroup, backend: str, place: int, version: int) -> str | None:
    """Hand one update over and wait for the node's word; what it says when it refuses."""
    owner, config = local.group.owners[place], local.configs[place]
    name, digest = next_model(backend, owner.name, place, version)
    update = ModelUpdate(local.group.id, Epoch(0), owner.id, Version(version), digest)
    key = load_private_key(config.parent / "owner.key")
    tray = update_tray(read_node_files(config).state)
    try:
        tray.hand_over(update_to_toml(SignedUpdate(update, Signature(key.sign(update.encode()))), name))
        tray.wait_for_word(UPDATE_TIMEOUT_S)
    except UpdateRefused as refused:
        return str(refused)
    return None


def wrong_versions(group: Group, audit: Audit, certificates: Sequence[Certificate]) -> int:
    """Promises in certificates whose version or model was not in force at the height of their entry."""
    first = [(0, owner.id, Version(1), owner.model) for owner in group.owners]
    rows = [*first, *((row.height, row.owner, row.version, row.model) for row in audit.models)]

    def in_force(owner: OwnerId, height: int) -> tuple[Version, Digest]:
        return next((row[2], row[3]) for row in reversed(rows) if row[1] == owner and row[0] <= height)

    wrong = 0
    for certificate in certificates:
        for proved in (certificate.base, *certificate.supplements):
            height = certificate.headers[proved.position].height
            for promise in proved.entry.promises:
                wrong += (promise.version, promise.model) != in_force(promise.owner, height)
    return wrong


def measure(local: LocalGroup, observer: Observer, backend: str, updates: int, seconds: float) -> dict[str, Any]:
    """The rate before and meanwhile."""
    observer.wait_until_all_prove(local)
    time.sleep(SETTLE_S)
    observer.keeps = True
    before = observer.rate(seconds)
    started, count = time.monotonic(), len(observer.certified)
    refused = [take_update(local, backend, k % local.group.n, 2 + k // local.group.n) for k in range(updates)]
    took = time.monotonic() - started
    meanwhile = (len(observer.certified) - count) / took
    return {
        "updates": updates,
        "refused": [text for text in refused if text is not None],
        "seconds": round(took, 1),
        "before_per_s": round(before, 1),
        "meanwhile_per_s": round(meanwhile, 1),
        "kept": round(meanwhile / before, 2),
    }


def main() -> int:
    """So many updates, and the rate before and meanwhile."""
    parser = argparse.ArgumentParser(prog="python -m perf.updates", description="What model updates cost.")
    parser.add_argument("--updates", type=int, default=50)
    parser.add_argument("--in-flight", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=10.0, help="of load before the first update")
    parser.add_argument("--backend", choices=["synthetic", "onnx", "openvino", "tensorrt"], default="synthetic")
    chosen = parser.parse_args()
    if chosen.backend != "synthetic":
        fetch_set("imagenet")
    with tempfile.TemporaryDirectory() as directory:
        with (
            local_group(Path(directory), chosen.backend) as local,
            Observer(local.group, chosen.in_flight) as observer,
        ):
            figures = measure(local, observer, chosen.backend, chosen.updates, chosen.seconds)
            state, group = read_node_files(local.configs[0]).state, local.group
        audit = audit_ledger(group, read_records(state, group))
        figures |= {
            "failed_requests": observer.failed,
            "certified": len(observer.certified),
            "certificates_checked": len(observer.certificates),
            "versions_in_the_ledger": len(audit.models),
            "wrong_versions": wrong_versions(group, audit, observer.certificates),
        }
    sys.stdout.write(f"{json.dumps(figures)}\n")
    return 1 if observer.failed or figures["refused"] or figures["wrong_versions"] else 0


if __name__ == "__main__":
    sys.exit(main())
