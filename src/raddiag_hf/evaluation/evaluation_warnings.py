"""What a reader of an evaluation should know before believing its numbers."""

from raddiag_hf.data.case_splits import CaseSplit
from raddiag_hf.metrics.bootstrap import BootstrapSettings
from raddiag_hf.metrics.decision_rule import DecisionRule

FEWEST_RESAMPLES = 100
"""Intervals from fewer resamples are told to be rough."""


def evaluation_warnings(
    cases: CaseSplit, calibration: CaseSplit | None, rule: DecisionRule
) -> list[str]:
    """Return what is to be said of cases and thresholds before the numbers are believed.

    Args:
        cases: What the model is evaluated on.
        calibration: What the rule was chosen on; None where it is stored with the model.
        rule: Temperature and thresholds.
    """
    found = []
    if rule.thresholds is None:
        found.append(
            "The model carries no thresholds, so F1, MCC and accuracy are left out; choose them on "
            "the validation cases."
        )
    if not any(cases.label_set.train_counts):
        found.append(
            "The data set does not say how many training cases its labels have, so there is no "
            "head, body and tail."
        )
    if calibration is not None:
        shared = {*cases.patient_ids} & {*calibration.patient_ids}
        if shared:
            found.append(
                f"{len(shared)} patients have cases in the {cases.split} and in the "
                f"{calibration.split} split, so thresholds were chosen on patients that they are "
                "evaluated on."
            )
    elif rule.source is not None and f"{cases.split} case" in rule.source:
        found.append(
            f"The model's thresholds were chosen on {cases.split} cases: if they are these, F1, "
            "MCC and calibration look better than on cases that nothing was chosen on."
        )
    return found


def resample_warnings(bootstrap: BootstrapSettings | None) -> list[str]:
    """Return what is to be said where the bootstrap draws too seldom."""
    if bootstrap is None or bootstrap.resamples >= FEWEST_RESAMPLES:
        return []
    return [
        f"Intervals from only {bootstrap.resamples} resamples are rough: their ends take "
        f"{FEWEST_RESAMPLES} at least, and better 1000."
    ]
