"""The node's side of its engine: which version runs what, what is loaded beside, what is let go (rule 4.3)."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, cast

from dropbeard.agreement.effects import Infer
from dropbeard.agreement.events import AnswersCame, EngineIsReady, InferenceFailed, ModelWasLoaded
from dropbeard.codec.engine import decode_to_engine, encode_from_engine
from dropbeard.daemon.engine_desk import EngineDesk
from dropbeard.errors import MessageInvalid
from dropbeard.transport.engine_link import EngineLink
from dropbeard.types.engine_messages import (
    EngineAnswers,
    EngineReady,
    InferTickets,
    LoadFailure,
    LoadModel,
    ToEngine,
    UnloadModel,
)
from dropbeard.types.ids import Digest, RequestId, TimeUs, Version
from dropbeard.types.messages import RejectReason
from dropbeard.types.task import Input, InputKind
from tests.types.test_update_file import SIGNED

OLD, NEW = Digest(b"o" * 32), SIGNED.update.model
GIVEN = Input(InputKind.ENCODED_IMAGE, (0, 0, 0), b"picture")


class _Quiet:
    socket = None

    def changes(self, ready: Any) -> list[bool]:
        return []


@dataclass
class Wire:
    """Stands for the socket: what the engine says, what it was told."""

    heard: list[bytes] = field(default_factory=list)
    told: list[ToEngine] = field(default_factory=list)
    monitor: _Quiet = field(default_factory=_Quiet)
    socket: Any = None

    def send(self, frames: list[bytes]) -> bool:
        self.told.append(decode_to_engine(frames[0]))
        return True

    def receive(self, ready: Any) -> list[bytes]:
        heard, self.heard = self.heard, []
        return heard


def _read(output: bytes) -> None:
    if output != b"x":
        raise MessageInvalid("an answer is x")


class Bench:
    """A desk whose lane is at a version that the test moves."""

    def __init__(self, version: int = 1, model: Digest = OLD) -> None:
        self.wire, self.force = Wire(), (Version(version), model)
        self.desk = EngineDesk(cast(EngineLink, self.wire), lambda: self.force, _read)

    def says(self, *messages: Any) -> list[Any]:
        self.wire.heard += [encode_from_engine(message) for message in messages]
        return list(self.desk.receive())


def ready(version: int, model: Digest) -> EngineReady:
    return EngineReady("m", model, Version(version), 4)


def order(version: int, name: bytes = b"r") -> Infer:
    return Infer(RequestId(name * 32), GIVEN, TimeUs(5), Version(version))


def test_an_engine_that_runs_what_is_in_force_is_ready() -> None:
    assert Bench().says(ready(1, OLD)) == [EngineIsReady(Version(1), OLD, 4)]


def test_an_engine_that_started_with_an_older_model_is_asked_for_the_one_in_force() -> None:
    bench = Bench(3, NEW)
    assert bench.says(ready(1, OLD)) == []
    assert bench.wire.told == [LoadModel(Version(3), NEW)]
    assert bench.says(ready(1, OLD)) == []
    assert len(bench.wire.told) == 1
    assert bench.says(ready(3, NEW)) == [EngineIsReady(Version(3), NEW, 4)]


def test_an_update_is_loaded_beside_and_announced_when_it_is_warm() -> None:
    bench = Bench()
    bench.says(ready(1, OLD))
    assert bench.desk.load(SIGNED) == []
    assert bench.wire.told == [LoadModel(Version(2), NEW)]
    assert bench.says(ready(2, NEW)) == [ModelWasLoaded(SIGNED)]
    assert bench.desk.load(SIGNED) == [ModelWasLoaded(SIGNED)]


def test_answers_come_back_under_the_version_that_made_them() -> None:
    bench = Bench()
    bench.says(ready(1, OLD), ready(2, NEW))
    bench.desk.hand_over([order(1), order(2, b"s")])
    tickets = [ticket for told in bench.wire.told if isinstance(told, InferTickets) for ticket in told.tickets]
    assert [ticket.version for ticket in tickets] == [1, 2]
    events = bench.says(EngineAnswers(tuple((ticket.ticket, b"x") for ticket in tickets)))
    assert events == [
        AnswersCame(Version(1), ((RequestId(b"r" * 32), b"x"),), bench.desk.answer_us),
        AnswersCame(Version(2), ((RequestId(b"s" * 32), b"x"),), bench.desk.answer_us),
    ]


def test_an_answer_that_the_task_does_not_know_is_never_promised() -> None:
    bench = Bench()
    bench.says(ready(1, OLD))
    bench.desk.hand_over([order(1), order(1, b"s")])
    failed, came = bench.says(EngineAnswers(((1, b"y"), (2, b"x"))))
    assert isinstance(failed, InferenceFailed)
    assert (failed.request, failed.reason) == (RequestId(b"r" * 32), RejectReason.ENGINE_UNAVAILABLE)
    assert came == AnswersCame(Version(1), ((RequestId(b"s" * 32), b"x"),), bench.desk.answer_us)


def test_an_old_version_is_let_go_once_nothing_waits_for_it() -> None:
    bench = Bench()
    bench.says(ready(1, OLD), ready(2, NEW))
    bench.desk.hand_over([order(1)])
    bench.force = Version(2), NEW
    bench.desk.let_go()
    assert UnloadModel(Version(1)) not in bench.wire.told
    bench.says(EngineAnswers(((1, b"x"),)))
    bench.desk.let_go()
    assert bench.wire.told[-1] == UnloadModel(Version(1))


def test_a_model_that_cannot_be_loaded_is_said_and_what_runs_goes_on() -> None:
    bench = Bench()
    bench.says(ready(1, OLD))
    bench.desk.load(SIGNED)
    assert bench.says(LoadFailure(Version(2), NEW, "no such model")) == []
    assert bench.desk.failed == "no such model"
    assert bench.desk.hand_over([order(1)]) == []


def test_more_than_the_engine_grants_is_refused_at_once() -> None:
    bench = Bench()
    bench.says(replace(ready(1, OLD), credits=1))
    failed = bench.desk.hand_over([order(1), order(1, b"s")])
    assert [type(event) for event in failed] == [InferenceFailed]


def test_an_update_that_is_given_up_is_not_announced_when_its_model_comes_after_all() -> None:
    bench = Bench()
    bench.says(ready(1, OLD))
    bench.desk.load(SIGNED)
    bench.desk.give_up()
    assert bench.says(ready(2, NEW)) == []
    assert (bench.desk.next_update, bench.desk.failed) == (None, None)


def test_an_update_that_is_given_up_is_not_asked_for_again() -> None:
    bench = Bench()
    bench.says(ready(1, OLD))
    bench.desk.load(SIGNED)
    bench.says(LoadFailure(Version(2), NEW, "no such model"))
    bench.desk.give_up()
    told = len(bench.wire.told)
    bench.desk.ask_again()
    assert len(bench.wire.told) == told
