"""The real tritonclient asks groups whose task does not classify: the aggregate comes as a tensor of its own kind."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc as triton_grpc
import tritonclient.http as triton_http
from tritonclient.utils import InferenceServerException, triton_to_np_dtype

from dropbeard.client.answers import answer_of
from dropbeard.gateway.main_output import MainOutput, main_output, main_tensor
from dropbeard.types.certificates import decode_certificate
from dropbeard.types.outputs import Boxes, Element, Numbers, OutputForm, OutputKind
from dropbeard.types.task import PROBABILITY_ONE, TaskSchema
from dropbeard.verification.certificate import verify
from tests.gateway.pieces import Served, Teller, serve_blocking
from tests.verification.building import Plan, World, build, world
from tests.verification.other_tasks import CAT, TASKS, other_world

LIBRARIES = pytest.mark.parametrize("library", [triton_http, triton_grpc], ids=["http", "grpc"])
SQUARE = 30_000 / PROBABILITY_ONE
FUSED = [0, 0, 0, SQUARE, SQUARE, 60_001 / PROBABILITY_ONE]
EXPECTED: dict[str, tuple[str, type[np.generic], list[Any]]] = {
    "embedding": ("FP32", np.float32, [1.0, 150 / 16_384, 0.0]),
    "scores": ("FP32", np.float32, [17 / 16, -0.5]),
    "boxes": ("FP32", np.float32, [FUSED, [-1, 0, 0, 0, 0, 0]]),
    "tensor": ("UINT8", np.uint8, [[1], [7]]),
}


def teller_of(kind: str) -> Teller:
    return Teller(other_world(kind), outputs={owner: TASKS[kind][1](owner).encode() for owner in range(4)})


def pictures(library: ModuleType) -> Any:
    given = library.InferInput("image", [2, 1, 1, 3], "UINT8")
    given.set_data_from_numpy(np.zeros((2, 1, 1, 3), np.uint8))
    return given


@LIBRARIES
@pytest.mark.parametrize("kind", TASKS)
def test_tritonclient_gets_the_aggregate_in_the_shape_and_datatype_that_the_metadata_names(
    kind: str, library: ModuleType
) -> None:
    datatype, dtype, row = EXPECTED[kind]
    name = TASKS[kind][0].name

    def ask(served: Served) -> None:
        address = served.http if library is triton_http else served.grpc
        more = {} if library is triton_http else {"as_json": True}
        with library.InferenceServerClient(address) as client:
            (output,) = client.get_model_metadata(name, **more)["outputs"]
            config = client.get_model_config(name, **more)
            tensor = client.infer(name, [pictures(library)]).as_numpy(kind)
        assert (output["name"], output["datatype"]) == (kind, datatype)
        assert list(map(int, output["shape"])) == [-1, *tensor.shape[1:]]
        (described,) = config.get("config", config)["output"]
        assert (described["data_type"], list(map(int, described["dims"]))) == (f"TYPE_{datatype}", [*tensor.shape[1:]])
        assert tensor.dtype == dtype
        assert tensor == pytest.approx(np.array([row, row], dtype))

    serve_blocking(ask, teller_of(kind))


def test_tritonclient_is_told_what_the_answer_is_worth_and_gets_no_labels() -> None:
    def ask(served: Served) -> None:
        with triton_http.InferenceServerClient(served.http) as client:
            wanted = [
                triton_http.InferRequestedOutput(name) for name in ("boxes", "margin", "assurance", "certificate")
            ]
            options = {"parameters": {"dropbeard_require": "robust"}}
            result = client.infer("pets", [pictures(triton_http)], outputs=wanted, **options)
            assert result.get_response()["parameters"]["dropbeard_decided"] is True
            assert result.as_numpy("margin").tolist() == [[4], [4]]
            assert result.as_numpy("assurance").tolist() == [[b"robust"], [b"robust"]]
            certificate = decode_certificate(result.as_numpy("certificate")[0][0])
            assert len(verify(certificate, served.teller.group).answers) == 4
            for wrong in (
                triton_http.InferRequestedOutput("label"),
                triton_http.InferRequestedOutput("boxes", class_count=1),
            ):
                with pytest.raises(InferenceServerException, match="no output 'label'|of a classification"):
                    client.infer("pets", [pictures(triton_http)], outputs=[wrong])

    serve_blocking(ask, teller_of("boxes"))


def test_tritonclient_gets_an_error_where_vectors_have_no_assurance_and_one_is_required() -> None:
    def ask(served: Served) -> None:
        with triton_http.InferenceServerClient(served.http) as client:
            options = {"parameters": {"dropbeard_require": "robust"}}
            with pytest.raises(InferenceServerException, match="required is robust"):
                client.infer("vectors", [pictures(triton_http)], **options)

    serve_blocking(ask, teller_of("embedding"))


@pytest.mark.parametrize(
    ("element", "fraction_bits", "datatype"),
    [
        (Element.I8, 0, "INT8"),
        (Element.U32, 0, "UINT32"),
        (Element.I64, 0, "INT64"),
        (Element.U16, 16 - 1, "FP32"),
        (Element.I32, 8, "FP64"),
    ],
)
def test_no_number_is_rounded_on_its_way(element: Element, fraction_bits: int, datatype: str) -> None:
    form = OutputForm(OutputKind.TENSOR, (2, 2), element, fraction_bits)
    task = TaskSchema("maps", (), 0, 1 << 20, 1_000_000, form)
    made = World(replace(world().group, task=task), world().keys)
    numbers = Numbers(form, (*element.bounds, 1, 0))
    certificate = build(made, Plan(votes=dict.fromkeys(range(3), numbers.encode())))
    answer = answer_of(made.group, certificate, verify(certificate, made.group), 1.0)
    tensor = main_tensor([answer], made.group)
    assert main_output(task) == MainOutput("tensor", datatype, (2, 2))
    assert (tensor.datatype, tensor.shape) == (datatype, (1, 2, 2))
    read = np.frombuffer(tensor.raw(), triton_to_np_dtype(datatype)).tolist()
    assert read == [Fraction(value, 2**fraction_bits) for value in numbers.values] == tensor.values()


def test_boxes_beyond_the_most_are_left_out_and_those_with_the_best_scores_stay() -> None:
    boxes = Boxes(tuple(CAT._replace(class_id=number, score=60_000 - number) for number in range(2)))
    made = other_world("boxes")
    certificate = build(made, Plan(votes=dict.fromkeys(range(3), boxes.encode())))
    answer = answer_of(made.group, certificate, verify(certificate, made.group), 1.0)
    assert answer.measured is not None
    more = replace(answer, measured=replace(answer.measured, value=Boxes((*boxes.boxes, CAT._replace(score=1)))))
    rows = main_tensor([more], made.group).values()
    assert rows[0::6] == [0.0, 1.0]
