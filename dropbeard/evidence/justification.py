"""When a header may follow its parent: the one predicate of voters (rules 3.2, 3.3) and of judges (rule 6.2).

A voter that checks less than a judge would be convicted while honest, so both ask here.
"""

from __future__ import annotations

from collections.abc import Mapping

from dropbeard.types.blocks import Header, Justification, Page, QuorumCertificate, page_ranges
from dropbeard.types.checking import SignatureChecker
from dropbeard.types.group import Group
from dropbeard.types.ids import GENESIS_VIEW, Digest
from dropbeard.types.merkle import EMPTY_ROOT
from dropbeard.types.statements import Finalize, Notarize, Nullify
from dropbeard.types.succession import Succession, succession_form_fault

AnyCertificate = QuorumCertificate[Notarize] | QuorumCertificate[Nullify] | QuorumCertificate[Finalize]


def certificate_checks(group: Group, certificate: AnyCertificate, checker: SignatureChecker) -> bool:
    """At least q distinct members signed this vote of this group and epoch."""
    vote, rows = certificate.vote, certificate.signatures
    signers = [signer for signer, _ in rows]
    if vote.group != group.id or vote.epoch != group.epoch or len(rows) < group.quorum:
        return False
    if any(group.owner(signer) is None for signer in signers) or signers != sorted(dict.fromkeys(signers)):
        return False
    statement = vote.encode()
    return all(checker.check(signer, statement, signature) for signer, signature in rows)


def succession_fault(group: Group, given: Succession, checker: SignatureChecker) -> str | None:
    """Why this does not end ``group``'s epoch; None when it does (rule 8.4)."""
    fault = succession_form_fault(group, given)
    if fault is None and not certificate_checks(group, given.finalization, checker):
        return "no quorum of its owners made it final"
    return fault


def page_checks(group: Group, page: Page, checker: SignatureChecker) -> bool:
    """Does the page hold nullifications, each signed by a quorum?"""
    rows = page.nullifications
    return bool(rows) and all(certificate_checks(group, certificate, checker) for certificate in rows)


def static_fault(group: Group, root: Header, header: Header, justification: Justification) -> str | None:
    """What is wrong with a header and its justification by their bytes alone, or None (rules 3.1 to 3.3).

    ``root``: the header that the epoch starts from: the genesis', or what the epoch before leaves (rule 8.4).

    ``justification`` has the digest that the header commits to; its signatures are checked elsewhere.
    """
    notarization = justification.notarization
    if header.group != group.id or header.epoch != group.epoch or header.view <= header.parent_view or header.view < 0:
        return "it is of another group or epoch, or its view is not above its parent's"
    if tuple(tip.owner for tip in header.cut) != group.members:
        return "its cut does not name each lane once"
    if header.parent_view == GENESIS_VIEW:
        if notarization is not None or header.parent != root.digest or header.height != root.height + 1:
            return "it claims the first block of the epoch as parent and is not its child"
    elif notarization is None or (notarization.vote.header, notarization.vote.view) != (
        header.parent,
        header.parent_view,
    ):
        return "its justification does not notarize its parent"
    if len(justification.pages) != len(page_ranges(header.parent_view, header.view)):
        return "its pages do not cover the views it skips"
    return None


def closes(header: Header, parent: Header) -> bool:
    """Is it a closing block over ``parent``: no height of its own, nothing ordered, nothing changed? (rule 8.4)"""
    same = (header.height, header.cut, header.time) == (parent.height, parent.cut, parent.time)
    return same and header.is_closing and header.entries_root == EMPTY_ROOT


def cover_fault(
    header: Header, justification: Justification, parent: Header, pages: Mapping[Digest, Page]
) -> str | None:
    """With parent and every page in hand: what is wrong with why ``header`` extends ``parent``, or None."""
    if header.parent_view != parent.view:
        return "its parent view is not its parent's"
    if header.height != parent.height + 1 and not closes(header, parent):
        return "its height is not its parent's"
    ranges = page_ranges(header.parent_view, header.view)
    for (first, last), digest in zip(ranges, justification.pages, strict=True):
        views = [certificate.vote.view for certificate in pages[digest].nullifications]
        if views != list(range(first, last + 1)):
            return f"its page for views {first} to {last} covers others"
    return None
