"""From a genesis to the group of a later epoch, by the changes that its quorums made final (rule 8.4). Offline."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from dropbeard.errors import CertificateInvalid, LedgerInvalid
from dropbeard.evidence.justification import succession_fault
from dropbeard.signing.signer import NodeKeyChecker
from dropbeard.types.blocks import Header
from dropbeard.types.certificates import Certificate
from dropbeard.types.group import Group
from dropbeard.types.ids import Height
from dropbeard.types.membership import following_group
from dropbeard.types.succession import Succession, root_header
from dropbeard.types.task import Input
from dropbeard.verification.certificate import EPOCH_STEP, Verified, check_before_epoch, verify


@dataclass(frozen=True)
class Lineage:
    """``groups`` by epoch, from the genesis on; ``roots``: the header that each of them but the first starts from, and
    ``lasts``: the last height of each of them but the last one.
    """

    groups: tuple[Group, ...]
    roots: tuple[Header, ...]
    lasts: tuple[Height, ...]

    def group(self, epoch: int) -> Group | None:
        """Whose keys count in an epoch; None of one that is not known."""
        return self.groups[epoch] if epoch < len(self.groups) else None

    def root(self, epoch: int) -> Header | None:
        """The header that a known epoch starts from; None of the first, which starts from the genesis'."""
        return self.roots[epoch - 1] if epoch else None

    def unknown(self, epoch: int) -> str:
        """What is to be said of an epoch that is not known."""
        return f"is of epoch {epoch}, and only epochs 0 to {len(self.groups) - 1} are known here (--successions)"

    def followed_by(self, given: Succession) -> Lineage:
        """This lineage and the epoch after its last one; LedgerInvalid when ``given`` does not lead there."""
        group = self.groups[-1]
        fault = succession_fault(group, given, NodeKeyChecker(group))
        if fault is not None:
            raise LedgerInvalid(f"what ended epoch {given.epoch} does not check: {fault}")
        made = following_group(group, given.configuration)
        root = root_header(made, given.last, given.configuration)
        return Lineage((*self.groups, made), (*self.roots, root), (*self.lasts, given.last.height))

    def verify(self, certificate: Certificate, given: Input | None = None) -> Verified:
        """Check a certificate with the keys of its own epoch; CertificateInvalid names the first step that fails."""
        check_before_epoch(certificate, self.groups[0])
        group = self.group(certificate.epoch)
        if group is None:
            raise CertificateInvalid(*EPOCH_STEP, f"it {self.unknown(certificate.epoch)}")
        # Keys of an epoch that is over may have been sold: what they sign above its last height is nothing.
        ended = certificate.epoch < len(self.lasts)
        if ended and any(header.height > self.lasts[certificate.epoch] for header in certificate.headers):
            last = self.lasts[certificate.epoch]
            raise CertificateInvalid(*EPOCH_STEP, f"epoch {certificate.epoch} ended with height {last}")
        return verify(certificate, group, given)


def lineage_of(genesis: Group, successions: Iterable[Succession]) -> Lineage:
    """Follow the successions from the genesis; LedgerInvalid names the first that does not check."""
    lineage = Lineage((genesis,), (), ())
    for given in sorted(successions, key=lambda given: given.epoch):
        if given.epoch >= lineage.groups[-1].epoch:
            lineage = lineage.followed_by(given)
    return lineage
