"""``python -m perf.peers prepare DIR``: the peers in a virtual environment of their own; without a verb: measure."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from perf._measure import report
from perf.peers import bench
from perf.peers.environment import DEFAULT, NAMES, VARIABLE, prepare


def main() -> int:
    """Prepare, or measure."""
    parser = argparse.ArgumentParser(prog="python -m perf.peers", description="Beside the systems of others.")
    parser.add_argument("--quick", action="store_true", help="under 50 seconds, one short run of each")
    verbs = parser.add_subparsers(dest="verb")
    making = verbs.add_parser("prepare", help="install the peers (about 700 MB)")
    making.add_argument("directory", type=Path, nargs="?", default=DEFAULT)
    chosen = parser.parse_args()
    if chosen.verb != "prepare":
        print(report(bench(chosen.quick)))
        return 0
    environment = prepare(chosen.directory.absolute())
    print(f"{environment.directory} has {', '.join(environment.present)}")
    if environment.directory != DEFAULT:
        print(f"export {VARIABLE}={environment.directory}")
    return 0 if set(environment.present) == set(NAMES) else 1


if __name__ == "__main__":
    sys.exit(main())
