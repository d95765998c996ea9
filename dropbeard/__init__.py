"""Certified inference: model owners agree on what was answered, and anyone can check it offline."""

from __future__ import annotations

__version__ = "0.1.0"
