"""An owner's agreement with the group, from certificates that clients disclosed."""

from __future__ import annotations

from pathlib import Path

import pytest

from dropbeard.audit.disclosed import Agreement, agreement_of
from dropbeard.types.entries import EntryKind
from tests.verification.building import Plan, build, output, world
from tests.verification.epochs import CERTIFICATES, SUCCESSIONS, WORLD


def save(directory: Path, name: str, plan: Plan, n: int = 4) -> None:
    (directory / f"{name}.dbcert").write_bytes(build(world(n), plan).encode())


def test_without_a_certificate_nothing_is_known(tmp_path: Path) -> None:
    for directory in (tmp_path, tmp_path / "never made"):
        found = agreement_of("owner 0", world(4).group, directory)
        assert found == Agreement(0, 0, 0, 0)
        assert found.rate is None


@pytest.mark.parametrize(("owner", "agreed"), [("owner 0", 1), ("owner 3", 0)])
def test_a_certificate_that_decides_says_who_agreed(tmp_path: Path, owner: str, agreed: int) -> None:
    save(tmp_path, "a", Plan(base=(0, 1, 2, 3), votes={3: output(7)}))
    assert agreement_of(owner, world(4).group, tmp_path) == Agreement(1, 1, agreed, 0)


def test_what_decides_nothing_or_lacks_the_owner_counts_for_nothing(tmp_path: Path) -> None:
    save(tmp_path, "tie", Plan(base=(0, 1, 2, 3), votes={2: output(7), 3: output(7)}))
    assert agreement_of("owner 0", world(4).group, tmp_path) == Agreement(1, 0, 0, 0)
    (tmp_path / "tie.dbcert").unlink()
    save(tmp_path, "three", Plan(base=(0, 1, 2)))
    assert agreement_of("owner 3", world(4).group, tmp_path) == Agreement(1, 0, 0, 0)


def test_copies_count_once_and_what_does_not_verify_is_refused(tmp_path: Path) -> None:
    for name in ("a", "copy"):
        save(tmp_path, name, Plan())
    save(tmp_path, "of another group", Plan(base=(0, 1, 2, 3, 4)), n=7)
    (tmp_path / "garbage.dbcert").write_bytes(b"no certificate")
    (tmp_path / "a directory.dbcert").mkdir()
    (tmp_path / "notes.txt").write_text("not looked at")
    assert agreement_of("owner 0", world(4).group, tmp_path) == Agreement(1, 1, 1, 3)


def test_certificates_of_later_epochs_count_once_it_is_known_what_ended_the_ones_before(tmp_path: Path) -> None:
    agreed = [certificate for certificate in CERTIFICATES if certificate.kind is EntryKind.AGREED]
    for number, certificate in enumerate(agreed):
        (tmp_path / f"{number}.dbcert").write_bytes(certificate.encode())
    early = sum(certificate.epoch == 0 for certificate in agreed)
    genesis, name = WORLD.keys.group, WORLD.keys.group.owners[1].name
    assert 0 < early < len(agreed)
    assert agreement_of(name, genesis, tmp_path).refused == len(agreed) - early
    found = agreement_of(name, genesis, tmp_path, SUCCESSIONS)
    assert (found.certificates, found.refused) == (len(agreed), 0)
