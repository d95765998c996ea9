"""Wheel, editable install and Debian package: each carries the schemas, the recipes, the units and what it needs."""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from dropbeard.cli.completion import SHELLS

ROOT = Path(__file__).resolve().parent.parent
STEP_TIMEOUT_S = 100
DEBIAN = ROOT / "systemd" / "debian"
DEB_TIMEOUT_S = 1_800
CLEAN_ROOT = os.environ.get("DROPBEARD_CLEAN_ROOT")
LINKED = {"schemas": "schemas", "engines": "engines", "systemd": "units"}

LIST_RESOURCES = """
import importlib.resources, json, dropbeard
def names(folder, prefix):
    for entry in folder.iterdir():
        if entry.name == "__pycache__" or entry.name.startswith("."):
            continue
        if entry.is_dir():
            yield from names(entry, f"{prefix}/{entry.name}")
        else:
            yield f"{prefix}/{entry.name}"
package = importlib.resources.files("dropbeard")
found = [name for folder in ("schemas", "engines", "units") for name in names(package / folder, folder)]
print(json.dumps({"file": dropbeard.__file__, "resources": sorted(found)}))
"""

pytestmark = [pytest.mark.system, pytest.mark.slow]


def run(*command: str | Path, cwd: Path, timeout_s: float = STEP_TIMEOUT_S) -> str:
    """Run one build step; its output is shown when it fails."""
    done = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def tracked_names() -> list[str]:
    """Files of the checkout as git knows them: what lies around and was never added does not count."""
    names = run("git", "ls-files", "-z", cwd=ROOT).split("\0")
    return [name for name in names if name and ((ROOT / name).is_symlink() or (ROOT / name).exists())]


def tracked_resources() -> list[str]:
    """The resources that any installation must offer; a dot file is for git alone, debian/ for who builds a package."""
    names = [name for name in tracked_names() if not name.startswith("systemd/debian/")]
    split = [name.partition("/") for name in names if not Path(name).name.startswith(".")]
    return sorted(f"{LINKED[folder]}/{rest}" for folder, _, rest in split if folder in LINKED)


def empty_environment(folder: Path) -> Path:
    """A virtual environment without dropbeard that sees our dependencies, so nothing is downloaded."""
    run(sys.executable, "-m", "venv", "--without-pip", folder, cwd=folder.parent)
    site_packages = next(folder.glob("lib/python3*/site-packages"))
    # A .pth adds one directory and does not read the .pth files in it: our own editable install stays unseen.
    (site_packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    return folder / "bin"


def install(binaries: Path, *what: str | Path) -> None:
    """Install into the environment of ``binaries`` without any download."""
    pip: list[str | Path] = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        binaries / "python",
        "install",
        "--quiet",
        "--no-index",
    ]
    run(*pip, "--no-deps", "--no-build-isolation", *what, cwd=binaries)


def listed(binaries: Path) -> dict[str, object]:
    """Where an installed dropbeard lies and which resources it offers."""
    found: dict[str, object] = json.loads(run(binaries / "python", "-I", "-c", LIST_RESOURCES, cwd=binaries))
    return found


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the tracked files, links kept as links, so that building leaves nothing in the real one."""
    copy = tmp_path_factory.mktemp("checkout")
    for name in tracked_names():
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, copy / name, follow_symlinks=False)
    return copy


@pytest.fixture(scope="module")
def distributions(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sdist, and the wheel that was built from it."""
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, checkout, cwd=folder)
    return folder


