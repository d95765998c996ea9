"""What Triton's Python backend loads: the model of the workload behind ``execute``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import triton_python_backend_utils as triton

from perf.peers.workload import Model, told


class TritonPythonModel:
    """Inputs are rows of bytes, [1, bytes] each; answers are as well."""

    def initialize(self, args: dict[str, str]) -> None:
        self._model = Model(told())

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        given = [triton.get_input_tensor_by_name(request, "picture").as_numpy() for request in requests]
        rows = [row.tobytes() for tensor in given for row in tensor]
        found = iter(self._model.answers(rows))
        return [_response([next(found) for _ in tensor]) for tensor in given]


def _response(answers: Sequence[bytes]) -> Any:
    rows = np.frombuffer(b"".join(answers), np.uint8).reshape(len(answers), -1)
    return triton.InferenceResponse([triton.Tensor("answer", rows)])
