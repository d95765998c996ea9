"""Every error that dropbeard raises on purpose: one tree, each with one line that says what to do.

``retry_safe`` answers the question a caller has next: may the same call be made again, as it is, without being
charged or counted twice? (Requests are idempotent by id, rule 2.1, so for most errors the answer is yes.)
"""

from __future__ import annotations

from typing import Any

OPERATOR_MUST_ACT = 78
"""A daemon's exit code when its configuration, keys, models or packages must be mended first (EX_CONFIG)."""

STATE_CONTRADICTS = 65
"""A daemon's exit code when its disk does not hold all that it promised (EX_DATAERR): restarting would not help."""


OWNER_LEFT = 69
"""A node's exit code when its owner left the group and it has nothing left to show (EX_UNAVAILABLE)."""


class DropbeardError(Exception):
    """Root of the tree. ``exit_code`` is what the command line returns for it."""

    exit_code = 1
    retry_safe = False
    daemon_exit_code = 1
    """What a daemon ends with that this error stops: 1 for what may be over at the next start."""


class ConfigInvalid(DropbeardError):
    """A file that a person wrote (config, genesis, card, manifest) is wrong; the text names the key."""

    daemon_exit_code = OPERATOR_MUST_ACT


class KeyInvalid(DropbeardError):
    """A key file or a public key cannot be used: unreadable, wrong passphrase, wrong curve, bad permissions."""

    daemon_exit_code = OPERATOR_MUST_ACT


class MessageInvalid(DropbeardError):
    """Bytes from a socket or a file do not decode to the message they claim to be. The sender's fault."""


class VersionRefused(MessageInvalid):
    """A message of another major version of the wire."""

    def __init__(self, theirs: int, ours: int) -> None:
        super().__init__(
            f"it speaks wire version {theirs}, this program {ours}: install the same release on both sides"
        )
        self.theirs = theirs


class CertificateUnreadable(DropbeardError):
    """A certificate file is not one: too short, too long, wrong magic, unknown version, broken layout."""

    exit_code = 2


class CertificateInvalid(DropbeardError):
    """A certificate fails a numbered verification step (rule 5.4)."""

    def __init__(self, step: int, name: str, detail: str) -> None:
        super().__init__(f"step {step} ({name}): {detail}")
        self.step = step
        self.name = name
        self.detail = detail


class AssuranceTooLow(DropbeardError):
    """The certificate is valid, but its margin is below what was required (rule 5.6)."""

    exit_code = 3


class OwnerLeft(DropbeardError):
    """A node's owner is not in the group any more, and nobody is owed an old certificate (rule 8.4)."""

    daemon_exit_code = OWNER_LEFT


class StorageFailed(DropbeardError):
    """The journal or ledger cannot be read or written: disk full, corrupt record, locked by another process."""


class DiskFull(StorageFailed):
    """There is no room for a commit, of which nothing was written: it may be tried again."""

    retry_safe = True


class ReplicaHalted(StorageFailed):
    """This replica found that its own promises are not all on its disk (rule 7.4)."""

    daemon_exit_code = STATE_CONTRADICTS


class LedgerInvalid(DropbeardError):
    """A node's ledger does not check; the text names the height (rule 8.2)."""


class EvidenceInvalid(DropbeardError):
    """An evidence file convicts nobody; the text says why (rule 8.1)."""


class EvidenceUnreadable(DropbeardError):
    """Not an evidence file of this group."""

    exit_code = 2


class PromiseConflict(DropbeardError):
    """The signing guard refused a statement that contradicts one on disk (rule 3.8). Never retried."""

    daemon_exit_code = STATE_CONTRADICTS


class EngineFailed(DropbeardError):
    """The engine cannot load or run a model."""

    retry_safe = True


class ModelMissing(EngineFailed):
    """A model's artefact is not in the cache, or its digest is not the manifest's."""

    retry_safe = False
    daemon_exit_code = OPERATOR_MUST_ACT


class UpdateRefused(DropbeardError):
    """A model update is not taken; the model in force goes on."""


class ChangeRefused(DropbeardError):
    """A vote for a change of the membership does not count; the text says why (rule 8.4)."""


class ExtraMissing(DropbeardError):
    """An optional extra is needed for this; the text gives the pip command."""

    daemon_exit_code = OPERATOR_MUST_ACT


class AggregateInvalid(DropbeardError):
    """These answers cannot be aggregated in this way: another kind of task, or too few of them (rule 5.6)."""


class InputInvalid(DropbeardError):
    """The client's input is not what the group's task accepts (rule 2.5)."""


class NodeUnreachable(DropbeardError):
    """The node of a configuration does not answer on its local socket."""

    exit_code = 2
    retry_safe = True


class TransportFailed(DropbeardError):
    """A socket cannot be bound or reached."""

    retry_safe = True


class ClientError(DropbeardError):
    """Root of what a client's call raises about a request.

    ``request`` is that request (types.requests.Request) once it was sent, else None: ``fetch`` asks for what became of
    it without a second charge.
    """

    retry_safe = True
    request: Any = None


class ClientClosed(ClientError):
    """The client was closed, or it belongs to another process or event loop; open one of your own."""


class AnswerBelowRequired(AssuranceTooLow, ClientError):
    """The group answered, but the answer is worth less than what was required. ``answer`` holds it."""

    retry_safe = False

    def __init__(self, text: str, answer: Any) -> None:
        super().__init__(text)
        self.answer = answer


class RequestRejected(ClientError):
    """Too few nodes admitted the request; the text lists each node's reason.

    ``input_refused``: f+1 nodes say that the task does not take the input, so that one of them is honest.
    """

    def __init__(self, text: str, input_refused: bool = False) -> None:
        super().__init__(text)
        self.input_refused = input_refused


class RequestExpired(ClientError):
    """The deadline passed without enough answers; the request was certified as expired or no outcome is known."""


class GroupUnreachable(ClientError):
    """Fewer nodes answered than are needed within the connect timeout."""
