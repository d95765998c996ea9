"""Clients, engines and owners of a schedule: who asks, who computes, who updates a model."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from blake3 import blake3

from dropbeard.agreement.events import RequestCame
from dropbeard.simulator.keys import LABELS, Keys
from dropbeard.simulator.options import Options
from dropbeard.types.group import Group
from dropbeard.types.ids import ClientKey, Digest, Nonce, OwnerId, RequestId, Signature, TimeUs, Version
from dropbeard.types.lanes import SignedUpdate
from dropbeard.types.parameters import MILLISECOND, SECOND
from dropbeard.types.requests import Request
from dropbeard.types.statements import ModelUpdate
from dropbeard.types.task import Classification, Input, InputKind

WALL_US = 1_800_000_000 * SECOND
RETRY_US = 450 * MILLISECOND
SERVICE_MAX_US = 40 * MILLISECOND


@dataclass(slots=True)
class Asked:
    """A client's request and the replicas that took it."""

    request: Request
    given: Input
    takers: dict[int, None] = field(default_factory=dict)
    told: dict[int, None] = field(default_factory=dict)
    """Replicas that showed the client an entry."""

    @property
    def event(self) -> RequestCame:
        """The request as it comes to a replica."""
        return RequestCame(self.request, self.given)


class Clients:
    """Make requests; every one is retried at every replica until its deadline."""

    def __init__(self, options: Options, keys: Keys) -> None:
        self._options = options
        self._keys = keys
        self.asked: dict[RequestId, Asked] = {}

    def ask(self, number: int, now_us: int, rng: random.Random) -> Asked:
        """A new request; some clients split: two inputs under one nonce."""
        split = rng.random() < 0.05
        nonce = Nonce(number - 1 if split and number else number)
        patience_us = rng.choice((0, 50 * MILLISECOND, 600 * MILLISECOND))
        lasts_us = rng.randint(200 * MILLISECOND, 600 * MILLISECOND)
        return self._new(number, nonce, patience_us, TimeUs(WALL_US + now_us + lasts_us))

    def burst(self, number: int, count: int, now_us: int) -> list[Asked]:
        """Many requests that are over soon, from a client of their own."""
        first = (number + 1) * 10_000
        soon = TimeUs(WALL_US + now_us + 50 * MILLISECOND)
        return [self._new(first + k, Nonce(first + k), 0, soon) for k in range(count)]

    def _new(self, number: int, nonce: Nonce, patience_us: int, deadline: TimeUs) -> Asked:
        given = Input(InputKind.ENCODED_IMAGE, (0, 0, 0), f"picture {self._options.seed} {number}".encode())
        client = ClientKey(bytes([number % self._options.clients + 1]) * 32)
        request = Request(client, self._keys.group.id, nonce, deadline, patience_us, b"", given.digest())
        made = self.asked[request.id] = Asked(request, given)
        return made


def answer(owner: int, version: Version, given: Input) -> bytes:
    """Owners agree mostly; each answers an input under one version in one way only."""
    seed = blake3(given.digest() + bytes([owner, version % 256])).digest()
    first = given.digest()[0] % len(LABELS) if seed[0] < 200 else seed[1] % len(LABELS)
    return Classification(((first, 40_000), ((first + 1) % len(LABELS), 20_000))).encode()


def next_update(keys: Keys, group: Group, owner: OwnerId, version: Version) -> SignedUpdate:
    """The owner's signed word that its next model is this version."""
    model = Digest(blake3(group.member(owner).model + bytes([version % 256])).digest())
    update = ModelUpdate(group.id, group.epoch, owner, Version(version), model)
    return SignedUpdate(update, Signature(keys.owner_keys[owner].sign(update.encode())))
