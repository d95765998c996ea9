"""List what can be measured here."""

from __future__ import annotations

import importlib
import pkgutil

import perf


def main() -> None:
    """One line for each script."""
    for module in sorted(pkgutil.iter_modules(perf.__path__), key=lambda m: m.name):
        if not module.name.startswith("_"):
            doc = importlib.import_module(f"perf.{module.name}").__doc__ or ""
            print(f"python -m perf.{module.name:12} {doc.splitlines()[0]}")


if __name__ == "__main__":
    main()
