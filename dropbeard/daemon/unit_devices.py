"""Does the sandbox of an engine's unit let it see the GPU? systemd is asked; nothing is started or changed."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from typing import Final

from dropbeard.daemon.findings import Finding, fail, ok, warn

CHECK: Final = "gpu-in-unit"
ASK_S: Final = 3.0
PROPERTIES: Final = ("LoadState", "PrivateDevices", "DevicePolicy", "DeviceAllow")
DEVICES: Final = "nvidia"
"""A part of what the driver's character devices are called."""


def unit_properties(name: str) -> Mapping[str, str] | None:
    """PROPERTIES of the owner's engine unit; None where no systemd answers within ASK_S seconds."""
    command = ["systemctl", "show", f"dropbeard-engine@{name}.service", f"--property={','.join(PROPERTIES)}"]
    try:
        said = subprocess.run(command, capture_output=True, text=True, timeout=ASK_S, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    found: dict[str, str] = {}
    for line in said.stdout.splitlines():
        key, _, value = line.partition("=")
        found[key] = f"{found[key]} {value}" if key in found else value  # DeviceAllow has a line for each device
    return found


def gpu_in_unit(backend: str, name: str, unit: Mapping[str, str] | None) -> Finding:
    """``unit`` as ``unit_properties`` gives it."""
    if backend != "tensorrt":
        return ok(CHECK, f"the backend {backend} uses no GPU")
    if unit is None:
        return warn(CHECK, "no systemd answers here", "where the engine runs as a unit, check again on that machine")
    if unit.get("LoadState") != "loaded":
        return ok(CHECK, f"dropbeard-engine@{name} is no unit here: nothing hides a device from the engine")
    mend = f"dropbeard systemd install {name} --gpu && systemctl daemon-reload, then start the engine again"
    if unit.get("PrivateDevices") == "yes":
        return fail(CHECK, "the unit has PrivateDevices=yes, which hides the GPU", mend)
    limited = unit.get("DevicePolicy") in ("closed", "strict") or bool(unit.get("DeviceAllow"))
    if limited and DEVICES not in unit.get("DeviceAllow", ""):
        return fail(CHECK, f"the unit allows other devices alone: {unit.get('DeviceAllow') or 'none'}", mend)
    return ok(CHECK, "the unit lets the engine use the GPU's devices")
