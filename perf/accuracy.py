"""Accuracy over labelled images through a real local group: each owner, the plurality, answers with margin > f.

``python -m perf.accuracy FOLDER`` where FOLDER holds pictures and ``labels.tsv`` (file, class index, ...). The score is
accuracy on that sample, nothing more: sample photographs may well have been seen in training.

``--liars`` prints, as a table, what each aggregate makes of the same owners' answers when 0 to f+1 of them lie.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dropbeard.client.answers import Answer
from dropbeard.client.client import Client
from dropbeard.daemon.local_group import LocalGroup
from dropbeard.errors import ClientError
from dropbeard.types.certificates import decode_certificate
from dropbeard.verification.certificate import verify
from perf._lying import markdown, sample_of, scenarios

IN_FLIGHT = 16
TIMEOUT_S = 120.0


@dataclass(slots=True)
class Score:
    """Counts over the images asked about."""

    sent: int = 0
    verified: int = 0
    errors: int = 0
    certificate_bytes_max: int = 0
    right_by_owner: dict[str, int] = field(default_factory=dict)
    answered_by_owner: dict[str, int] = field(default_factory=dict)
    decided: int = 0
    decided_right: int = 0
    above_f: int = 0
    above_f_right: int = 0
    latencies_ms: list[float] = field(default_factory=list)

    def add(self, answer: Answer, truth: int, f: int) -> None:
        """Count one verified answer."""
        self.verified += 1
        self.latencies_ms.append(answer.latency_ms)
        for owner in answer.owners:
            self.answered_by_owner[owner.owner] = self.answered_by_owner.get(owner.owner, 0) + 1
            self.right_by_owner[owner.owner] = self.right_by_owner.get(owner.owner, 0) + (owner.class_id == truth)
        if answer.class_id is not None:
            self.decided += 1
            self.decided_right += answer.class_id == truth
        if answer.margin > f:
            self.above_f += 1
            self.above_f_right += answer.class_id == truth

    def summary(self, seconds: float) -> dict[str, object]:
        """Figures, shares of what they are shares of."""
        owners = {o: right / self.answered_by_owner[o] for o, right in sorted(self.right_by_owner.items())}
        ranked = sorted(self.latencies_ms) or [0.0]
        return {
            "requests_sent": self.sent,
            "certificates_verified": self.verified,
            "errors": self.errors,
            "certificate_bytes_max": self.certificate_bytes_max,
            "top1_by_owner": owners,
            "top1_plurality": self.decided_right / max(1, self.verified),
            "undecided": self.verified - self.decided,
            "margin_above_f": self.above_f,
            "top1_margin_above_f": self.above_f_right / max(1, self.above_f),
            "requests_per_second": self.verified / seconds,
            "latency_ms_p50": ranked[len(ranked) // 2],
            "latency_ms_p99": ranked[min(len(ranked) - 1, int(len(ranked) * 0.99))],
            "seconds": seconds,
        }


def read_labels(folder: Path) -> list[tuple[Path, int]]:
    """(picture, class index) of each row of labels.tsv."""
    with (folder / "labels.tsv").open(newline="", encoding="utf-8") as table:
        rows = [row for row in csv.reader(table, delimiter="\t") if len(row) >= 2 and row[1].isdigit()]
    return [(folder / row[0], int(row[1])) for row in rows]


def measure(folder: Path) -> dict[str, object]:
    """Start a group of four, ask about every picture, verify every saved certificate again from its bytes."""
    pictures = read_labels(folder)
    score = Score(sent=len(pictures))
    with tempfile.TemporaryDirectory() as scratch, LocalGroup(Path(scratch)) as local:
        group = Client.from_group(local.genesis, timeout=TIMEOUT_S, patience=TIMEOUT_S / 2)
        with group:
            group.infer(pictures[0][0])
            started = time.monotonic()
            outcomes = group.map_outcomes([path for path, _ in pictures], in_flight=IN_FLIGHT)
            for (_, truth), outcome in zip(pictures, outcomes, strict=True):
                if isinstance(outcome, ClientError):
                    score.errors += 1
                    continue
                data = outcome.certificate.data
                verify(decode_certificate(data), group.group)
                score.certificate_bytes_max = max(score.certificate_bytes_max, len(data))
                score.add(outcome, truth, group.group.f)
            return score.summary(time.monotonic() - started)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--liars", action="store_true", help="Every aggregate with 0 to f+1 liars, without a network.")
    parser.add_argument("--threads", type=int, default=1, help="Cores for each model, with --liars.")
    chosen = parser.parse_args(arguments)
    if chosen.liars:
        sample = sample_of(read_labels(chosen.folder), chosen.threads)
        print(markdown(sample, list(scenarios(sample))))
        return 0
    print(json.dumps(measure(chosen.folder), indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
