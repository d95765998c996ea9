"""Ask about all pictures at once from an event loop: python ask_async.py GENESIS PICTURE..."""

import asyncio
import sys

from dropbeard import AsyncClient


async def main(genesis: str, *pictures: str) -> None:
    async with await AsyncClient.from_group(genesis, timeout=30) as group:
        answers = await asyncio.gather(*(group.infer(picture) for picture in pictures))
        for picture, answer in zip(pictures, answers, strict=True):
            print(f"{picture}: {answer.label or 'undecided'}")

        # A task that is cancelled gives up its own request; what else is under way goes on.
        try:
            async with asyncio.timeout(20):
                answer = await group.infer(pictures[0], patience=0)
                print(f"without patience: {len(answer.owners)} owners")
        except TimeoutError:
            print("nothing within 20 seconds")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
