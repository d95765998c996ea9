"""Ask a group about pictures, one after the other: python ask.py GENESIS PICTURE..."""

import sys

from dropbeard import Client
from dropbeard.errors import DropbeardError


def main(genesis: str, *pictures: str) -> None:
    with Client.from_group(genesis, timeout=30) as group:
        for picture in pictures:
            try:
                answer = group.infer(picture)
            except DropbeardError as wrong:
                print(f"{picture}: {wrong}")
                continue
            print(f"{picture}: {answer.label or 'undecided'}, margin {answer.margin}, {answer.assurance.value}")
            for owner in answer.owners:
                print(f"    {owner.owner}: {owner.label} ({owner.probability:.0%})")
            print(f"    saved as {answer.certificate.save(picture + '.dbcert')}")


if __name__ == "__main__":
    main(*sys.argv[1:])
