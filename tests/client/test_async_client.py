"""The asynchronous client against a real group: many tasks on one set of connections, and each its own end."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing

import pytest

from dropbeard import AsyncClient
from dropbeard.client import Grade, Provisional
from dropbeard.client.session import Session
from dropbeard.daemon.local_group import LocalGroup
from dropbeard.errors import ClientClosed, ConfigInvalid, InputInvalid, RequestExpired
from dropbeard.types.ids import RequestId
from dropbeard.types.task import Input
from dropbeard.verification.certificate import verify
from tests.client.groups import picture, pictures, running_group

pytestmark = pytest.mark.system

LIMIT_S = 60


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalGroup]:
    with running_group(tmp_path_factory.mktemp("async")) as group:
        yield group


def test_many_tasks_share_the_connections_and_each_gets_its_own_answer(local: LocalGroup) -> None:
    async def asked() -> None:
        async with await AsyncClient.from_group(local.genesis) as group, asyncio.timeout(LIMIT_S):
            answers = await asyncio.gather(*(group.infer(one) for one in pictures(300)))
            in_order = [answer async for answer in group.map(pictures(20), in_flight=8)]
            positions = [position async for position, _ in group.stream(pictures(20), in_flight=8)]
        assert len({answer.request_id for answer in answers}) == 300
        assert [answer.shown for answer in in_order] == [answer.shown for answer in answers[:20]]
        assert sorted(positions) == list(range(20))
        for answer in answers:
            assert answer.grade is Grade.FINAL
            assert verify(answer.certificate.certificate, local.group).height == answer.height

    asyncio.run(asked())


def test_a_cancelled_task_gives_up_its_own_request_alone(local: LocalGroup) -> None:
    async def asked() -> None:
        async with await AsyncClient.from_group(local.genesis) as group, asyncio.timeout(LIMIT_S):
            given_up, kept = (asyncio.create_task(group.infer(picture(seed))) for seed in (1, 2))
            await asyncio.sleep(0)
            given_up.cancel()
            answer = await kept
            assert len(answer.owners) == 4
            with pytest.raises(asyncio.CancelledError):
                await given_up
            again = await group.fetch(answer.certificate.certificate.request())
            assert (again.request_id, again.height) == (answer.request_id, answer.height)

    asyncio.run(asked())


def test_tasks_together_never_have_more_under_way_than_the_group_grants(
    local: LocalGroup, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_at_once: list[int] = []
    plain = Session.submit

    def counted(session: Session, given: Input, *rest: int) -> RequestId:
        request = plain(session, given, *rest)  # type: ignore[arg-type]
        open_at_once.append(session.open_requests)
        return request

    async def asked() -> None:
        async with await AsyncClient.from_group(local.genesis, timeout=30) as group, asyncio.timeout(LIMIT_S):
            group._pump.calls.credits = 3
            tasks = [asyncio.create_task(group.infer(one)) for one in pictures(30)]
            await asyncio.sleep(0)
            for task in tasks[1:30:3]:
                task.cancel()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
            assert [isinstance(one, asyncio.CancelledError) for one in ended] == [place % 3 == 1 for place in range(30)]
            assert (await group.infer(picture(1))).grade is Grade.FINAL

    monkeypatch.setattr(Session, "submit", counted)
    asyncio.run(asked())
    assert max(open_at_once) == 3


def test_who_gets_no_credit_in_time_is_told_so_and_a_close_ends_the_wait(local: LocalGroup) -> None:
    async def asked() -> None:
        group = await AsyncClient.from_group(local.genesis)
        group._pump.calls.credits = 0
        with pytest.raises(RequestExpired, match="no credit became free within 0.1 s"):
            await group.infer(picture(1), timeout=0.1)
        waits = asyncio.create_task(group.infer(picture(1)))
        await asyncio.sleep(0)
        await group.close()
        with pytest.raises(ClientClosed, match="before this request was sent"):
            await waits

    asyncio.run(asked())


def test_a_stream_from_a_slow_source_yields_meanwhile_and_leaving_it_gives_up_the_rest(local: LocalGroup) -> None:
    async def asked() -> None:
        first_came = asyncio.Event()

        async def source() -> AsyncIterator[object]:
            yield picture(1)
            await first_came.wait()
            for one in pictures(20):
                yield one

        async with await AsyncClient.from_group(local.genesis) as group, asyncio.timeout(LIMIT_S):
            async with aclosing(group.stream(source(), in_flight=4)) as stream:
                async for position, _ in stream:
                    first_came.set()
                    if position:
                        break
            assert group._pump.calls.session.open_requests == 0

    asyncio.run(asked())


def test_what_a_source_or_a_picture_raises_reaches_who_iterates(local: LocalGroup) -> None:
    def broken() -> Iterator[object]:
        yield picture(1)
        raise ZeroDivisionError

    async def asked() -> None:
        async with await AsyncClient.from_group(local.genesis) as group, asyncio.timeout(LIMIT_S):
            for kind in (group.map, group.stream):
                with pytest.raises(ZeroDivisionError):
                    [one async for one in kind(broken())]
                with pytest.raises(InputInvalid):
                    [one async for one in kind([picture(1), b""])]
            with pytest.raises(ConfigInvalid, match="in_flight"):
                [one async for one in group.map([], in_flight=0)]
            assert not [one async for one in group.map([])]
            assert not [one async for one in group.stream([])]

    asyncio.run(asked())


def test_provisional_answers_are_told_before_the_final_one_and_marked_so(local: LocalGroup) -> None:
    async def asked() -> None:
        told: list[Provisional] = []
        async with await AsyncClient.from_group(local.genesis) as group, asyncio.timeout(LIMIT_S):
            answer = await group.with_options(on_provisional=told.append).infer(picture(3))
            assert (await group.infer(picture(4))).grade is Grade.FINAL
        assert {provisional.request_id for provisional in told} == {answer.request_id}
        assert all(provisional.grade is Grade.PROVISIONAL for provisional in told)
        assert [len(provisional.owners) for provisional in told] == [1, 2, 3, 4]
        assert told[-1].owners == answer.owners

    asyncio.run(asked())


def test_closing_ends_what_is_under_way_with_an_error_and_later_calls_too(local: LocalGroup) -> None:
    async def asked() -> None:
        group = await AsyncClient.from_group(local.genesis)
        call = asyncio.create_task(group.infer(picture(5)))
        await asyncio.sleep(0)
        await group.close()
        await group.close()
        with pytest.raises(ClientClosed, match="before this request was answered") as ended:
            await call
        assert ended.value.request.client == group.client_key
        with pytest.raises(ClientClosed, match="open another"):
            await group.infer(picture(6))

    asyncio.run(asked())


def test_another_loop_is_refused_and_may_close_what_a_loop_left_open(local: LocalGroup) -> None:
    group = asyncio.run(AsyncClient.from_group(local.genesis))
    with pytest.raises(ClientClosed, match="another event loop"):
        asyncio.run(group.infer(picture(7)))
    asyncio.run(group.close())
    with pytest.raises(ClientClosed, match="is closed"):
        asyncio.run(group.infer(picture(7)))


def test_a_client_that_nobody_closed_does_not_hold_up_its_process(local: LocalGroup) -> None:
    program = (
        "import asyncio, gc, sys; from dropbeard import AsyncClient\n"
        "asyncio.run(AsyncClient.from_group(sys.argv[1])); gc.collect()"
    )
    command = [sys.executable, "-W", "ignore::ResourceWarning", "-c", program, str(local.genesis)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
