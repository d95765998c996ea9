"""What an in-toto tool takes from us: the envelope checks with the bare standard, and the statement claims no more."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from dropbeard import __version__
from dropbeard.audit.statement import authenticated, envelope, payload, statement
from dropbeard.cli.main import run
from dropbeard.signing.ecdsa_p256 import PrivateKey
from dropbeard.signing.keys import write_private_key
from dropbeard.types.certificates import Certificate, decode_certificate
from dropbeard.types.genesis_file import genesis_to_toml
from dropbeard.verification.certificate import verify
from tests.verification.building import GOOD, IMAGE, Plan, build, world
from tests.verification.gallery import DEFECTS
from tests.verification.other_tasks import certified, other_world

WORLD = world()
KEY = PrivateKey.generate()


def stated(certificate: Certificate, given: bytes | None = None) -> dict[str, Any]:
    return statement(certificate, verify(certificate, WORLD.group), WORLD.group, __version__, given)


def check_envelope(given: dict[str, Any], key: ec.EllipticCurvePublicKey) -> bytes:
    """As a stranger does by DSSE's text: the payload, once its signature checks."""
    body, kind = base64.b64decode(given["payload"]), given["payloadType"]
    encoded = b" ".join([b"DSSEv1", str(len(kind)).encode(), kind.encode(), str(len(body)).encode(), body])
    (signature,) = given["signatures"]
    der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert signature["keyid"] == hashlib.sha256(der).hexdigest()
    key.verify(base64.b64decode(signature["sig"]), encoded, ec.ECDSA(hashes.SHA256()))
    return body


def test_the_encoding_that_is_signed_is_that_of_the_standard() -> None:
    assert authenticated(b"hello world") == b"DSSEv1 28 application/vnd.in-toto+json 11 hello world"


def test_the_envelope_checks_with_the_signers_key_alone() -> None:
    made = stated(build(WORLD, Plan()))
    sealed = json.loads(json.dumps(envelope(made, KEY)))
    assert json.loads(check_envelope(sealed, KEY.parsed.public_key())) == made
    with pytest.raises(InvalidSignature):
        key = PrivateKey.generate().parsed.public_key()
        sealed["signatures"][0]["keyid"] = hashlib.sha256(
            key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        ).hexdigest()
        check_envelope(sealed, key)


def test_a_changed_payload_fails() -> None:
    sealed = envelope(stated(build(WORLD, Plan())), KEY)
    sealed["payload"] = base64.b64encode(base64.b64decode(sealed["payload"]).replace(b"class 3", b"class 4")).decode()
    with pytest.raises(InvalidSignature):
        check_envelope(sealed, KEY.parsed.public_key())


def test_the_statement_names_the_certificate_and_the_input_by_their_files() -> None:
    certificate = build(WORLD, Plan())
    digests = {row["name"]: row["digest"]["sha256"] for row in stated(certificate, IMAGE.data)["subject"]}
    assert digests == {
        "certificate": hashlib.sha256(certificate.encode()).hexdigest(),
        "input": hashlib.sha256(IMAGE.data).hexdigest(),
    }
    assert [row["name"] for row in stated(certificate)["subject"]] == ["certificate"]


def test_the_statement_holds_the_certificate_and_what_verification_found() -> None:
    certificate = build(WORLD, Plan())
    predicate = stated(certificate)["predicate"]
    assert decode_certificate(base64.b64decode(predicate["certificate"])) == certificate
    assert predicate["decision"] == {
        "classId": 3,
        "label": "class 3",
        "margin": 2,
        "assurance": "honest-plurality",
    }
    assert [(row["owner"], row["choices"][0]["label"]) for row in predicate["answers"]] == [
        (owner, "class 3") for owner in range(3)
    ]
    assert predicate["inputCompared"] is False


