"""Aggregates: pure functions of verified certificates, in whole numbers, the same on every machine.

Each says in its module what holds when f of the owners lie; docs/aggregation.md says which is for what. Plurality lives
below, in ``dropbeard.verification``: it is what every certificate is shown by.
"""

from dropbeard.aggregate.agreement import agreement, cosine
from dropbeard.aggregate.boxes import FusedBox, fuse_boxes, fused_boxes
from dropbeard.aggregate.conformal import Calibration, ConformalSet, calibrate, conformal_set
from dropbeard.aggregate.middles import Middle, coordinate_median, trimmed_mean
from dropbeard.aggregate.outcome import Outcome, outcome
from dropbeard.aggregate.votes import Record, WeightedDecision, history_of, weighted_vote
from dropbeard.verification.aggregate import Assurance, Decision, plurality

__all__ = [
    "Assurance",
    "Calibration",
    "ConformalSet",
    "Decision",
    "FusedBox",
    "Middle",
    "Outcome",
    "Record",
    "WeightedDecision",
    "agreement",
    "calibrate",
    "conformal_set",
    "coordinate_median",
    "cosine",
    "fuse_boxes",
    "fused_boxes",
    "history_of",
    "outcome",
    "plurality",
    "trimmed_mean",
    "weighted_vote",
]
