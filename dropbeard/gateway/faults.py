"""What a call ends with that gets no answer: one fault, with its code on HTTP and on gRPC."""

from __future__ import annotations

import enum
from typing import Final

from dropbeard.errors import (
    ClientClosed,
    DropbeardError,
    GroupUnreachable,
    InputInvalid,
    RequestExpired,
    RequestRejected,
    TransportFailed,
)

RETRY_AFTER_S: Final = 1


class Reason(enum.Enum):
    """Why, as (HTTP status, gRPC status, whether the same call may be made again in a while)."""

    INVALID = (400, "INVALID_ARGUMENT", False)
    NOT_FOUND = (404, "NOT_FOUND", False)
    TOO_LARGE = (413, "RESOURCE_EXHAUSTED", False)
    UNSETTLED = (409, "FAILED_PRECONDITION", False)
    """There is an answer, and it is below what the call requires."""
    OVERLOADED = (429, "RESOURCE_EXHAUSTED", True)
    """This gateway has as many calls under way as it may."""
    CANCELLED = (499, "CANCELLED", False)
    """The client went away; nobody reads this."""
    INTERNAL = (500, "INTERNAL", False)
    UNSUPPORTED = (501, "UNIMPLEMENTED", False)
    UNAVAILABLE = (503, "UNAVAILABLE", True)
    """The group, or this gateway, takes nothing right now."""
    LATE = (504, "DEADLINE_EXCEEDED", False)

    @property
    def http(self) -> int:
        """The status of HTTP."""
        return self.value[0]

    @property
    def grpc(self) -> str:
        """The name of gRPC's status."""
        return self.value[1]

    @property
    def again(self) -> bool:
        """Whether the client is told when to try again."""
        return self.value[2]


class Fault(DropbeardError):
    """A call without an answer; the text is for the client."""

    def __init__(self, reason: Reason, text: str) -> None:
        super().__init__(text)
        self.reason = reason


def fault_of(wrong: DropbeardError) -> Fault:
    """The fault that an error of the client binding makes."""
    if isinstance(wrong, Fault):
        return wrong
    match wrong:
        case InputInvalid():
            return Fault(Reason.INVALID, str(wrong))
        case RequestExpired():
            return Fault(Reason.LATE, str(wrong))
        case RequestRejected():
            return Fault(Reason.INVALID if wrong.input_refused else Reason.UNAVAILABLE, str(wrong))
        case GroupUnreachable() | TransportFailed() | ClientClosed():
            return Fault(Reason.UNAVAILABLE, str(wrong))
        case _:
            return Fault(Reason.INTERNAL, str(wrong))
