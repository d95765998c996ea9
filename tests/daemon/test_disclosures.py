"""What a node keeps of the certificates that it is given (rule 8.2)."""

from __future__ import annotations

from pathlib import Path

import pytest

from dropbeard.daemon import disclosures
from dropbeard.daemon.disclosures import CHECKED_PER_S_MAX, DisclosureDesk
from dropbeard.types.parameters import SECOND
from tests.agreement.pieces import GROUP, replica
from tests.verification.building import Plan, build, world
from tests.verification.epochs import CERTIFICATES, SUCCESSIONS
from tests.verification.epochs import WORLD as EPOCHS

CERTIFICATE = build(world(), Plan())


def desk_in(directory: Path) -> DisclosureDesk:
    return DisclosureDesk(directory, world().group, replica(0))


def kept(directory: Path) -> list[bytes]:
    return [path.read_bytes() for path in sorted((directory / "disclosed").glob("*"))]


def test_a_valid_certificate_is_kept_once(tmp_path: Path) -> None:
    desk = desk_in(tmp_path)
    assert desk.take(CERTIFICATE.encode(), 0).kept
    told = desk.take(CERTIFICATE.encode(), 0)
    assert (told.kept, "already" in told.detail) == (True, True)
    assert kept(tmp_path) == [CERTIFICATE.encode()]


@pytest.mark.parametrize("data", [b"", CERTIFICATE.encode()[:-1], CERTIFICATE.encode()[:-1] + b"\0"])
def test_what_does_not_verify_is_not_kept(tmp_path: Path, data: bytes) -> None:
    told = desk_in(tmp_path).take(data, 0)
    assert not told.kept
    assert told.detail
    assert kept(tmp_path) == []


def test_a_certificate_of_another_group_is_not_kept(tmp_path: Path) -> None:
    told = DisclosureDesk(tmp_path, GROUP, replica(0)).take(CERTIFICATE.encode(), 0)
    assert (told.kept, "group" in told.detail) == (False, True)


def test_certificates_of_epochs_that_the_replica_has_passed_are_kept(tmp_path: Path) -> None:
    state = replica(0)
    desk = DisclosureDesk(tmp_path, EPOCHS.keys.group, state)
    later = next(one for one in CERTIFICATES if one.epoch > 0)
    assert not desk.take(later.encode(), 0).kept
    state.successions.update({given.epoch: given for given in SUCCESSIONS})
    assert desk.take(later.encode(), 0).kept


def test_no_more_are_verified_in_a_second_than_turns_can_wait_for(tmp_path: Path) -> None:
    desk = desk_in(tmp_path)
    told = [desk.take(b"", 5 * SECOND) for _ in range(CHECKED_PER_S_MAX + 1)]
    assert ["in a second" in one.detail for one in told] == [False] * CHECKED_PER_S_MAX + [True]
    assert desk.take(CERTIFICATE.encode(), 6 * SECOND).kept


def test_a_node_keeps_so_many_and_no_more_also_over_a_restart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disclosures, "KEPT_MAX", 1)
    (tmp_path / "disclosed").mkdir()
    (tmp_path / "disclosed" / "earlier.dbcert").touch()
    told = desk_in(tmp_path).take(CERTIFICATE.encode(), 0)
    assert (told.kept, "keeps 1" in told.detail) == (False, True)


def test_a_folder_that_cannot_be_made_loses_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "disclosed").write_text("in the way")
    told = desk_in(tmp_path).take(CERTIFICATE.encode(), 0)
    assert (told.kept, "ask its owner" in told.detail) == (False, True)
