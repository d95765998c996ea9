"""``python -m dropbeard`` is the ``dropbeard`` command."""

from __future__ import annotations

from dropbeard.cli.main import main

main()
