"""Two result files of ``dropbeard bench --json`` side by side: ``python -m perf.compare BEFORE AFTER``.

For each figure that both hold: both medians, after over before, and whether the runs of the two overlap. Runs that
overlap say nothing. 1 when a figure got worse without overlap, so that a script can tell.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

LESS_IS_BETTER: Final = ("us ", "us,", "ms ", "ms,", "bytes ", "share of ONNX", "share by")
"""Units that begin so are costs."""


def compare(before: Sequence[Mapping[str, Any]], after: Sequence[Mapping[str, Any]]) -> list[tuple[str, float, str]]:
    """(figure, after over before, "better", "worse" or "within the noise") for each figure of both."""
    earlier = {row["figure"]: row for row in before}
    found = []
    for row in after:
        old = earlier.get(row["figure"])
        if old is None or not old["value"]:
            continue
        if min(row["runs"]) <= max(old["runs"]) and min(old["runs"]) <= max(row["runs"]):
            verdict = "within the noise"
        else:
            cost = row["unit"].startswith(LESS_IS_BETTER)
            verdict = "better" if (row["value"] < old["value"]) == cost else "worse"
        found.append((row["figure"], round(row["value"] / old["value"], 3), verdict))
    return found


def _figures(path: Path) -> list[Mapping[str, Any]]:
    try:
        rows: list[Mapping[str, Any]] = json.loads(path.read_text())["figures"]
    except (OSError, ValueError, KeyError, TypeError) as wrong:
        raise SystemExit(f"{path} is no result of dropbeard bench --json: {wrong}") from wrong
    return rows


def main() -> int:
    """Print the comparison."""
    parser = argparse.ArgumentParser(prog="python -m perf.compare", description="Two result files side by side.")
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    chosen = parser.parse_args()
    before, after = _figures(chosen.before), _figures(chosen.after)
    if {row["machine"] for row in before} != {row["machine"] for row in after}:
        print("the files are of different machines: only ratios to floors may be compared", file=sys.stderr)
    rows = compare(before, after)
    for name, ratio, verdict in rows:
        print(f"{name:20} {ratio:>7}  {verdict}")
    return 1 if any(verdict == "worse" for _, _, verdict in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
