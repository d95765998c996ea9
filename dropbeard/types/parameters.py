"""Every protocol parameter of a group: unit, default, bounds, the rule that uses it (rule 9). All are u64."""

from __future__ import annotations

from dataclasses import dataclass, field, fields

from dropbeard.errors import ConfigInvalid
from dropbeard.types import wire

MILLISECOND = 1_000
SECOND = 1_000_000


def _bounded(default: int, least: int, most: int, rule: str) -> int:
    meta = {"least": least, "most": most, "rule": rule}
    return field(default=default, metadata=meta)


@dataclass(frozen=True, slots=True)
class Parameters:
    """Defaults suit a local network; ARCHITECTURE.md has the table for a wide one and what breaks when one is wrong."""

    block_interval_us: int = _bounded(10 * MILLISECOND, 0, 10 * SECOND, "3.2")
    lane_linger_us: int = _bounded(5 * MILLISECOND, 0, SECOND, "2.7")
    propose_timeout_us: int = _bounded(500 * MILLISECOND, 10 * MILLISECOND, 60 * SECOND, "3.5")
    advance_timeout_us: int = _bounded(SECOND, 10 * MILLISECOND, 60 * SECOND, "3.5")
    finalize_timeout_us: int = _bounded(200 * MILLISECOND, MILLISECOND, 60 * SECOND, "3.6")
    timeout_growth_percent: int = _bounded(125, 100, 400, "3.7")
    timeout_growth_steps_max: int = _bounded(8, 0, 64, "3.7")
    status_interval_us: int = _bounded(SECOND, 10 * MILLISECOND, 60 * SECOND, "3.9")
    starvation_us: int = _bounded(2 * SECOND, 10 * MILLISECOND, 600 * SECOND, "3.6")
    horizon_us: int = _bounded(600 * SECOND, SECOND, 86_400 * SECOND, "2.2")
    near_us: int = _bounded(200 * MILLISECOND, 0, 60 * SECOND, "4.4")
    retention_us: int = _bounded(600 * SECOND, SECOND, 86_400 * SECOND, "4.6")
    open_max: int = _bounded(20_000, 1, 10_000_000, "4.2")
    client_open_max: int = _bounded(2_000, 1, 10_000_000, "4.2")
    lane_window: int = _bounded(256, 2, 65_536, "2.8")
    batch_items_max: int = _bounded(1_024, 1, 4_096, "2.8")
    block_batches_max: int = _bounded(32, 1, 4_096, "3.3")
    update_gap: int = _bounded(4, 1, 65_536, "4.3")
    evidence_max: int = _bounded(4, 0, 64, "8.1")
    snapshot_interval: int = _bounded(1_024, 2, 1 << 32, "4.1")
    epoch_delay: int = _bounded(16, 1, 65_536, "8.4")

    def __post_init__(self) -> None:
        for spec in fields(self):
            value = getattr(self, spec.name)
            least, most = spec.metadata["least"], spec.metadata["most"]
            if not least <= value <= most:
                raise ConfigInvalid(f"parameter {spec.name} is {value}, must be between {least} and {most}")

    def encode(self) -> bytes:
        """Canonical bytes: each value as u64 in the order above."""
        return b"".join(wire.u64(getattr(self, spec.name)) for spec in fields(self))