@pytest.fixture(scope="module")
def wheel_environment(distributions: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of an environment that holds the wheel."""
    binaries = empty_environment(tmp_path_factory.mktemp("wheel") / "venv")
    install(binaries, next(distributions.glob("*.whl")))
    return binaries


def test_the_wheel_offers_every_schema_recipe_and_unit(wheel_environment: Path) -> None:
    found = listed(wheel_environment)
    assert str(found["file"]).startswith(str(wheel_environment.parent))
    assert found["resources"] == tracked_resources()


def test_the_resources_include_schemas_and_manifests() -> None:
    resources = tracked_resources()
    assert [name for name in resources if name.startswith("schemas/") and name.endswith(".capnp")]
    assert [name for name in resources if name.startswith("engines/") and name.endswith("/manifest.toml")]


def test_an_editable_install_offers_the_same(checkout: Path, tmp_path: Path) -> None:
    binaries = empty_environment(tmp_path / "venv")
    install(binaries, "--editable", checkout)
    found = listed(binaries)
    assert str(found["file"]).startswith(str(checkout))
    resources = found["resources"]
    assert isinstance(resources, list)
    assert [name for name in resources if not name.startswith("units/debian/")] == tracked_resources()


def test_the_installed_command_answers(wheel_environment: Path) -> None:
    assert "Usage" in run(wheel_environment / "dropbeard", "--help", cwd=wheel_environment)


def test_the_wheel_brings_manual_pages_completions_and_the_web_page(wheel_environment: Path) -> None:
    share = wheel_environment.parent / "share"
    pages = {path.name for path in (share / "man" / "man1").iterdir()}
    assert {"dropbeard.1", "dropbeard-web.1", "dropbeard-ledger-verify.1"} <= pages
    for place in SHELLS.values():
        assert "_DROPBEARD_COMPLETE" in (share / place).read_text()
    package = next(wheel_environment.parent.glob("lib/python3*/site-packages/dropbeard"))
    for folder in ("web/static", "web/templates", "verification/browser"):
        of_checkout = {path.name for path in (ROOT / "dropbeard" / folder).iterdir() if path.is_file()}
        assert of_checkout == {path.name for path in (package / folder).iterdir() if path.is_file()}


def needed(name: str, extra: str) -> set[str]:
    """Names of all packages that an installed one needs, as package indexes spell them."""
    found: set[tuple[str, str]] = set()
    waiting = [(name, extra)]
    while waiting:
        name, extra = waiting.pop()
        for requirement in map(Requirement, importlib.metadata.requires(name) or []):
            if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
                below = {(canonicalize_name(requirement.name), one) for one in requirement.extras or {""}} - found
                waiting += sorted(below)
                found |= below
    return {name for name, _ in found}


def test_the_debian_package_pins_all_that_it_needs() -> None:
    lines = (DEBIAN / "pins.txt").read_text().splitlines()
    pins = {line.partition("==")[0] for line in lines if not line.startswith("#")}
    assert all(re.fullmatch(r"[a-z0-9-]+==[0-9][0-9.]*", line) for line in lines if not line.startswith("#"))
    assert pins == (needed("dropbeard", "imagenet") | needed("dropbeard", "gateway")) - {"dropbeard"}


@pytest.mark.parametrize("script", ["build", "smoke", "postinst", "prerm", "postrm"])
def test_a_script_of_the_debian_package_is_one(script: str) -> None:
    path = DEBIAN / script
    assert os.access(path, os.X_OK)
    run(*(path.read_text().splitlines()[0].removeprefix("#!").split()), "-n", path, cwd=ROOT)


@pytest.mark.skipif(CLEAN_ROOT is None, reason="$DROPBEARD_CLEAN_ROOT names no clean Debian root (systemd/README.md)")
@pytest.mark.timeout(DEB_TIMEOUT_S)
def test_the_debian_package_works_in_a_clean_root_and_is_built_twice_the_same(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        run(DEBIAN / "build", tmp_path / folder, cwd=ROOT, timeout_s=DEB_TIMEOUT_S)
    one, two = sorted(tmp_path.glob("*/*.deb"))
    assert one.read_bytes() == two.read_bytes()
    run(DEBIAN / "smoke", one, str(CLEAN_ROOT), cwd=ROOT, timeout_s=DEB_TIMEOUT_S)


def test_the_wheel_carries_license_and_types_but_no_tests(distributions: Path) -> None:
    with zipfile.ZipFile(next(distributions.glob("*.whl"))) as wheel:
        names = wheel.namelist()
    assert "dropbeard/py.typed" in names
    assert [name for name in names if name.endswith("/LICENSE")]
    assert {name.partition("/")[0].partition("-")[0] for name in names} == {"dropbeard"}


def test_the_sdist_holds_files_where_the_checkout_holds_links(distributions: Path) -> None:
    with tarfile.open(next(distributions.glob("*.tar.gz"))) as sdist:
        members = sdist.getmembers()
    assert not [member.name for member in members if member.issym() or member.islnk()]
    inside = {member.name.partition("/")[2] for member in members}
    assert {f"dropbeard/{name}" for name in tracked_resources()} <= inside


def test_the_installed_command_writes_the_verifiers_to_take_along(wheel_environment: Path) -> None:
    assert "DropbeardVerifier" in run(wheel_environment / "dropbeard", "verify", "--html", cwd=wheel_environment)
    assert "def root_of(" in run(wheel_environment / "dropbeard", "verify", "--portable", cwd=wheel_environment)
    assert (wheel_environment / "dropbeard-verify").is_file()
