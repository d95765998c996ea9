"""The worked example of the format's description is true, so a stranger may rely on it."""

from __future__ import annotations

import re
from pathlib import Path

from dropbeard.types.blocks import Header
from dropbeard.types.certificates import Certificate, decode_certificate
from dropbeard.types.genesis_file import genesis_from_toml
from dropbeard.types.outputs import Box, Boxes, Element, Numbers, OutputForm, OutputKind
from dropbeard.types.statements import Finalize, LanePromise, MembershipChange, Notarize, Nullify
from dropbeard.types.task import Input, InputKind
from dropbeard.verification.aggregate import Assurance, plurality
from dropbeard.verification.certificate import verify
from tests.verification.portable_file import portable

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "certificate-format.md").read_text(encoding="utf-8")
PICTURE = Input(InputKind.ENCODED_IMAGE, (0, 0, 0), b"picture")


def block(language: str) -> str:
    """The one fenced block of a language."""
    (found,) = re.findall(rf"```{language}\n(.*?)```", TEXT, flags=re.DOTALL)
    return str(found)


def values() -> dict[str, str]:
    """The table of values in the example."""
    return dict(re.findall(r"^\| ([a-z ]+) \| `([0-9a-f]{64})` \|$", TEXT, flags=re.MULTILINE))


def example() -> Certificate:
    """The certificate in the example."""
    return decode_certificate(bytes.fromhex("".join(block("hex").split())))


def test_the_example_is_valid_and_says_what_the_text_says() -> None:
    decision = plurality(verify(example(), genesis_from_toml(block("toml")), PICTURE))
    assert (decision.label, decision.margin, decision.assurance) == (1, 1, Assurance.ROBUST)


def test_the_portable_verifier_accepts_the_example() -> None:
    data = bytes.fromhex("".join(block("hex").split()))
    genesis, certificate = portable.read_genesis(block("toml")), portable.read_certificate(data)
    portable.verify(certificate, [genesis])
    assert portable.plurality([output for _, _, output in certificate.openings], genesis) == (1, 1)


def test_the_values_between_are_those_of_the_example() -> None:
    certificate = example()
    header: Header = certificate.headers[0]
    opening = certificate.opening(certificate.answers[0])
    assert opening is not None
    assert values() == {
        "group id": genesis_from_toml(block("toml")).id.hex(),
        "input digest": PICTURE.digest().hex(),
        "body digest": certificate.request().body.hex(),
        "request id": certificate.request().id.hex(),
        "commitment": opening.commitment().hex(),
        "leaf": certificate.base.entry.leaf().hex(),
        "entries root": header.entries_root.hex(),
        "header digest": header.digest.hex(),
    }


def test_the_examples_of_forms_and_answers_are_true() -> None:
    embedding = OutputForm(OutputKind.EMBEDDING, (3,), Element.I16, 14)
    scores = OutputForm(OutputKind.SCORES, (2,), Element.I16, 4, scale=16, unit="kg")
    boxes = OutputForm(OutputKind.BOXES, (2,), Element.U16)
    described = re.findall(r"^\| (?:form|answer): .* \| `([0-9a-f]+)` \|$", TEXT, flags=re.MULTILINE)
    assert [bytes.fromhex(row) for row in described] == [
        embedding.encode(),
        Numbers(embedding, (16_384, 100, 0)).encode(),
        scores.encode(),
        Numbers(scores, (24, -8)).encode(),
        boxes.encode(),
        Boxes((Box(0, 0, 0, 32_767, 32_767, 65_535),)).encode(),
    ]


def test_every_parameter_is_described_in_its_order() -> None:
    described = re.search(r"in this order: (.*?)\.\n", TEXT, flags=re.DOTALL)
    assert described is not None
    assert re.findall(r"`(\w+)`", described[1]) == list(portable.PARAMETERS)


def test_every_statement_is_described_by_its_domain() -> None:
    described = re.findall(r"^\| `(dropbeard/1/[a-z ]+)` \|", TEXT, flags=re.MULTILINE)
    assert [f"{domain}\0".encode() for domain in described] == [
        kind.domain for kind in (Notarize, Finalize, Nullify, LanePromise, MembershipChange)
    ]
