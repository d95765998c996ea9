"""The two sizes of agreement, computed here and nowhere else (rule 1.1)."""

from __future__ import annotations


def quorum_size(n: int, f: int) -> int:
    """ceil((n+f+1)/2): any two such sets of n replicas share at least f+1, hence an honest one (2f+1 when n = 3f+1)."""
    return (n + f + 2) // 2


def weak_quorum_size(f: int) -> int:
    """f+1: at least one of them is honest."""
    return f + 1


def most_faults(n: int) -> int:
    """The largest f with n >= 3f+1."""
    return (n - 1) // 3
