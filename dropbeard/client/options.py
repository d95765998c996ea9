"""What a caller may ask for beside the input: how long to wait, for whom, and what the answer must be worth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

from dropbeard.client.answers import Aggregate, Provisional
from dropbeard.errors import ConfigInvalid
from dropbeard.types.group import Group
from dropbeard.types.parameters import SECOND
from dropbeard.verification.aggregate import Assurance, plurality

CONNECT_TIMEOUT_S: Final = 5.0
"""Seconds until enough nodes must have said welcome."""

REST_S: Final = 0.5
"""Seconds more for the others; who says welcome later gets then what is open."""

CERTIFICATE_TIMEOUT_S: Final = 10.0
"""Seconds from the call to the request's deadline."""

PATIENCE_S: Final = 1.0
"""Seconds the group waits for the remaining owners once enough have answered."""

IN_FLIGHT_MAX: Final = 4_096
"""Requests of one ``map`` or ``stream`` at once; the group's credits may allow fewer."""


@dataclass(frozen=True, slots=True)
class Options:
    """Times in seconds. ConfigInvalid from ``checked`` when the group does not allow them.

    ``timeout``: from the call to the deadline. ``provisional_timeout``: from the call until ``answers`` owners must
    have answered; None: until the deadline. ``patience``: how long the group waits for the others then; 0: not at all,
    ``timeout``: for all of them, up to the deadline. ``hedge``: no patience for owners that stay silent.
    """

    timeout: float = CERTIFICATE_TIMEOUT_S
    patience: float = PATIENCE_S
    provisional_timeout: float | None = None
    aggregate: Aggregate = plurality
    require: Assurance = Assurance.NONE
    on_provisional: Callable[[Provisional], object] | None = None
    hedge: bool = False

    def checked(self, group: Group) -> Options:
        """These options, once they are known to be possible in the group."""
        if not 0 <= self.patience <= self.timeout or self.timeout * SECOND > group.parameters.horizon_us:
            horizon_s = group.parameters.horizon_us / SECOND
            raise ConfigInvalid(f"need 0 <= patience <= timeout <= {horizon_s:g} s (the group's horizon)")
        if self.provisional_timeout is not None and not 0 < self.provisional_timeout <= self.timeout:
            raise ConfigInvalid("need 0 < provisional_timeout <= timeout; leave it out to wait until the deadline")
        if self.on_provisional is not None and group.task.form is not None:
            raise ConfigInvalid("provisional answers are told where the task classifies; leave on_provisional out")
        return self

    def changed(self, group: Group, changes: dict[str, Any]) -> Options:
        """With some of them replaced; a patience that nobody named never outlasts the new timeout."""
        if not changes:
            return self
        if "timeout" in changes and "patience" not in changes:
            changes = {**changes, "patience": min(self.patience, changes["timeout"])}
        if "timeout" in changes and "provisional_timeout" not in changes and self.provisional_timeout is not None:
            changes = {**changes, "provisional_timeout": min(self.provisional_timeout, changes["timeout"])}
        return replace(self, **changes).checked(group)
