"""``dropbeard engine check`` passes for what computes its model, and fails for what does not."""

from __future__ import annotations

import sys

import pytest

from dropbeard.daemon import solo_engine
from dropbeard.daemon.engine_check import check_engine, difference
from dropbeard.errors import EngineFailed
from dropbeard.serving.catalogue import fetch
from dropbeard.serving.images import preprocess
from dropbeard.serving.manifest import ImageBackend, Manifest, load_manifest
from dropbeard.types.task import Classification

BENT_DAEMON = """
import sys
from pathlib import Path
import msgspec
import numpy as np
from dropbeard.daemon.engine import run_engine
from dropbeard.daemon.files import read_node_files
from dropbeard.serving import image_engine
from dropbeard.serving.onnx import OnnxRunner
plain, run = image_engine.preprocess, OnnxRunner.run
{bend}
sys.exit(run_engine(read_node_files(Path(sys.argv[1]))))
"""

PREPROCESS = "image_engine.preprocess = lambda given, schema, rule: plain(given, schema, msgspec.structs.replace(rule, "
BENT = {
    "a wrong mean": PREPROCESS + "mean=(0.0, 0.0, 0.0)))",
    "another channel order": PREPROCESS + "channel_order='rgb'))",
    "another crop": PREPROCESS + "crop=0.6))",
    "swapped rows": "OnnxRunner.run = lambda *given: run(*given)[::-1]",
    "every row the first": "OnnxRunner.run = lambda self, batch, copies: run(self, [batch[0]] * len(batch), copies)",
    "a little noise": "OnnxRunner.run = lambda *given: run(*given) + np.arange(1000)[::-1] % 7 / 100",
}


@pytest.fixture(scope="module")
def real() -> Manifest:
    fetch("squeezenet1.1")
    return load_manifest("squeezenet1.1")


@pytest.mark.system
@pytest.mark.parametrize("backend", ["onnx", "openvino"])
def test_a_backend_that_computes_its_model_passes(real: Manifest, backend: ImageBackend) -> None:
    found = check_engine(real, backend)
    assert (found.pictures, found.answers) == (24, 48)
    assert found.to_recorded is not None and found.to_recorded < 0.01


@pytest.mark.system
@pytest.mark.parametrize("how", BENT)
def test_an_engine_with_a_fault_fails(real: Manifest, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(solo_engine, "DAEMON", (sys.executable, "-c", BENT_DAEMON.format(bend=BENT[how])))
    with pytest.raises(EngineFailed, match=r"differs from ONNX Runtime alone by .* do not serve with it"):
        check_engine(real, "onnx")


@pytest.mark.system
def test_preprocessing_that_changed_everywhere_fails_by_the_record(
    real: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dropbeard.serving import image_engine

    plain = preprocess
    bend = "image_engine.preprocess = lambda given, schema, rule: plain(given, schema, rule)[::-1].copy()"
    monkeypatch.setattr(solo_engine, "DAEMON", (sys.executable, "-c", BENT_DAEMON.format(bend=bend)))
    monkeypatch.setattr(image_engine, "preprocess", lambda given, schema, rule: plain(given, schema, rule)[::-1].copy())
    with pytest.raises(EngineFailed, match="differs from what its manifest records by"):
        check_engine(real, "onnx")


@pytest.mark.system
def test_a_daemon_that_ends_is_reported_with_its_last_words(real: Manifest, monkeypatch: pytest.MonkeyPatch) -> None:
    ends = "import sys; sys.exit('dropbeard: no room for the model')"
    monkeypatch.setattr(solo_engine, "DAEMON", (sys.executable, "-c", ends))
    with pytest.raises(EngineFailed, match=r"^no room for the model$"):
        check_engine(real, "onnx")


def test_equal_answers_do_not_differ() -> None:
    one = Classification(((3, 40_000), (1, 20_000)))
    assert difference(one, one) == 0


def test_the_largest_difference_counts() -> None:
    one, other = Classification(((3, 40_000), (1, 20_000))), Classification(((3, 39_000), (1, 22_000)))
    assert difference(one, other) == difference(other, one) == 2_000


def test_a_class_that_is_not_listed_has_at_most_the_least_probability() -> None:
    one, other = Classification(((3, 40_000), (1, 20_000))), Classification(((3, 40_000), (2, 20_010)))
    assert difference(one, other) == difference(other, one) == 10
    far = Classification(((2, 50_000), (3, 500)))
    assert difference(one, far) == 40_000 - 500
