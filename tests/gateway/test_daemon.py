"""The gateway's process: TLS by files, what systemd hears, ports that cannot be had."""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import os
import signal
import socket
import ssl
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import tritonclient.grpc as triton_grpc
import tritonclient.http as triton_http
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from geventhttpclient.response import HTTPConnectionClosed
from tritonclient.utils import InferenceServerException

from dropbeard.daemon.process import DIE_WITH_PARENT
from dropbeard.errors import TransportFailed
from dropbeard.gateway.config import TlsTable
from dropbeard.gateway.daemon import _told_or_broken
from dropbeard.gateway.watch import answers_itself
from dropbeard.types.genesis_file import genesis_to_toml
from tests.gateway.pieces import MODEL, Served, free_ports, serve, serve_blocking, settings
from tests.verification.building import world

END_S = 30.0
TLS = TlsTable("tls.pem", "tls.key")


def write_pair(folder: Path, name: str) -> None:
    """A key and a certificate for 127.0.0.1 that it signed itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    alternatives = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(alternatives, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / f"{name}.key").write_bytes(key.private_bytes(*form))
    (folder / f"{name}.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))


def tensor(library: Any) -> Any:
    given = library.InferInput("image", [1, 2, 2, 3], "UINT8")
    given.set_data_from_numpy(np.zeros((1, 2, 2, 3), np.uint8))
    return given


def http_client(served: Served, folder: Path, client: str | None) -> triton_http.InferenceServerClient:
    def context() -> ssl.SSLContext:
        made = ssl.create_default_context(cafile=str(folder / "tls.pem"))
        if client is not None:
            made.load_cert_chain(folder / f"{client}.pem", folder / f"{client}.key")
        return made

    return triton_http.InferenceServerClient(served.http, ssl=True, ssl_context_factory=context)


def grpc_client(served: Served, folder: Path, client: str | None) -> triton_grpc.InferenceServerClient:
    own = (
        {}
        if client is None
        else {"private_key": folder / f"{client}.key", "certificate_chain": folder / f"{client}.pem"}
    )
    files = {name: str(path) for name, path in own.items()}
    return triton_grpc.InferenceServerClient(served.grpc, ssl=True, root_certificates=str(folder / "tls.pem"), **files)


def test_tritonclient_asks_over_tls_by_both_ways(tmp_path: Path) -> None:
    write_pair(tmp_path, "tls")

    def ask(served: Served) -> None:
        with http_client(served, tmp_path, None) as client:
            assert client.infer(MODEL, [tensor(triton_http)]).as_numpy("scores").argmax() == 3
        with grpc_client(served, tmp_path, None) as client:
            assert client.infer(MODEL, [tensor(triton_grpc)]).as_numpy("scores").argmax() == 3

    serve_blocking(ask, tls=TLS, folder=tmp_path)


def test_with_an_authority_for_clients_nobody_else_gets_in(tmp_path: Path) -> None:
    for name in ("tls", "friend", "stranger"):
        write_pair(tmp_path, name)

    def ask(served: Served) -> None:
        with http_client(served, tmp_path, "friend") as client:
            assert client.is_server_live()
        with grpc_client(served, tmp_path, "friend") as client:
            assert client.is_server_live()
        for unknown in (None, "stranger"):
            with http_client(served, tmp_path, unknown) as client, pytest.raises((OSError, HTTPConnectionClosed)):
                client.is_server_live()
            with grpc_client(served, tmp_path, unknown) as client, pytest.raises(InferenceServerException):
                client.is_server_live(client_timeout=5)

    serve_blocking(ask, tls=msgspec.structs.replace(TLS, client_ca="friend.pem"), folder=tmp_path)


@pytest.mark.parametrize("tls", [None, TLS, msgspec.structs.replace(TLS, client_ca="friend.pem")])
def test_the_watchdog_is_fed_by_an_answer_over_the_gateways_own_port(tmp_path: Path, tls: TlsTable | None) -> None:
    for name in ("tls", "friend"):
        write_pair(tmp_path, name)

    async def ask(served: Served) -> bool:
        return await answers_itself(served.config, 5)

    assert serve(ask, tls=tls, folder=tmp_path)


def test_a_port_that_accepts_and_says_nothing_feeds_no_watchdog() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        config = settings(http_port=silent.getsockname()[1])
        assert not asyncio.run(answers_itself(config, 0.2))
    assert not asyncio.run(answers_itself(config, 5))


@pytest.mark.parametrize("key", ["http_port", "grpc_port"])
def test_a_port_of_another_program_is_one_error_that_names_it(key: str) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(TransportFailed, match=f"127.0.0.1:{port}.*{key}"):
            serve_blocking(lambda served: None, **{key: port})


def test_what_breaks_in_the_background_ends_the_gateway_with_its_error() -> None:
    async def broken() -> None:
        raise TransportFailed("no sockets left")

    async def run() -> None:
        await _told_or_broken(asyncio.Event(), [asyncio.create_task(broken())])

    with pytest.raises(TransportFailed, match="no sockets left"):
        asyncio.run(run())


@pytest.mark.system
def test_systemd_hears_that_it_is_ready_that_it_is_alive_and_that_it_ends(tmp_path: Path) -> None:
    (tmp_path / "genesis.toml").write_text(genesis_to_toml(world().group))
    http_port, grpc_port = free_ports(2)
    text = f'genesis = "genesis.toml"\nhttp_port = {http_port}\ngrpc_port = {grpc_port}\n'
    (tmp_path / "gateway.toml").write_text(text)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(END_S)
        told = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "600000", DIE_WITH_PARENT: str(os.getpid())}
        command = [sys.executable, "-m", "dropbeard", "run", "gateway", str(tmp_path / "gateway.toml")]
        with subprocess.Popen(command, env={**os.environ, **told}) as process:
            try:
                words = [systemd.recv(4_096).decode() for _ in range(2)]
                process.send_signal(signal.SIGHUP)  # nothing to it: it goes on
                words.append(systemd.recv(4_096).decode())
                process.send_signal(signal.SIGTERM)
                while "STOPPING=1" not in words[-1]:
                    words.append(systemd.recv(4_096).decode())
                assert process.wait(END_S) == 0
            finally:
                process.kill()
    assert sorted(word.splitlines()[0] for word in words[:2]) == ["READY=1", "WATCHDOG=1"]
