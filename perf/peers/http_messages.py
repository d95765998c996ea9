"""Requests and responses of the serving systems as bytes, and the vote over several answers."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Final

from dropbeard.types.task import TaskSchema
from perf.peers.workload import HOST, Workload

END_OF_HEAD: Final = b"\r\n\r\n"
JSON_BYTES: Final = b"inference-header-content-length"
"""Of an answer of Triton: so much of it is JSON, the tensor follows."""


def head_of(path: str, workload: Workload) -> bytes:
    """Everything of a request but the picture, by the path that is asked: Triton's protocol has a JSON part."""
    given: bytes = b""
    more = ""
    if path.startswith("/v2/"):
        tensor = {"name": "picture", "shape": [1, workload.input_bytes], "datatype": "UINT8"}
        asked = {
            "inputs": [{**tensor, "parameters": {"binary_data_size": workload.input_bytes}}],
            "outputs": [{"name": "answer", "parameters": {"binary_data": True}}],
        }
        given = json.dumps(asked, separators=(",", ":")).encode()
        more = f"Inference-Header-Content-Length: {len(given)}\r\n"
    return (
        f"POST {path} HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: application/octet-stream\r\n{more}"
        f"Content-Length: {len(given) + workload.input_bytes}\r\n\r\n"
    ).encode() + given


def answer_in(data: bytearray) -> tuple[int, bytes, int] | None:
    """Status, answer and length of the response at the start of ``data``; None while it is not whole."""
    end = data.find(END_OF_HEAD)
    if end < 0:
        return None
    status, *lines = bytes(data[:end]).lower().split(b"\r\n")
    fields = dict(line.split(b":", 1) for line in lines)
    if b"content-length" not in fields:
        raise SystemExit(f"an answer does not say how long it is: {bytes(data[:end])!r}")
    start = end + len(END_OF_HEAD)
    whole = start + int(fields[b"content-length"])
    if len(data) < whole:
        return None
    skipped = int(fields.get(JSON_BYTES, b"0"))
    return int(status.split()[1]), bytes(data[start + skipped : whole]), whole


def voted(answers: Sequence[bytes], task: TaskSchema) -> int | None:
    """The class that most answers put first; None when two share that."""
    firsts = Counter(task.decode_output(answer).choices[0][0] for answer in answers).most_common(2)
    return None if len(firsts) == 2 and firsts[0][1] == firsts[1][1] else firsts[0][0]
