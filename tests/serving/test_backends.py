"""A backend is chosen by name, among those that the model's manifest names."""

from __future__ import annotations

import msgspec
import pytest

from dropbeard.errors import EngineFailed
from dropbeard.serving.backends import make_engine
from dropbeard.serving.manifest import Manifest
from dropbeard.types.task import TaskSchema


def test_a_backend_that_the_manifest_does_not_name_is_refused(manifest: Manifest, schema: TaskSchema) -> None:
    narrow = msgspec.structs.replace(manifest, backends=("onnx",))
    with pytest.raises(EngineFailed, match="mean-colour is not for the backend tensorrt: its manifest names onnx"):
        make_engine("tensorrt", narrow, schema)


def test_as_many_batches_may_fly_as_the_library_allows(manifest: Manifest, schema: TaskSchema) -> None:
    assert make_engine("onnx", manifest, schema).in_flight == 1
    assert make_engine("onnx", manifest, schema, streams=3).in_flight == 3
    assert make_engine("tensorrt", manifest, schema).in_flight == 3
