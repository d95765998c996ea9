"""A gateway on loopback with real sockets. What stands in for the group gives verified answers of real certificates."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from dropbeard.client.answers import Answer, answer_of
from dropbeard.errors import DropbeardError
from dropbeard.gateway.config import GatewayConfig, GatewayFiles
from dropbeard.gateway.listening import listening
from dropbeard.gateway.service import Gateway
from dropbeard.types.group import Group
from dropbeard.types.task import Input
from dropbeard.verification.certificate import verify
from tests.verification.building import Plan, World, build, output, world

MODEL = "pictures"
SCENARIO_S = 60.0

T = TypeVar("T")


@dataclass
class Teller:
    """Answers every picture: owner by owner the class that ``votes`` says, for all pictures or by their bytes."""

    made: World = field(default_factory=world)
    votes: tuple[int, ...] = (3, 3, 3, 3)
    outputs: dict[int, bytes] | None = None
    """Owner by owner the bytes of an answer, in place of votes: of tasks that do not classify."""
    by_picture: dict[bytes, tuple[int, ...]] = field(default_factory=dict)
    error: DropbeardError | None = None
    hold: asyncio.Event | None = None
    """Answers wait for it."""
    asked: list[tuple[Input, float, float]] = field(default_factory=list)
    cancelled: int = 0

    async def infer(self, image: Any, *, timeout: float, patience: float) -> Answer:
        self.asked.append((image, timeout, patience))
        try:
            if self.hold is not None:
                await self.hold.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if self.error is not None:
            raise self.error
        votes = self.by_picture.get(image.data, self.votes)
        outputs = {owner: output(class_id, 40_000 + owner) for owner, class_id in enumerate(votes)}
        plan = Plan(image=image, base=tuple(range(len(votes))), votes=self.outputs or outputs)
        certificate = build(self.made, plan)
        return answer_of(self.made.group, certificate, verify(certificate, self.made.group, image), 1.0)

    @property
    def group(self) -> Group:
        return self.made.group


@dataclass
class Served:
    """A gateway that listens, and who answers behind it."""

    gateway: Gateway
    teller: Teller
    config: GatewayConfig

    @property
    def http(self) -> str:
        return f"127.0.0.1:{self.config.http_port}"

    @property
    def grpc(self) -> str:
        return f"127.0.0.1:{self.config.grpc_port}"


def free_ports(count: int) -> list[int]:
    probes = [socket.socket() for _ in range(count)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


def settings(**changes: Any) -> GatewayConfig:
    http_port, grpc_port = free_ports(2)
    plain = GatewayConfig("genesis.toml", http_port=http_port, grpc_port=grpc_port)
    return msgspec.structs.replace(plain, **changes)


def serve(
    scenario: Callable[[Served], Awaitable[T]],
    teller: Teller | None = None,
    *,
    is_reached: bool = True,
    folder: Path = Path(),
    **changes: Any,
) -> T:
    """Run ``scenario`` beside a gateway, in one loop."""
    teller = teller or Teller()
    config = settings(**changes)

    async def run() -> T:
        gateway = Gateway(teller.group, config)
        if is_reached:
            gateway.client = teller
        async with asyncio.timeout(SCENARIO_S), listening(gateway, GatewayFiles(config, folder / "gateway.toml")):
            return await scenario(Served(gateway, teller, config))

    return asyncio.run(run())


def serve_blocking(
    scenario: Callable[[Served], T], teller: Teller | None = None, *, is_reached: bool = True, **changes: Any
) -> T:
    """The same with a client that blocks, in a thread of its own."""

    async def in_thread(served: Served) -> T:
        return await asyncio.to_thread(scenario, served)

    return serve(in_thread, teller, is_reached=is_reached, **changes)
