"""Durations as people read them."""

from __future__ import annotations


def time_text(us: int | None) -> str:
    """A duration of so many microseconds in the unit that suits it; a dash when it is not known."""
    if us is None:
        return "-"
    if us < 1_000_000:
        return f"{us / 1000:.1f} ms"
    seconds = us // 1_000_000
    if seconds < 120:
        return f"{us / 1e6:.1f} s"
    return f"{seconds // 3600} h {seconds // 60 % 60} min" if seconds >= 3600 else f"{seconds // 60} min"
