"""What a session remembers of a request that has no end yet, and what an end is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from dropbeard.errors import ClientError
from dropbeard.types.certificates import Certificate
from dropbeard.types.ids import OwnerId, RequestId
from dropbeard.types.messages import FetchOutcome, Rejected, Submit
from dropbeard.types.parameters import SECOND
from dropbeard.types.requests import Request
from dropbeard.types.task import Input
from dropbeard.verification.certificate import Verified

REPEAT_AFTER_US: Final = 2 * SECOND
"""A node that said nothing about a request for this long gets it again; then twice as long, and so on."""

REPEAT_AFTER_MAX_US: Final = 16 * SECOND

NEVER_US: Final = 1 << 62


@dataclass(frozen=True, slots=True)
class Done:
    """A request's end: a verified certificate, or the error that its caller gets."""

    request: RequestId
    certificate: Certificate | None
    verified: Verified | None
    error: ClientError | None


@dataclass(slots=True)
class Leg:
    """One request at one node."""

    next_us: int = NEVER_US
    """When the node gets it again; never while it has not got it once, or will not take it."""
    pause_us: int = REPEAT_AFTER_US
    rejected: Rejected | None = None


@dataclass(slots=True)
class OpenRequest:
    """A request without an end."""

    request: Request
    message: Submit | FetchOutcome
    """What every node gets, with ``given``."""
    given: Input | None
    """None when only what is known of the request is asked for."""
    asked_us: int
    ends_us: int
    legs: dict[OwnerId, Leg]
    enough_since_us: int | None = None
    link_us: int = 0
    """When a link to a supplement may be asked for again."""
    hedge_us: int = NEVER_US
    """When it is looked whether the certificate is late, so that some nodes are asked for it."""
    answers_by_us: int = NEVER_US
    """When enough owners must have answered, if its caller does not wait for them until the deadline."""
    due_us: int = 0
    """When ``poll`` looks at it next, come what may: the earliest time that its row in the heap of dues has."""


def failed(waiting: OpenRequest, error: ClientError) -> Done:
    """The end of a request that gets no certificate; the error names it."""
    error.request = waiting.request
    return Done(waiting.request.id, None, None, error)
