"""The verifiers to take along: one HTML file, whose policy lets nothing run but what was put in, and the script."""

from __future__ import annotations

import ast
import base64
import hashlib
from pathlib import Path
from string import Template
from typing import Final

PARTS: Final = Path(__file__).resolve().parent
PORTABLE: Final = ("portable_genesis.py", "portable_epochs.py", "portable.py")
PAGE_BYTES_MAX: Final = 100_000
"""It fits into a mail."""


def verifier_script() -> str:
    """The verifier alone: a plain script that defines ``DropbeardVerifier``, which its first comment describes."""
    return _part("verify.js")


def verifier_page() -> str:
    """The whole page, the same text each time."""
    style, verifier, page = _part("style.css"), verifier_script(), _part("page.js")
    policy = "; ".join(
        (
            "default-src 'none'",
            f"script-src {_hash(verifier)} {_hash(page)}",
            f"style-src {_hash(style)}",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )
    return Template(_part("page.html")).substitute(policy=policy, style=style, verifier=verifier, page=page)


def portable_verifier() -> str:
    """The verifier in Python, one file that needs ``blake3`` and ``ecdsa`` alone: a program of its own.

    Its parts one after the other, with the last one's description and all imports but each other's in front.
    """
    parts = [(PARTS.parent / name).read_text(encoding="utf-8") for name in PORTABLE]
    heads, bodies = zip(*map(_split, parts), strict=True)
    imports = dict.fromkeys(line for head in heads for line in head)
    description = ast.get_docstring(ast.parse(parts[-1]), clean=False)
    return "\n".join((f'"""{description}"""\n', *imports, *bodies))


def _split(text: str) -> tuple[list[str], str]:
    """A module's imports from elsewhere, a statement each, and what follows its imports."""
    nodes = [node for node in ast.parse(text).body if isinstance(node, ast.Import | ast.ImportFrom)]
    foreign = [node for node in nodes if not (getattr(node, "module", None) or "").startswith("dropbeard")]
    return [ast.unparse(node) for node in foreign], "".join(text.splitlines(keepends=True)[nodes[-1].end_lineno :])


def _part(name: str) -> str:
    return (PARTS / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    """How a content security policy names a script or style that stands in the page itself."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
