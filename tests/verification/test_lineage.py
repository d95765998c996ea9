"""Certificates of later epochs, checked from the genesis on (rule 8.4)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dropbeard.errors import CertificateInvalid, LedgerInvalid
from dropbeard.types.succession import Succession
from dropbeard.verification.certificate import verify
from dropbeard.verification.lineage import lineage_of
from tests.verification.epochs import CERTIFICATES, LINEAGE, SUCCESSIONS, WORLD


def test_the_schedule_has_certificates_of_three_epochs() -> None:
    assert {certificate.epoch for certificate in CERTIFICATES} == {0, 1, 2}
    assert [group.epoch for group in LINEAGE.groups] == [0, 1, 2]


def test_each_certificate_verifies_with_the_keys_of_its_own_epoch() -> None:
    for certificate in CERTIFICATES:
        assert LINEAGE.verify(certificate).request == certificate.request().id
        for group in LINEAGE.groups:
            if group.epoch != certificate.epoch:
                with pytest.raises(CertificateInvalid, match="epoch"):
                    verify(certificate, group)


def test_a_certificate_of_an_epoch_that_nobody_proved_is_refused() -> None:
    latest = max(CERTIFICATES, key=lambda certificate: certificate.epoch)
    with pytest.raises(CertificateInvalid, match="only epochs 0 to 1 are known here"):
        lineage_of(WORLD.keys.group, SUCCESSIONS[:1]).verify(latest)


def test_a_header_above_the_last_height_of_its_epoch_is_refused() -> None:
    early = next(certificate for certificate in CERTIFICATES if certificate.epoch == 0)
    ended = replace(LINEAGE, lasts=(type(LINEAGE.lasts[0])(early.headers[0].height - 1), *LINEAGE.lasts[1:]))
    with pytest.raises(CertificateInvalid, match=r"step 3 .*epoch 0 ended with height"):
        ended.verify(early)


def spoiled(how: str) -> list[Succession]:
    first, second = SUCCESSIONS
    if how == "gap":
        return [second]
    if how == "signature":
        return [replace(first, signatures=first.signatures[1:]), second]
    if how == "configuration":
        return [replace(first, configuration=second.configuration), second]
    return [replace(first, signatures=tuple((owner, second.signatures[0][1]) for owner, _ in first.signatures))]


@pytest.mark.parametrize("how", ["gap", "signature", "configuration", "forged"])
def test_a_succession_that_does_not_check_leads_nowhere(how: str) -> None:
    with pytest.raises(LedgerInvalid, match="what ended epoch"):
        lineage_of(WORLD.keys.group, spoiled(how))
