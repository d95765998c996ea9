"""Only a plan that this machine built, for exactly this, is ever found."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from dropbeard.errors import ModelMissing, StorageFailed
from dropbeard.serving.manifest import Manifest
from dropbeard.serving.tensorrt.libraries import DeviceName
from dropbeard.serving.tensorrt.plans import PlanKey, plan_key, read_plan, read_timing, store_plan, store_timing

GPU = DeviceName("Some GPU", (8, 6))


@pytest.fixture
def key(manifest: Manifest) -> PlanKey:
    return plan_key(manifest, GPU, "11.4.0")


def test_a_plan_is_found_again(key: PlanKey) -> None:
    store_plan(key, b"plan")
    assert bytes(read_plan(key, "model")) == b"plan"


def test_a_missing_plan_says_how_to_build_it(key: PlanKey) -> None:
    with pytest.raises(ModelMissing, match="dropbeard engine build model --backend tensorrt"):
        read_plan(key, "model")


def others(key: PlanKey) -> list[PlanKey]:
    return [
        replace(key, model=bytes(32)),
        replace(key, device=DeviceName("Another GPU", (8, 6))),
        replace(key, device=DeviceName("Some GPU", (8, 9))),
        replace(key, tensorrt="11.4.1"),
        replace(key, profile=msgspec.structs.replace(key.profile, batch_max=64)),
        replace(key, profile=msgspec.structs.replace(key.profile, preferred=(8,))),
    ]


@pytest.mark.parametrize("which", range(6))
def test_a_plan_for_anything_else_is_not_found(key: PlanKey, which: int) -> None:
    store_plan(key, b"plan")
    with pytest.raises(ModelMissing, match="there is no TensorRT plan"):
        read_plan(others(key)[which], "model")


def test_a_plan_under_another_name_is_refused(key: PlanKey) -> None:
    other = others(key)[0]
    store_plan(key, b"plan").rename(store_plan(other, b"other"))
    with pytest.raises(ModelMissing, match="not a plan that was built here"):
        read_plan(other, "model")


def test_a_plan_of_another_cache_is_refused(key: PlanKey, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    foreign = store_plan(key, b"plan").read_bytes()
    monkeypatch.setenv("DROPBEARD_CACHE", str(tmp_path / "another"))
    store_plan(key, b"own").write_bytes(foreign)
    with pytest.raises(ModelMissing, match="not a plan that was built here"):
        read_plan(key, "model")


@pytest.mark.parametrize("damage", [b"", b"short", bytes(40)])
def test_a_damaged_plan_is_refused(key: PlanKey, damage: bytes) -> None:
    store_plan(key, b"plan").write_bytes(damage)
    with pytest.raises(ModelMissing, match="not a plan that was built here"):
        read_plan(key, "model")


def test_a_folder_that_others_may_write_is_refused(key: PlanKey, cache: Path) -> None:
    store_plan(key, b"plan")
    (cache / "plans").chmod(0o770)
    with pytest.raises(StorageFailed, match="must belong to you alone"):
        read_plan(key, "model")


def test_a_timing_cache_is_of_one_device_and_version(cache: Path) -> None:
    store_timing(GPU, "11.4.0", b"measured")
    assert read_timing(GPU, "11.4.0") == b"measured"
    assert read_timing(GPU, "11.4.1") == b""
    assert read_timing(DeviceName("Another GPU", (8, 6)), "11.4.0") == b""


def test_a_damaged_timing_cache_is_as_none(cache: Path) -> None:
    store_timing(GPU, "11.4.0", b"measured")
    (found,) = (cache / "plans").glob("*.timing")
    found.write_bytes(found.read_bytes()[:-1] + b"!")
    assert read_timing(GPU, "11.4.0") == b""
