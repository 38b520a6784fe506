"""Known failures of trainings on few cases, told from labels and validation logits alone."""

import numpy as np
from numpy.typing import NDArray

from raddiag_hf.data.case_splits import CaseSplits
from raddiag_hf.metrics.calibration import fit_temperature
from raddiag_hf.metrics.class_metrics import evaluate_predictions
from raddiag_hf.vocabulary import Split

FEW_CASES, FEW_POSITIVES = 50, 10
"""Training cases, and those with a label, below which a result is a matter of luck."""
LEAST_SPREAD = 1e-3
"""Standard deviation between cases, of logits, below which a model does not look at its input."""
CHANCE_AUC = 0.6
"""Mean AUC up to which a model that is no better than prevalence ranks no better either."""
LEAST_GAIN = 0.02
"""Share of the loss of prevalence that a model has to save to have learnt anything."""
MOST_NAMED = 5


def find_failures(data: CaseSplits, logits: NDArray[np.floating] | None) -> list[str]:
    """Return what is wrong with a trained model, or cannot be known of it, and what to change.

    Args:
        data: What it was trained on.
        logits: Of the validation cases, ``(cases, labels)``; None without any.
    """
    found = []
    names, counts = data.label_set.names, np.array(data.label_set.train_counts)
    known = np.array(data[Split.TRAIN].known_counts)
    if (cases := len(data[Split.TRAIN])) < FEW_CASES:
        found.append(
            f"there are {cases} training cases, fewer than {FEW_CASES}: another split would give "
            "another model and other numbers; collect more, or start from a model or backbone"
        )
    if (absent := np.flatnonzero(counts == 0)).size:
        found.append(
            f"no training case has {_list(names, absent)}: what is said of them means nothing"
        )
    if (rare := np.flatnonzero((counts > 0) & (counts < FEW_POSITIVES))).size:
        found.append(
            f"fewer than {FEW_POSITIVES} training cases have {_list(names, rare)}: do not rely on "
            "what is said of them; collect more, or merge labels"
        )
    if logits is None:
        return found
    labels = data[Split.VALIDATION].labels
    if (unseen := np.flatnonzero((counts > 0) & (np.nansum(labels, axis=0) == 0))).size:
        found.append(
            f"no validation case has {_list(names, unseen)}: nothing could be chosen for them; set "
            "more cases aside"
        )
    if len(logits) > 1 and logits.std(0).max() < LEAST_SPREAD:
        found.append(
            "the model gives all validation cases the same answer, whatever they show: lower the "
            "learning rate, train batch norms if they are frozen, or choose another start"
        )
    elif _is_no_better_than_prevalence(labels, logits, counts, known):
        found.append(
            "on validation the model is no better than the frequency of each label: train for more "
            "epochs, change the learning rate or the start, or check the labels"
        )
    return found


def prevalence_loss(
    labels: NDArray[np.floating],
    counts: NDArray[np.integer],
    known: NDArray[np.integer],
    *,
    exclusive: bool = False,
) -> float:
    """Return the cross-entropy on ``labels`` of saying each label's smoothed training frequency.

    Args:
        labels: 0 or 1, NaN where unknown, ``(cases, labels)``.
        counts: Training cases of each label.
        known: Training cases of which each label is known.
        exclusive: Every case has exactly one label: the cross-entropy of one answer, not of each.
    """
    if exclusive:
        return float(-(labels * np.log((counts + 0.5) / (counts + 0.5).sum())).sum(1).mean())
    share = (counts + 0.5) / (known + 1)
    return float(-np.nanmean(labels * np.log(share) + (1 - labels) * np.log1p(-share)))


def _is_no_better_than_prevalence(
    labels: NDArray[np.floating],
    logits: NDArray[np.floating],
    counts: NDArray[np.integer],
    known: NDArray[np.integer],
) -> bool:
    """Compare at the best temperature: boldness alone is mended by calibration."""
    if len(np.unique(labels[~np.isnan(labels)])) < 2:
        return False
    bound = (1 - LEAST_GAIN) * prevalence_loss(labels, counts, known)
    if fit_temperature(labels, logits).loss_after < bound:
        return False
    auc = evaluate_predictions(labels, logits).groups["all"].values["auc"]
    return not auc > CHANCE_AUC


def _list(names: tuple[str, ...], columns: NDArray[np.intp]) -> str:
    shown = ", ".join(names[column] for column in columns[:MOST_NAMED])
    more = len(columns) - MOST_NAMED
    return f"{shown} and {more} other labels" if more > 0 else shown
