"""What the doctor says of a GPU inside an engine's unit."""

from __future__ import annotations

from pathlib import Path

import pytest

from dropbeard.daemon.unit_devices import gpu_in_unit, unit_properties

WITH_GPU = {
    "LoadState": "loaded",
    "PrivateDevices": "no",
    "DevicePolicy": "closed",
    "DeviceAllow": "char-nvidia-frontend rw char-nvidia* rw",
}


@pytest.mark.parametrize(
    ("changed", "level", "part"),
    [
        ({}, "ok", "lets the engine use"),
        ({"PrivateDevices": "yes"}, "fail", "PrivateDevices=yes"),
        ({"DeviceAllow": "/dev/null rw"}, "fail", "other devices alone: /dev/null rw"),
        ({"DeviceAllow": ""}, "fail", "other devices alone: none"),
        ({"DeviceAllow": "", "DevicePolicy": "auto"}, "ok", "lets the engine use"),
        ({"LoadState": "not-found"}, "ok", "no unit here"),
    ],
)
def test_a_sandbox_that_hides_the_gpu_is_found(changed: dict[str, str], level: str, part: str) -> None:
    found = gpu_in_unit("tensorrt", "alice", WITH_GPU | changed)
    assert (found.level, part in found.text) == (level, True)
    assert (found.mend is not None and "--gpu" in found.mend) == (level == "fail")


def test_other_backends_need_no_gpu() -> None:
    assert gpu_in_unit("onnx", "alice", WITH_GPU | {"PrivateDevices": "yes"}).level == "ok"


def test_systemd_is_asked_for_the_units_properties(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "systemctl"
    program.write_text('#!/bin/sh\necho "LoadState=loaded"\necho "DeviceAllow=/dev/null rw"\necho "DeviceAllow=$2"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert unit_properties("alice") == {
        "LoadState": "loaded",
        "DeviceAllow": "/dev/null rw dropbeard-engine@alice.service",
    }


def test_without_systemd_nothing_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert unit_properties("alice") is None
    assert gpu_in_unit("tensorrt", "alice", None).level == "warn"
