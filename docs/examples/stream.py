"""Many pictures with a bounded number under way, taken as they come: python stream.py GENESIS PICTURE..."""

import sys

from dropbeard import Client
from dropbeard.client import Answer


def main(genesis: str, *pictures: str) -> None:
    with Client.from_group(genesis, timeout=30) as group:
        # As soon as `answers` owners have answered, and no wait for an owner that stays silent.
        quick = group.with_options(patience=0)
        for position, outcome in quick.stream(pictures, in_flight=64):
            said = outcome.shown if isinstance(outcome, Answer) else f"failed: {outcome}"
            print(f"{pictures[position]}: {said}")


if __name__ == "__main__":
    main(*sys.argv[1:])
