"""Orders out: what a replica wants done, in the imperative. The turn carries them out (turn.py)."""

from __future__ import annotations

from dataclasses import dataclass

from dropbeard.agreement.records import Record
from dropbeard.types.blocks import Header, Justification, Page
from dropbeard.types.ids import ClientKey, OwnerId, RequestId, TimeUs, Version
from dropbeard.types.lanes import LaneBatch
from dropbeard.types.messages import PeerMessage, ToClient
from dropbeard.types.requests import Opening
from dropbeard.types.statements import Vote
from dropbeard.types.task import Input


@dataclass(frozen=True, slots=True)
class Persist:
    """Write this before anything of this turn is sent (rule 3.8)."""

    record: Record


@dataclass(frozen=True, slots=True)
class CastVote:
    """Promise, sign and broadcast the vote; it comes back through the inbox."""

    vote: Vote


@dataclass(frozen=True, slots=True)
class Propose:
    """Promise the block, sign our Notarize of it, broadcast; it comes back through the inbox (rule 3.2).

    ``pages`` are all that the justification commits to, for the journal; ``inline`` are those sent along.
    """

    header: Header
    justification: Justification
    pages: tuple[Page, ...]
    inline: tuple[Page, ...]


@dataclass(frozen=True, slots=True)
class PromiseBatch:
    """Promise the batch with the answers it commits to, sign, broadcast; it comes back through the inbox."""

    batch: LaneBatch
    openings: tuple[Opening, ...]


@dataclass(frozen=True, slots=True)
class Send:
    """Send to one peer."""

    peer: OwnerId
    message: PeerMessage


@dataclass(frozen=True, slots=True)
class Broadcast:
    """Send to every peer."""

    message: PeerMessage


@dataclass(frozen=True, slots=True)
class SendClient:
    """Send to a client, if it is connected here."""

    client: ClientKey
    message: ToClient


@dataclass(frozen=True, slots=True)
class Infer:
    """Hand to the engine, to be answered by this version of the model."""

    request: RequestId
    given: Input
    deadline: TimeUs
    version: Version


@dataclass(frozen=True, slots=True)
class Report:
    """A peer did what no honest replica does; counted and logged."""

    accused: OwnerId
    offence: str


@dataclass(frozen=True, slots=True)
class Halt:
    """Stop for good: this replica's own promises are not all on its disk (rule 7.4)."""

    reason: str


@dataclass(frozen=True, slots=True)
class WakeAt:
    """End a turn at this monotonic time even if nothing came."""

    monotonic_us: int


Effect = Persist | CastVote | Propose | PromiseBatch | Send | Broadcast | SendClient | Infer | Report | Halt | WakeAt
