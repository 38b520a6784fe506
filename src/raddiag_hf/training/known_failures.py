"""Known failures of trainings on few cases, told from labels and validation logits alone."""

import numpy as np
from numpy.typing import NDArray

from raddiag_hf.data.case_splits import CaseSplits
from raddiag_hf.evaluation.report.tables import count
from raddiag_hf.metrics.calibration import fit_temperature
from raddiag_hf.metrics.class_metrics import evaluate_predictions
from raddiag_hf.training.finetune_settings import PROBES
from raddiag_hf.vocabulary import Split

FEW_CASES, FEW_POSITIVES = 50, 10
"""Training cases, and those with a label, below which a result is a matter of luck."""
LEAST_SPREAD = 1e-3
"""Standard deviation between cases, of logits, below which a model does not look at its input."""
CHANCE_AUC = 0.6
"""Mean AUC up to which a model that is no better than prevalence ranks no better either."""
LEAST_GAIN = 0.02
"""Share of the loss of prevalence that a model has to save to have learnt anything."""
LEAST_VALIDATION = 20
"""Validation cases below which their loss tells nothing of a training that is under way."""
MOST_NAMED = 5


def find_data_failures(data: CaseSplits, *, is_from_scratch: bool) -> list[str]:
    """Return what cases are too few for, and what to change: known before the training begins.

    Args:
        data: What is to be trained on. Probes that cross-validate over training and validation
            cases are fitted to the training cases alone, too.
        is_from_scratch: Whether random weights are trained.
    """
    found = []
    names, counts = data.label_set.names, np.array(data.label_set.train_counts)
    if (cases := len(data[Split.TRAIN])) < FEW_CASES:
        otherwise = ", or start from a model or backbone" if is_from_scratch else ""
        found.append(
            f"there {'is' if cases == 1 else 'are'} {count(cases, 'training case')}, fewer than "
            f"{FEW_CASES}: another split would give another model and other numbers; collect more"
            f"{otherwise}"
        )
    if (absent := np.flatnonzero(counts == 0)).size:
        found.append(
            f"no training case has {_list(names, absent)}: what is said of them means nothing"
        )
    has_no_negative = (counts > 0) & (counts == np.array(data[Split.TRAIN].known_counts))
    if (constant := np.flatnonzero(has_no_negative)).size:
        found.append(
            f"no training case is without {_list(names, constant)}: what is said of them means "
            "nothing; add cases without, or leave such labels out"
        )
    if (rare := np.flatnonzero((counts > 0) & (counts < FEW_POSITIVES) & ~has_no_negative)).size:
        found.append(
            f"fewer than {FEW_POSITIVES} training cases have {_list(names, rare)}: do not rely on "
            "what is said of them; collect more, or merge labels"
        )
    if Split.VALIDATION in data:
        positives = np.nansum(data[Split.VALIDATION].labels, axis=0)
        if (unseen := np.flatnonzero((counts > 0) & (positives == 0))).size:
            found.append(
                f"no validation case has {_list(names, unseen)}: nothing could be chosen for them; "
                "have more cases in validation"
            )
    return found


def find_model_failures(
    data: CaseSplits, logits: NDArray[np.floating], *, method: str, exclusive: bool = False
) -> list[str]:
    """Return what is wrong with a trained model, and what to change.

    Args:
        data: What it was trained on.
        logits: Of the validation cases, which it was not fitted to, ``(cases, labels)``.
        method: Of the `TrainingOrigin`; what there is to change depends on it.
        exclusive: The logits are log-odds of a softmax.
    """
    is_probe = method in PROBES
    labels, counts = data[Split.VALIDATION].labels, np.array(data.label_set.train_counts)
    known = np.array(data[Split.TRAIN].known_counts)
    if len(logits) > 1 and logits.std(0).max() < LEAST_SPREAD:
        told = "the model gives all validation cases the same answer, whatever they show"
        if not ((counts > 0) & (counts < known)).any():
            advice = "no label tells training cases apart; add cases with and without each"
            return [f"{told}: {advice}"]
        advice = (
            "look at some of the pixels, choose another start, or a method that adapts the encoder "
            "(lora, full)"
            if is_probe
            else "lower the learning rate, train batch norms if they are frozen, or choose another "
            "start"
        )
        return [f"{told}: {advice}"]
    if _is_no_better_than_prevalence(labels, logits, counts, known, exclusive):
        advice = (
            "choose another start, or a method that adapts the encoder (lora, full), or check the "
            "labels"
            if is_probe
            else "train for more epochs, change the learning rate or the start, or check the labels"
        )
        return [f"on validation the model is no better than the frequency of each label: {advice}"]
    return []


def prevalence_loss(
    labels: NDArray[np.floating],
    counts: NDArray[np.number],
    known: NDArray[np.integer],
    *,
    exclusive: bool = False,
) -> float:
    """Return the cross-entropy on ``labels`` of saying each label's smoothed frequency.

    Args:
        labels: 0 or 1, NaN where unknown, ``(cases, labels)``.
        counts: Cases of each label by which it is frequent, such as training cases.
        known: Such cases of which each label is known.
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
    exclusive: bool,
) -> bool:
    """Compare at the best temperature: boldness alone is mended by calibration.

    The frequencies are those of the training cases or of the validation cases, whichever suit these
    better: noise beats the former where splits differ.
    """
    positives, seen = np.nansum(labels, axis=0), np.count_nonzero(~np.isnan(labels), axis=0)
    if not 0 < positives.sum() < seen.sum():
        return False
    of_training = prevalence_loss(labels, counts, known, exclusive=exclusive)
    of_validation = prevalence_loss(labels, positives, seen, exclusive=exclusive)
    bound = (1 - LEAST_GAIN) * min(of_training, of_validation)
    if fit_temperature(labels, logits, exclusive=exclusive).loss_after < bound:
        return False
    auc = evaluate_predictions(labels, logits).groups["all"].values["auc"]
    return not auc > CHANCE_AUC


def _list(names: tuple[str, ...], columns: NDArray[np.intp]) -> str:
    shown = ", ".join(names[column] for column in columns[:MOST_NAMED])
    more = len(columns) - MOST_NAMED
    return f"{shown} and {more} other labels" if more > 0 else shown
