"""Ask the running node of a configuration how it is."""

from __future__ import annotations

import msgspec

from dropbeard.daemon.files import NodeFiles
from dropbeard.daemon.status_desk import STATUS
from dropbeard.errors import NodeUnreachable
from dropbeard.transport.status_link import ask
from dropbeard.types.status import STATUS_BYTES_MAX, NodeStatus


def ask_status(files: NodeFiles, timeout_s: float) -> NodeStatus:
    """The status of now; NodeUnreachable when none is to be had within ``timeout_s``."""
    answer = ask(files.state, STATUS, STATUS_BYTES_MAX, timeout_s)
    try:
        return msgspec.json.decode(answer, type=NodeStatus)
    except msgspec.MsgspecError as wrong:
        raise NodeUnreachable(f"the node is of another release and says what this one cannot read: {wrong}") from wrong
