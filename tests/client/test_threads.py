"""The synchronous client among threads, against a real group: one set of connections, and each call its own end."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from dropbeard.client import Answer, Client, Grade, Provisional
from dropbeard.client.session import Session
from dropbeard.client.silence import SILENT_AFTER
from dropbeard.daemon.local_group import LocalGroup
from dropbeard.errors import AnswerBelowRequired, ClientClosed, RequestExpired, RequestRejected
from dropbeard.types.ids import RequestId
from dropbeard.types.task import Input
from dropbeard.verification.aggregate import Assurance, Decision
from dropbeard.verification.certificate import Verified
from tests.client.groups import picture, pictures, running_group

pytestmark = pytest.mark.system

LIMIT_S = 60
FETCHES = 40


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalGroup]:
    with running_group(tmp_path_factory.mktemp("threads")) as group:
        yield group


@contextmanager
def stopped(local: LocalGroup, *owners: str) -> Iterator[None]:
    """Nodes that keep their connections and say nothing."""
    pids = [local.supervisor.pid(f"node {owner}") or 0 for owner in owners]
    assert all(pids)
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def test_threads_that_hammer_one_client_each_get_their_own_answers(local: LocalGroup) -> None:
    with Client(local.group, timeout=30) as group, ThreadPoolExecutor(16) as threads:
        streams = [threads.submit(lambda: dict(group.stream(pictures(40), in_flight=8))) for _ in range(2)]
        alone = list(threads.map(group.infer, pictures(80)))
        assert len({answer.request_id for answer in alone}) == 80
        for stream in streams:
            found = stream.result(LIMIT_S)
            assert sorted(found) == list(range(40))
            for place, answer in found.items():
                assert isinstance(answer, Answer)
                assert answer.shown == alone[place].shown


def test_threads_together_never_have_more_under_way_than_the_group_grants(
    local: LocalGroup, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_at_once: list[int] = []
    plain = Session.submit

    def counted(session: Session, given: Input, *rest: int) -> RequestId:
        request = plain(session, given, *rest)  # type: ignore[arg-type]
        open_at_once.append(session.open_requests)
        return request

    monkeypatch.setattr(Session, "submit", counted)
    with Client(local.group, timeout=30) as group, ThreadPoolExecutor(8) as threads:
        group._pump.calls.credits = 3
        assert len(list(threads.map(group.infer, pictures(30)))) == 30
        assert len(list(group.map(pictures(10)))) == 10
    assert max(open_at_once) == 3


def test_closing_ends_the_calls_of_other_threads_with_an_error(local: LocalGroup) -> None:
    group = Client(local.group, timeout=30, patience=30)
    with stopped(local, "dave"), ThreadPoolExecutor(3) as threads:
        calls = [threads.submit(group.infer, one) for one in pictures(3)]
        while group._pump.calls.session.open_requests < 3:
            time.sleep(0.01)
        group.close()
        for call in calls:
            with pytest.raises(ClientClosed, match="before this request was answered") as ended:
                call.result(LIMIT_S)
            assert ended.value.request.client == group.client_key
    with pytest.raises(ClientClosed, match="open another"):
        group.infer(picture(1))
    group.close()


def test_after_a_fork_the_child_is_told_to_open_its_own(local: LocalGroup) -> None:
    with Client(local.group) as group:
        child = os.fork()
        if child == 0:
            try:
                group.infer(picture(1))
            except ClientClosed as wrong:
                group.close()
                os._exit(0 if "fork" in str(wrong) else 2)
            finally:
                os._exit(1)
        assert os.waitpid(child, 0)[1] == 0
        assert group.infer(picture(1)).grade is Grade.FINAL


def test_a_hedging_client_has_no_patience_for_a_silent_owner_and_others_have(local: LocalGroup) -> None:
    with Client(local.group, patience=0.2) as group, stopped(local, "dave"):
        hedging = group.with_options(hedge=True)
        patiences = [
            hedging.infer(one).certificate.certificate.patience_us for one in pictures(SILENT_AFTER + 2, first=50)
        ]
        assert patiences == [200_000] * SILENT_AFTER + [0, 0]
        assert group.infer(picture(60)).certificate.certificate.patience_us == 200_000


def test_what_ended_early_for_want_of_answers_is_fetched_later_by_its_request(local: LocalGroup) -> None:
    with Client(local.group, timeout=30) as group:
        with stopped(local, "carol", "dave"), pytest.raises(RequestExpired, match="2 of 3 owners needed") as early:
            group.with_options(provisional_timeout=1.0).infer(picture(70))
        for _ in range(FETCHES):
            try:
                answer = group.fetch(early.value.request)
                break
            except RequestRejected:  # they have not answered it yet
                continue
        assert answer.request_id == early.value.request.id.hex()


def always_nothing(verified: Verified) -> Decision:
    return Decision(None, 3, -7, Assurance.NONE)


def test_a_view_has_its_own_options_and_the_connections_of_its_client(local: LocalGroup) -> None:
    told: list[Provisional] = []
    with Client(local.group) as group:
        view = group.with_options(aggregate=always_nothing, on_provisional=told.append)
        answer = view.infer(picture(1))
        assert (answer.label, answer.shown, answer.margin) == (None, "class 3", -7)
        assert [len(provisional.owners) for provisional in told] == [1, 2, 3, 4]
        with pytest.raises(AnswerBelowRequired, match=r"margin -7.*required is robust") as below:
            view.with_options(require=Assurance.ROBUST).infer(picture(1))
        assert below.value.answer.margin == -7
        assert below.value.exit_code == 3
        view.close()
        assert group.infer(picture(1)).margin != -7


def test_what_a_callers_own_function_raises_reaches_that_caller_alone(local: LocalGroup) -> None:
    def broken(_: object) -> Decision:
        raise ZeroDivisionError

    with Client(local.group) as group, ThreadPoolExecutor(2) as threads:
        for option in ("aggregate", "on_provisional"):
            wrong = threads.submit(group.with_options(**{option: broken}).infer, picture(1))
            right = threads.submit(group.infer, picture(2))
            with pytest.raises(ZeroDivisionError):
                wrong.result(LIMIT_S)
            assert right.result(LIMIT_S).grade is Grade.FINAL
