"""Class names."""

from __future__ import annotations

from dropbeard.serving.labels import imagenet_labels


def test_each_of_a_thousand_classes_has_one_short_name() -> None:
    labels = imagenet_labels()
    assert len(labels) == 1000
    assert all(label and "," not in label and label == label.strip() for label in labels)


def test_class_ids_are_those_of_ilsvrc2012() -> None:
    labels = imagenet_labels()
    assert (labels[0], labels[285], labels[967], labels[999]) == (
        "tench",
        "Egyptian cat",
        "espresso",
        "toilet tissue",
    )
