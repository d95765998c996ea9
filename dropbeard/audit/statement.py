"""A verified certificate as an in-toto statement (version 1), and that in a signed DSSE envelope.

For archives and policies that know these formats and not ours. The statement repeats what verification found and holds
the certificate itself: whoever distrusts its signer verifies the certificate again. docs/auditor-guide.md says what
each field means. Sources: the in-toto attestation framework's Statement v1, and the DSSE protocol (version 1.0).
"""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any, Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from dropbeard.aggregate.outcome import outcome
from dropbeard.signing.ecdsa_p256 import PrivateKey
from dropbeard.types.certificates import Certificate
from dropbeard.types.group import Group
from dropbeard.types.outputs import Box, Boxes, Numbers
from dropbeard.types.task import Classification, Output, TaskSchema
from dropbeard.verification.aggregate import plurality
from dropbeard.verification.certificate import Verified

STATEMENT_TYPE: Final = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE: Final = "urn:x-dropbeard:inference-certificate:1"
PAYLOAD_TYPE: Final = "application/vnd.in-toto+json"


def statement(
    certificate: Certificate, verified: Verified, group: Group, version: str, given: bytes | None = None
) -> dict[str, Any]:
    """What was verified, as JSON values. ``version``: of the program that did; ``given``: the bytes of the input's
    file, if it was compared.

    Every run gives the same statement of the same files: it holds no time of its own.
    """
    data = certificate.encode()
    subjects = [{"name": "certificate", "digest": {"sha256": hashlib.sha256(data).hexdigest()}}]
    if given is not None:
        subjects.append({"name": "input", "digest": {"sha256": hashlib.sha256(given).hexdigest()}})
    predicate = {
        "certificate": base64.b64encode(data).decode(),
        "group": {"id": group.id.hex(), "name": group.name, "epoch": group.epoch, "n": group.n, "f": group.f},
        "task": _task(group.task),
        "request": verified.request.hex(),
        "client": certificate.client.hex(),
        "inputDigest": certificate.input_digest.hex(),
        "inputCompared": given is not None,
        "outcome": verified.kind.name.lower(),
        "height": verified.height,
        "timeUs": verified.time,
        "decision": _decision(verified, group),
        "answers": _answers(verified, group),
        "verifier": {"name": "dropbeard", "version": version},
    }
    return {
        "_type": STATEMENT_TYPE,
        "subject": subjects,
        "predicateType": PREDICATE_TYPE,
        "predicate": predicate,
    }


def _decision(verified: Verified, group: Group) -> dict[str, Any] | None:
    """None of a request that expired."""
    if not verified.answers:
        return None
    if group.task.form is not None:
        return _measured(verified, group.task)
    found = plurality(verified)
    label = None if found.label is None else group.task.labels[found.label]
    return {"classId": found.label, "label": label, "margin": found.margin, "assurance": found.assurance.value}


def _measured(verified: Verified, task: TaskSchema) -> dict[str, Any] | None:
    """What answers that are no classes come to, ``reach`` in the units of the values."""
    found = outcome(verified)
    if found.value is None:
        return None
    figures = {"margin": found.margin, "reach": found.reach, "assurance": found.assurance.value}
    return _content(found.value, task) | figures


def _task(task: TaskSchema) -> dict[str, Any]:
    said: dict[str, Any] = {"name": task.name, "kind": task.kind.name.lower()}
    return said if task.form is None else said | {"fractionBits": task.form.fraction_bits, "unit": task.form.unit}


def _content(output: Output, task: TaskSchema) -> dict[str, Any]:
    """An answer in whole numbers: a number is v / 2**fractionBits, what lies between 0 and 1 is in 1/65535."""
    match output:
        case Classification():
            choices = [
                {"classId": class_id, "label": task.labels[class_id], "probabilityUnits": units}
                for class_id, units in output.choices
            ]
            return {"choices": choices}
        case Boxes():
            return {"boxes": [_box(box, task.labels[box.class_id]) for box in output.boxes]}
        case Numbers():
            return {"values": list(output.values)}


def _box(box: Box, label: str) -> dict[str, Any]:
    place = {"x0": box.x0, "y0": box.y0, "x1": box.x1, "y1": box.y1}
    return {"classId": box.class_id, "label": label, **place, "score": box.score}


def _answers(verified: Verified, group: Group) -> list[dict[str, Any]]:
    return [
        {
            "owner": answer.owner,
            "name": answer.name,
            "version": answer.version,
            "model": answer.model.hex(),
            **_content(answer.output, group.task),
        }
        for answer in verified.answers
    ]


def payload(stated: dict[str, Any]) -> bytes:
    """The bytes of a statement, always the same ones."""
    return json.dumps(stated, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def authenticated(body: bytes) -> bytes:
    """DSSE's pre-authentication encoding of a statement's bytes: what is signed."""
    kind = PAYLOAD_TYPE.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(body), body)


def envelope(stated: dict[str, Any], key: PrivateKey) -> dict[str, Any]:
    """The statement signed by ``key``: ECDSA over P-256 with SHA-256, in DER, as DSSE's tools expect it.

    ``keyid`` is the SHA-256 of the public key's SubjectPublicKeyInfo in DER, as hex: a hint, which proves nothing.
    """
    body = payload(stated)
    public = key.parsed.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    signature = key.parsed.sign(authenticated(body), ec.ECDSA(hashes.SHA256()))
    signed = {"keyid": hashlib.sha256(public).hexdigest(), "sig": base64.b64encode(signature).decode()}
    return {"payloadType": PAYLOAD_TYPE, "payload": base64.b64encode(body).decode(), "signatures": [signed]}
