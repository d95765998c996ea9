"""``python -m perf NAME``: one of the measurements that ``dropbeard bench`` offers, or the list of all scripts."""

from __future__ import annotations

import argparse
import importlib
import pkgutil
import sys

import perf
from dropbeard.cli.bench import NAMES
from perf._measure import Figure, report


def main() -> int:
    """Run one, or list all."""
    parser = argparse.ArgumentParser(prog="python -m perf", description="Measurements.")
    parser.add_argument("name", nargs="?", choices=NAMES)
    parser.add_argument("--quick", action="store_true", help="under 50 seconds, one short run of each")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    chosen = parser.parse_args()
    if chosen.name is None:
        return _list()
    figures = importlib.import_module(f"perf.{chosen.name}").bench(chosen.quick)
    sys.stdout.write(f"{report(figures)}\n" if chosen.json else "".join(_line(one) for one in figures))
    return 0


def _line(one: Figure) -> str:
    against = f"  {one.ratio} of {one.floor}" if one.floor is not None else ""
    detail = "  ".join(f"{key}={value}" for key, value in one.detail.items())
    return f"{one.figure:12} {one.value:>10} {one.unit}{against}  runs {list(one.runs)}  {detail}\n"


def _list() -> int:
    for module in sorted(pkgutil.iter_modules(perf.__path__), key=lambda m: m.name):
        if not module.name.startswith("_"):
            doc = importlib.import_module(f"perf.{module.name}").__doc__ or ""
            how = f"perf {module.name}" if module.name in NAMES else f"perf.{module.name}"
            print(f"python -m {how:18} {doc.splitlines()[0]}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
