"""Endpoints of both families of addresses."""

from __future__ import annotations

import socket

import pytest
import zmq

from dropbeard.errors import TransportFailed
from dropbeard.transport.options import bind, connect, listening_at, prepare
from tests.transport.worlds import Context

WAIT_MS = 5_000


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
def test_a_message_gets_through(host: str) -> None:
    if host == "[::1]" and not has_ipv6():
        pytest.skip("this machine has no IPv6 loopback address")
    context: Context = zmq.Context()
    try:
        listener, caller = context.socket(zmq.ROUTER), context.socket(zmq.DEALER)
        for made in (listener, caller):
            prepare(made)
        bind(listener, f"tcp://{host}:*")
        connect(caller, str(listener.getsockopt_string(zmq.LAST_ENDPOINT)))
        caller.send(b"hello")
        assert listener.poll(WAIT_MS)
        assert listener.recv_multipart()[1] == b"hello"
    finally:
        context.destroy(linger=0)


def test_an_address_of_another_machine_cannot_be_listened_on() -> None:
    context: Context = zmq.Context()
    try:
        with pytest.raises(TransportFailed, match="set `listen` to an address of this machine"):
            bind(context.socket(zmq.ROUTER), "tcp://203.0.113.7:7400")
    finally:
        context.destroy(linger=0)


def test_an_owner_behind_nat_listens_elsewhere_on_the_same_port() -> None:
    assert listening_at("tcp://host:7400", "0.0.0.0") == "tcp://0.0.0.0:7400"
    assert listening_at("tcp://[2001:db8::1]:7400", "[::]") == "tcp://[::]:7400"
    assert listening_at("ipc:///run/x", "0.0.0.0") == "ipc:///run/x"
