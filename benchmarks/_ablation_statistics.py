"""Metrics of the ablation in resamples of cases and of seeds, and the differences between variants.

All variants and seeds are evaluated on the same resamples of the same patients, so that every
difference is paired.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

from raddiag_hf.evaluation import BootstrapSettings
from raddiag_hf.evaluation.bootstrap import bootstrap_metrics
from raddiag_hf.evaluation.intervals import interval
from raddiag_hf.evaluation.metrics import metric_settings
from raddiag_hf.evaluation.sampled_metrics import SampledMetrics, sample_once

CONFIDENCE = 0.95
Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Sampled:
    """A metric of one run: on the cases as they are, and in every resample of them."""

    value: float
    resamples: Array


@dataclass(frozen=True, eq=False)
class EvaluatedCases:
    """What logits are compared with; arrays of one row per case."""

    labels: NDArray[np.bool_]
    patient_ids: NDArray[np.str_]
    anatomies: NDArray[np.str_]


def sample_metrics(
    cases: EvaluatedCases,
    logits: NDArray[np.float32],
    groups: Mapping[str, NDArray[np.intp]],
    thresholds: Array | None,
    num_resamples: int,
) -> dict[tuple[str, str], Sampled]:
    """Return every metric of every group, by (group, metric).

    Beside the metrics of `evaluate_predictions` there is ``auc_within_anatomy``: each label among
    the cases of its own region only, where knowing the region is worth nothing.
    """
    found: dict[tuple[str, str], Sampled] = {}
    settings = metric_settings(groups, logits.shape[1], (), thresholds)
    bootstrap = BootstrapSettings(num_resamples, patient_ids=cases.patient_ids.tolist())
    point = sample_once(cases.labels, logits, settings)
    samples = bootstrap_metrics(cases.labels, logits, settings, bootstrap)
    for group in groups:
        for metric in settings.metric_names:
            found[group, metric] = Sampled(
                float(point.macro[group][metric][0]), samples.macro[group][metric]
            )

    of_label = _regions(cases)
    inside: dict[str, list[tuple[NDArray[np.intp], Array, Array]]] = {g: [] for g in groups}
    for region in np.unique(cases.anatomies):
        rows = cases.anatomies == region
        here = BootstrapSettings(num_resamples, patient_ids=cases.patient_ids[rows].tolist())
        ranked = metric_settings({}, logits.shape[1], (), None)
        point = sample_once(cases.labels[rows], logits[rows], ranked)
        samples = bootstrap_metrics(cases.labels[rows], logits[rows], ranked, here)
        for group, columns in groups.items():
            chosen = np.isin(samples.classes, columns[of_label[columns] == region])
            inside[group].append(_auc_of(point, samples, chosen))
    for group, parts in inside.items():
        values, resamples = (np.concatenate([part[i] for part in parts]) for i in (0, 1))
        found[group, "auc_within_anatomy"] = Sampled(
            float(np.nanmean(values)), np.nanmean(resamples, axis=0)
        )
    return found


def _auc_of(
    point: SampledMetrics, samples: SampledMetrics, chosen: NDArray[np.bool_]
) -> tuple[Array, Array]:
    return point.per_class["auc"][chosen, 0], samples.per_class["auc"][chosen]


def _regions(cases: EvaluatedCases) -> NDArray[np.str_]:
    """Return the region of each label; empty for a label without cases or of several regions."""
    regions = []
    for column in cases.labels.T:
        found = np.unique(cases.anatomies[column])
        regions.append(found[0] if len(found) == 1 else "")
    return np.array(regions)


def summarise(runs: list[Sampled]) -> dict[str, Any]:
    """Return the mean over seeds with its intervals.

    Args:
        runs: One entry per seed: a metric, or a difference of two.

    Returns:
        ``mean``, ``per_seed``, and the intervals ``over_cases`` (patients resampled, seeds fixed),
        ``over_seeds`` (Student's t, cases fixed) and ``over_both`` (both resampled).
    """
    values = np.array([run.value for run in runs])
    resampled = np.stack([run.resamples for run in runs])  # (seeds, resamples)
    mean = values.mean()
    generator = np.random.default_rng(0)
    drawn = generator.integers(len(runs), size=resampled.shape)
    both = np.take_along_axis(resampled, drawn, axis=0).mean(0)
    return {
        "mean": _rounded(mean),
        "per_seed": [_rounded(value) for value in values],
        "over_cases": _bootstrap_interval(resampled.mean(0), mean),
        "over_seeds": _t_interval(values),
        "over_both": _bootstrap_interval(both, mean),
    }


def difference(a: list[Sampled], b: list[Sampled]) -> list[Sampled]:
    """Return the paired differences of two variants, seed by seed and resample by resample."""
    return [
        Sampled(x.value - y.value, x.resamples - y.resamples) for x, y in zip(a, b, strict=True)
    ]


def _bootstrap_interval(resampled: Array, mean: float) -> list[float]:
    found = interval(
        resampled,
        np.asarray(mean),
        confidence=CONFIDENCE,
        method="centred",
        value_range=(-1.0, 1.0),
    )
    return [_rounded(found.low), _rounded(found.high)]


def _t_interval(values: Array) -> list[float] | None:
    if len(values) < 2:
        return None
    margin = student.ppf(0.5 + CONFIDENCE / 2, len(values) - 1)
    margin *= values.std(ddof=1) / np.sqrt(len(values))
    return [_rounded(values.mean() - margin), _rounded(values.mean() + margin)]


def _rounded(value: Any) -> float:
    return round(float(value), 4)
