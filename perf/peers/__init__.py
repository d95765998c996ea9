"""Beside the servers and the ordering systems of others: P6, P7 and P9, in rounds that take turns.

``python -m perf.peers prepare DIR`` installs them into a virtual environment of their own; DROPBEARD_PEERS names it, or
it is .venv-peers of the checkout. What is not there is reported as absent, with that command.
"""

from __future__ import annotations

import sys

from perf._measure import Figure


def bench(quick: bool) -> list[Figure]:
    """All of them that can be had."""
    from perf.peers import ordering_systems, serving_systems
    from perf.peers.environment import NAMES, find

    environment = find()
    for name, command in environment.absent(NAMES).items():
        print(f"{name} is absent; {command} installs it", file=sys.stderr)
    return [*serving_systems.bench(quick, environment), *ordering_systems.bench(quick, environment)]
