"""EfficientNet-Lite: TensorFlow's padding, and clear words for weights that are not it."""

from __future__ import annotations

import numpy as np
import pytest

from dropbeard.errors import ConfigInvalid, ModelMissing
from dropbeard.serving.recipes.efficientnet import build, same_padding


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "pads"),
    [
        (224, 3, 2, (0, 0, 1, 1)),
        (15, 3, 2, (1, 1, 1, 1)),
        (56, 5, 2, (1, 1, 2, 2)),
        (14, 5, 1, (2, 2, 2, 2)),
        (7, 1, 1, (0, 0, 0, 0)),
    ],
)
def test_odd_padding_goes_to_the_bottom_and_right(
    size: int, kernel: int, stride: int, pads: tuple[int, int, int, int]
) -> None:
    assert same_padding(size, kernel, stride) == pads


def test_an_unknown_variant_is_answered_with_the_known_ones() -> None:
    with pytest.raises(ConfigInvalid, match="lite0, lite1, lite2"):
        build({}, "lite9")


def test_a_state_dict_without_its_layers_is_refused() -> None:
    with pytest.raises(ModelMissing, match=r"_conv_stem\.weight"):
        build({"weight": np.zeros(1, np.float32)}, "lite0")
