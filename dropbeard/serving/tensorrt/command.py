"""What ``dropbeard engine build`` does, from the model's name to the plan in the cache."""

from __future__ import annotations

from pathlib import Path

from dropbeard.errors import EngineFailed, ModelMissing
from dropbeard.serving.catalogue import artefact_bytes
from dropbeard.serving.manifest import load_manifest
from dropbeard.serving.tensorrt.building import build_plan
from dropbeard.serving.tensorrt.libraries import Libraries, load_libraries
from dropbeard.serving.tensorrt.plans import (
    PlanKey,
    plan_key,
    plan_path,
    read_plan,
    read_timing,
    store_plan,
    store_timing,
)


def build(model: str, device: int, again: bool = False, libraries: Libraries | None = None) -> tuple[Path, bool]:
    """The plan of a model for a GPU, and whether it was built now.

    Raises ConfigInvalid for a model that is not known, ModelMissing when its artefact was not fetched, EngineFailed or
    ExtraMissing when there is no TensorRT, no GPU, or the model cannot be built.
    """
    manifest = load_manifest(model)
    libraries = libraries or load_libraries()
    if "tensorrt" not in manifest.backends:
        raise EngineFailed(
            f"{model} is not for the backend tensorrt: its manifest names {', '.join(manifest.backends)}"
        )
    name = libraries.device_name(device)
    key = plan_key(manifest, name, libraries.version)
    if not again and _is_built(key, model):
        return plan_path(key), False
    timing = read_timing(name, libraries.version)
    built = build_plan(libraries.trt, model, artefact_bytes(manifest), manifest.profile, timing)
    path = store_plan(key, built.plan)
    store_timing(name, libraries.version, built.timing)
    return path, True


def _is_built(key: PlanKey, model: str) -> bool:
    try:
        read_plan(key, model)
    except ModelMissing:
        return False
    return True
