"""When calls leave for the group: at once, or together."""

from __future__ import annotations

import asyncio

from dropbeard.gateway.departures import Departures

LONG_S = 60.0
SHORT_S = 0.001


def has_left(departures: Departures, *, is_alone: bool, timeout_s: float = LONG_S) -> bool:
    """Whether a call leaves without waiting for anything."""

    async def ask() -> bool:
        call = asyncio.create_task(departures.leave(is_alone, timeout_s))
        await asyncio.sleep(0)
        done = call.done()
        call.cancel()
        return done

    return asyncio.run(ask())


def after_an_answer() -> Departures:
    """Answers take long enough that calls wait for each other as long as they ever do."""
    departures = Departures()
    departures.answered(LONG_S)
    return departures


def test_a_call_that_finds_nothing_under_way_leaves_at_once() -> None:
    assert has_left(after_an_answer(), is_alone=True)


def test_nobody_waits_before_it_is_known_how_long_an_answer_takes() -> None:
    assert has_left(Departures(), is_alone=False)


def test_a_call_that_finds_others_waits() -> None:
    assert not has_left(after_an_answer(), is_alone=False)


def test_calls_that_find_others_leave_together_and_the_next_one_waits_anew() -> None:
    departures = after_an_answer()

    async def ask() -> tuple[int, bool]:
        calls = []
        for _ in range(5):
            calls.append(asyncio.create_task(departures.leave(False, LONG_S)))
            await asyncio.sleep(0)
        done, _ = await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
        later = asyncio.create_task(departures.leave(False, LONG_S))
        await asyncio.sleep(0)
        waits = not later.done()
        await later
        return len(done), waits

    assert asyncio.run(ask()) == (5, True)


def test_a_call_with_little_time_leaves_before_those_that_wait() -> None:
    departures = after_an_answer()

    async def ask() -> tuple[bool, bool]:
        patient = asyncio.create_task(departures.leave(False, LONG_S))
        await asyncio.sleep(0)
        hasty = asyncio.create_task(departures.leave(False, SHORT_S))
        await asyncio.sleep(0)
        done = patient.done(), hasty.done()
        await patient
        return done

    assert asyncio.run(ask()) == (False, True)


def test_a_call_that_is_given_up_holds_nobody() -> None:
    departures = after_an_answer()

    async def ask() -> None:
        first, second = (asyncio.create_task(departures.leave(False, LONG_S)) for _ in range(2))
        await asyncio.sleep(0)
        first.cancel()
        await second

    asyncio.run(ask())
