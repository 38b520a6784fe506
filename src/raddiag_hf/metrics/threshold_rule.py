"""How thresholds are chosen on validation cases, by name."""

from enum import StrEnum

MIN_POSITIVES = 10
"""Validation positives that a class needs for a threshold of its own, by `F1_SHARED`."""


class ThresholdRule(StrEnum):
    """Which classes have a threshold of their own; all are chosen by the highest F1."""

    F1_SHARED = "f1-shared"
    """Classes with enough positives; the others share one, for a threshold that is read off one or
    two cases is little more than chance."""
    F1 = "f1"
    """Every class with a positive, however few: the paper's rule (section 4.3.4)."""
