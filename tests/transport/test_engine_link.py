"""The ipc socket between node and engine."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
import zmq

from dropbeard.errors import ConfigInvalid, TransportFailed
from dropbeard.transport.engine_link import EngineLink, EngineListener, socket_path
from tests.transport.worlds import Context, short_socket_path, until


@pytest.fixture
def endpoint(tmp_path: Path) -> str:
    found: str = short_socket_path(tmp_path)
    return found


def test_a_ticket_with_its_input_goes_over_and_an_answer_comes_back(endpoint: str) -> None:
    context: Context = zmq.Context()
    engine, node = EngineListener(context, endpoint), EngineLink(context, endpoint)
    assert stat.S_IMODE(socket_path(endpoint).stat().st_mode) == 0o660
    assert until(lambda: node.send([b"header", b"input" * 1_000]))
    heard: list[tuple[bytes, bytes, list[bytes]]] = []
    assert until(lambda: heard, step=lambda: heard.extend(engine.receive()))
    route, header, given = heard[0]
    assert (header, given) == (b"header", [b"input" * 1_000])
    assert engine.send(route, b"answer")
    answers: list[bytes] = []
    assert until(lambda: answers, step=lambda: answers.extend(node.receive()))
    assert answers == [b"answer"]
    node.close()
    engine.close()
    assert not socket_path(endpoint).exists()
    context.destroy(linger=0)


def test_the_node_learns_that_the_engine_went_and_came(endpoint: str) -> None:
    context: Context = zmq.Context()
    node = EngineLink(context, endpoint)
    assert not node.send([b"nobody there"])
    assert node.not_sent == 1
    changes: list[bool] = []
    for _ in range(2):
        other: Context = zmq.Context()
        engine = EngineListener(other, endpoint)
        assert until(lambda: changes[-1:] == [True], 15, lambda: changes.extend(node.monitor.changes()))
        engine.close()
        other.destroy(linger=0)
        assert until(lambda: changes[-1:] == [False], 15, lambda: changes.extend(node.monitor.changes()))
    assert [c for i, c in enumerate(changes) if i == 0 or changes[i - 1] != c] == [True, False, True, False]
    node.close()
    context.destroy(linger=0)


def test_a_second_engine_on_one_socket_is_refused(endpoint: str) -> None:
    context: Context = zmq.Context()
    engine = EngineListener(context, endpoint)
    with pytest.raises(TransportFailed, match="another engine"):
        EngineListener(context, endpoint)
    engine.close()
    context.destroy(linger=0)


def test_a_leftover_socket_file_is_taken_over(endpoint: str) -> None:
    import socket

    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(socket_path(endpoint)))
    context: Context = zmq.Context()
    EngineListener(context, endpoint).close()
    context.destroy(linger=0)


def test_a_file_in_the_way_is_not_removed(endpoint: str) -> None:
    socket_path(endpoint).write_text("precious")
    context: Context = zmq.Context()
    with pytest.raises(TransportFailed, match="no socket"):
        EngineListener(context, endpoint)
    assert socket_path(endpoint).read_text() == "precious"
    context.destroy(linger=0)


@pytest.mark.parametrize("wrong", ["ipc://", "tcp://127.0.0.1:1", "engine.sock", "ipc:///" + "x" * 120])
def test_an_endpoint_that_cannot_be_is_refused(wrong: str) -> None:
    with pytest.raises(ConfigInvalid):
        socket_path(wrong)
