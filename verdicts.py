"""What the fuzzer calls a finding."""

from __future__ import annotations


class Wrong(Exception):
    """A reader or a replica did what no bytes may make it do."""
