"""SqueezeNet: clear words for weights that are not it."""

from __future__ import annotations

import numpy as np
import pytest

from dropbeard.errors import ModelMissing
from dropbeard.serving.recipes.squeezenet import build

KERNEL = np.zeros((3, 3, 3, 64), np.float32)


@pytest.mark.parametrize(
    "weights",
    [[], {"conv1": KERNEL}, {"conv1": [KERNEL]}, {"conv1": [KERNEL, KERNEL]}, {"conv1": ["a", "b"]}],
)
def test_weights_in_another_form_are_refused(weights: object) -> None:
    with pytest.raises(ModelMissing, match="not SqueezeNet"):
        build(weights)


def test_a_missing_layer_is_named() -> None:
    with pytest.raises(ModelMissing, match="fire2/squeeze1x1"):
        build({"conv1": [KERNEL, KERNEL[0, 0, 0]]})
