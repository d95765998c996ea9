"""See what owners say before the group has agreed: python provisional.py GENESIS PICTURE"""

import sys

from dropbeard import Client
from dropbeard.client import Provisional


def told(provisional: Provisional) -> None:
    said = ", ".join(f"{owner.owner}: {owner.label}" for owner in provisional.owners)
    print(f"{provisional.grade.value} after {provisional.elapsed_ms:.0f} ms, nothing is agreed: {said}")


def main(genesis: str, picture: str) -> None:
    with Client.from_group(genesis, timeout=30) as group:
        answer = group.with_options(on_provisional=told).infer(picture)
        print(f"{answer.grade.value} after {answer.latency_ms:.0f} ms: {answer.label or 'undecided'}")


if __name__ == "__main__":
    main(*sys.argv[1:])
