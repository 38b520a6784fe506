"""Metrics of the ablation in resamples of cases and of seeds, and the differences between variants.

All variants and seeds are evaluated on the same resamples of the same patients, so that every
difference is paired.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

from raddiag_hf.metrics import BootstrapSettings, sampled_metrics
from raddiag_hf.metrics.bootstrap import interval
from raddiag_hf.metrics.class_metrics import metric_settings

CONFIDENCE = 0.95
Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Sampled:
    """A metric of one run: on the cases as they are, and in every resample of them."""

    value: float
    resamples: Array


@dataclass(frozen=True, eq=False)
class EvaluatedCases:
    """What logits are compared with; arrays of one row per case.

    Attributes:
        labels: Shape ``(cases, labels)``.
        patient_ids: Patient of each case.
        among: By the name of a further AUC, the cases that each label is ranked among, shape
            ``(cases, labels)``.
    """

    labels: NDArray[np.bool_]
    patient_ids: NDArray[np.str_]
    among: Mapping[str, NDArray[np.bool_]]


def sample_metrics(
    cases: EvaluatedCases,
    logits: NDArray[np.float32],
    groups: Mapping[str, NDArray[np.intp]],
    thresholds: Array | None,
    num_resamples: int,
) -> dict[tuple[str, str], Sampled]:
    """Return every metric of every group, by (group, metric).

    Beside the metrics of `evaluate_predictions` there is the AUC of each label among cases of its
    own only, for every entry of ``cases.among``: what they share is worth nothing there.
    """
    settings = metric_settings(groups, logits.shape[1], (), thresholds)
    bootstrap = BootstrapSettings(num_resamples, patient_ids=cases.patient_ids.tolist())
    weights = list(bootstrap.weights(len(logits)))
    point = sampled_metrics.sample_once(cases.labels, logits, settings)
    samples = sampled_metrics.sample_metrics(cases.labels, logits, weights, num_resamples, settings)
    found = {
        (group, metric): Sampled(float(point.macro[group][metric][0]), samples.macro[group][metric])
        for group in groups
        for metric in settings.metric_names
    }
    for name, among in cases.among.items():
        values, resamples = _auc_among(cases.labels, logits, among, weights, num_resamples)
        for group, columns in groups.items():
            found[group, name] = Sampled(
                float(_mean_of_defined(values[columns])), _mean_of_defined(resamples[columns])
            )
    return found


def _auc_among(
    labels: NDArray[np.bool_],
    logits: NDArray[np.float32],
    among: NDArray[np.bool_],
    weights: Sequence[NDArray[np.float32]],
    num_resamples: int,
) -> tuple[Array, Array]:
    """Return the AUC of each label, and in each resample; NaN for labels that have none."""
    values = np.full(labels.shape[1], np.nan)
    resamples = np.full((labels.shape[1], num_resamples), np.nan)
    row_sets, set_of_label = np.unique(among, axis=1, return_inverse=True)
    for number, rows in enumerate(row_sets.T):
        if not rows.any():
            continue
        columns = np.flatnonzero(set_of_label.ravel() == number)
        here = (labels[rows][:, columns], logits[rows][:, columns])
        settings = metric_settings({}, len(columns), (), None)
        point = sampled_metrics.sample_once(*here, settings)
        drawn = [chunk[rows] for chunk in weights]
        samples = sampled_metrics.sample_metrics(*here, drawn, num_resamples, settings)
        values[columns[point.classes]] = point.per_class["auc"][:, 0]
        resamples[columns[samples.classes]] = samples.per_class["auc"]
    return values, resamples


def _mean_of_defined(of_labels: Array) -> Array:
    """Return the mean over the first axis without NaN; NaN where there is nothing else."""
    is_defined = ~np.isnan(of_labels)
    number = is_defined.sum(0)
    total = np.where(is_defined, of_labels, 0.0).sum(0)
    return np.asarray(total / np.where(number > 0, number, np.nan))


def difference(a: Sequence[Sampled], b: Sequence[Sampled]) -> list[Sampled]:
    """Return the paired differences of two variants, seed by seed and resample by resample."""
    return [
        Sampled(x.value - y.value, x.resamples - y.resamples) for x, y in zip(a, b, strict=True)
    ]


def summarise(runs: Sequence[Sampled], value_range: tuple[float, float]) -> dict[str, Any]:
    """Return the mean over seeds with its intervals.

    ``over_both`` is meant for another draw of patients and of seeds: a few seeds say little about
    how far seeds differ, so it has Student's t on Satterthwaite's degrees of freedom for the sum of
    both variances, and does not resample the seeds.

    Args:
        runs: One entry per seed: a metric, or a difference of two.
        value_range: Values that are possible; intervals are cut to it.

    Returns:
        ``mean``, ``per_seed``, and the intervals ``over_cases`` (patients resampled, seeds fixed),
        ``over_seeds`` (Student's t, cases fixed) and ``over_both``; the latter two are None for a
        single seed.
    """
    values = np.array([run.value for run in runs])
    mean = values.mean()
    over_cases = np.stack([run.resamples for run in runs]).mean(0)
    found = interval(
        over_cases,
        np.asarray(mean),
        confidence=CONFIDENCE,
        method="centred",
        value_range=value_range,
    )
    over_seeds = over_both = None
    if len(runs) > 1:
        of_seeds, of_cases = values.var(ddof=1) / len(runs), np.nanvar(over_cases, ddof=1)
        over_seeds = _t_interval(mean, of_seeds, 0.0, len(runs), value_range)
        over_both = _t_interval(mean, of_seeds, of_cases, len(runs), value_range)
    return {
        "mean": _rounded(mean),
        "per_seed": [_rounded(value) for value in values],
        "over_cases": [_rounded(found.low), _rounded(found.high)],
        "over_seeds": over_seeds,
        "over_both": over_both,
    }


def _t_interval(
    mean: float,
    of_seeds: float,
    of_cases: float,
    num_seeds: int,
    value_range: tuple[float, float],
) -> list[float]:
    """Return the interval of a mean whose variance is the sum of two.

    Args:
        mean: Over seeds.
        of_seeds: Variance of the mean from seeds.
        of_cases: Variance of the mean from cases, taken as known: there are hundreds of patients.
        num_seeds: 2 or more.
        value_range: Values that are possible.
    """
    # Satterthwaite's degrees of freedom are the seeds' by this factor; no variance of seeds, as of
    # a score that has none, leaves the normal distribution.
    share = of_seeds / (of_seeds + of_cases) if of_seeds > 0 else 0.0
    freedom = (num_seeds - 1) / share**2 if share > 0 else np.inf
    margin = student.ppf(0.5 + CONFIDENCE / 2, freedom) * np.sqrt(of_seeds + of_cases)
    low, high = np.clip([mean - margin, mean + margin], *value_range)
    return [_rounded(low), _rounded(high)]


def _rounded(value: Any) -> float:
    return round(float(value), 4)