@pytest.mark.parametrize(
    ("kind", "answer", "decision"),
    [
        (
            "embedding",
            {"values": [16_384, 100, 0]},
            {"values": [16_384, 150, 0], "margin": None, "reach": 100, "assurance": "none"},
        ),
        (
            "scores",
            {"values": [17, -8]},
            {"values": [17, -8], "margin": None, "reach": 1, "assurance": "robust"},
        ),
        (
            "boxes",
            {"boxes": [{"classId": 0, "label": "cat", "x0": 0, "y0": 0, "x1": 30_000, "y1": 30_000, "score": 60_001}]},
            {
                "boxes": [
                    {"classId": 0, "label": "cat", "x0": 0, "y0": 0, "x1": 30_000, "y1": 30_000, "score": 60_001}
                ],
                "margin": 4,
                "reach": None,
                "assurance": "robust",
            },
        ),
        ("tensor", {"values": [1, 7]}, {"values": [1, 7], "margin": None, "reach": 1, "assurance": "none"}),
    ],
)
def test_a_task_that_does_not_classify_is_stated_in_whole_numbers(
    kind: str, answer: dict[str, Any], decision: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    group, data = other_world(kind).group, certified(kind)
    (tmp_path / "g.toml").write_text(genesis_to_toml(group))
    (tmp_path / "c.dbcert").write_bytes(data)
    assert run(["verify", str(tmp_path / "c.dbcert"), "--group", str(tmp_path / "g.toml"), "--dsse"]) == 0
    predicate = json.loads(capsys.readouterr().out)["predicate"]
    form = group.task.form
    assert form is not None
    said = {"name": group.task.name, "kind": kind, "fractionBits": form.fraction_bits, "unit": form.unit}
    assert (predicate["task"], predicate["decision"]) == (said, decision)
    assert {key: predicate["answers"][1][key] for key in answer} == answer
    assert "choices" not in predicate["answers"][1]
    assert decode_certificate(base64.b64decode(predicate["certificate"])).encode() == data


def test_a_request_that_expired_has_no_decision() -> None:
    predicate = stated(build(WORLD, GOOD["expired"]))["predicate"]
    assert (predicate["outcome"], predicate["decision"], predicate["answers"]) == ("expired", None, [])


def test_the_same_files_give_the_same_bytes() -> None:
    certificate = build(WORLD, Plan())
    assert payload(stated(certificate)) == payload(stated(decode_certificate(certificate.encode())))


@pytest.fixture(name="files")
def fixture_files(tmp_path: Path) -> list[str]:
    """The beginning of a command line about a good certificate."""
    (tmp_path / "g.toml").write_text(genesis_to_toml(WORLD.group))
    (tmp_path / "c.dbcert").write_bytes(build(WORLD, Plan()).encode())
    return ["verify", str(tmp_path / "c.dbcert"), "--group", str(tmp_path / "g.toml"), "--dsse"]


def test_the_command_writes_an_unsigned_statement(files: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(files) == 0
    assert json.loads(capsys.readouterr().out) == stated(decode_certificate(Path(files[1]).read_bytes()))


def test_the_command_signs_with_the_auditors_key(
    files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_private_key(tmp_path / "auditor.pem", KEY)
    (tmp_path / "image").write_bytes(IMAGE.data)
    assert run([*files, "--sign", str(tmp_path / "auditor.pem"), "--input", str(tmp_path / "image")]) == 0
    body = json.loads(check_envelope(json.loads(capsys.readouterr().out), KEY.parsed.public_key()))
    assert body["predicate"]["inputCompared"] is True
    assert body["subject"][1]["digest"]["sha256"] == hashlib.sha256(IMAGE.data).hexdigest()


def test_the_command_states_nothing_of_an_invalid_certificate(
    files: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    Path(files[1]).write_bytes(DEFECTS["a salt is another"][1](WORLD).encode())
    assert run(files) == 1
    assert capsys.readouterr().out == ""


def test_a_key_without_dsse_and_json_with_it_are_refused(files: list[str], tmp_path: Path) -> None:
    assert run([*files[:-1], "--sign", str(tmp_path / "auditor.pem")]) == 2
    assert run([*files, "--json"]) == 2
    assert run([*files, "--sign", str(tmp_path / "none.pem")]) == 2
