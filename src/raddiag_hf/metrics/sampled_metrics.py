"""Every metric of every class in one pass over weighted samples: the cases or their resamples."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from raddiag_hf.metrics.bootstrap import Interval, interval
from raddiag_hf.metrics.bootstrap_settings import BootstrapSettings, IntervalMethod
from raddiag_hf.metrics.curves import (
    Counts,
    CurveCounts,
    area_under_roc,
    average_precision,
    best_f1_levels,
    confusion_at_levels,
    recall_at_fpr,
)
from raddiag_hf.metrics.mean_curves import DEFAULT_FPR_GRID, MeanRocAccumulator
from raddiag_hf.metrics.predictions import BoolArray, FloatArray
from raddiag_hf.metrics.ranking import RankedBlock, evaluable_classes, ranked_blocks

_CUTOFF = "cutoff"


@dataclass(frozen=True)
class MetricSettings:
    """What to compute.

    Attributes:
        groups: Columns of each group to average over, by name.
        decisions: Which case is predicted to have which class, shape ``(cases, classes)``. Not
            together with ``oracle``.
        oracle: Cut each class where its F1 on the sample itself is
            highest. Without either, F1, MCC and accuracy are left out.
        recall_at: False-positive rates at which recall is read.
        fpr_grid: False-positive rates of the mean ROC curves, rising from 0 to 1.
    """

    groups: Mapping[str, NDArray[np.intp]]
    decisions: BoolArray | None = None
    oracle: bool = False
    recall_at: tuple[float, ...] = (0.01, 0.05, 0.1)
    fpr_grid: NDArray[np.float64] = field(default_factory=lambda: DEFAULT_FPR_GRID)

    @property
    def metric_names(self) -> tuple[str, ...]:
        """Names of the metrics, in the order of the paper's tables."""
        decided = ("f1", "mcc", "acc") if self.oracle or self.decisions is not None else ()
        return ("auc", "ap", *decided, *(recall_name(rate) for rate in self.recall_at))


@dataclass(frozen=True)
class SampledMetrics:
    """Every metric in every sample.

    Attributes:
        classes: The columns that could be evaluated, shape ``(evaluable,)``.
        per_class: By metric, shape ``(evaluable, samples)``; NaN where the sample holds no
            positive or no negative of the class.
        macro: By group and metric, the mean over the classes that the sample defines, shape
            ``(samples,)``.
        defined_classes: By group, how many classes that mean is taken over, shape ``(samples,)``.
        mean_recalls: By group, the mean ROC curve, shape ``(samples, grid)``.
        oracle_cutoffs: Score at which each class is cut, shape ``(evaluable, samples)``; None
            where there was no oracle.
    """

    classes: NDArray[np.intp]
    per_class: Mapping[str, Counts]
    macro: Mapping[str, Mapping[str, Counts]]
    defined_classes: Mapping[str, NDArray[np.intp]]
    mean_recalls: Mapping[str, Counts]
    oracle_cutoffs: Counts | None


@dataclass(frozen=True)
class BootstrapIntervals:
    """Intervals of every metric.

    A resample may hold no positive (or no negative) of a class; the class then has no value in it.
    Its interval is taken over the other resamples, so it is conditional on the class occurring, and
    a group's mean is taken over the classes that occur. Both are counted here. A class with one
    positive is absent from about 37 % of the resamples, and its interval reflects the draw of
    negatives alone: how another positive would score cannot be learned from one.

    Attributes:
        resamples: Number of resamples.
        seed: Seed of the draw.
        confidence: Nominal coverage, such as 0.95.
        method: How resampled values became intervals.
        resampled_unit: What was drawn, ``"case"`` or ``"patient"``.
        per_class: By metric, shape ``(classes,)``; NaN for classes that cannot be evaluated.
        undefined_resamples: Resamples without a value, shape ``(classes,)``.
        macro: By group and metric, shape ``()``.
        fewest_classes: By group, the smallest number of classes that a resample's mean was over.
        roc: By group, pointwise band of the mean ROC curve, shape ``(grid,)``.
    """

    resamples: int
    seed: int
    confidence: float
    method: IntervalMethod
    resampled_unit: str
    per_class: Mapping[str, Interval]
    undefined_resamples: NDArray[np.intp]
    macro: Mapping[str, Mapping[str, Interval]]
    fewest_classes: Mapping[str, int]
    roc: Mapping[str, Interval]


def metric_range(name: str) -> tuple[float, float]:
    """Return the lowest and highest value of a metric."""
    return (-1.0, 1.0) if name == "mcc" else (0.0, 1.0)


def recall_name(false_positive_rate: float) -> str:
    """Return the name under which recall at a false-positive rate is reported."""
    return f"recall_at_fpr_{false_positive_rate:g}"


def to_columns(
    values: NDArray[np.float64], classes: NDArray[np.intp], num_classes: int
) -> NDArray[np.float64]:
    """Put values of the evaluable classes into the places of all classes; NaN in the others."""
    columns = np.full(num_classes, np.nan)
    columns[classes] = values
    return columns


def sample_once(labels: BoolArray, scores: FloatArray, settings: MetricSettings) -> SampledMetrics:
    """Evaluate every class on the cases as they are: one sample, the point estimate."""
    return sample_metrics(labels, scores, [np.ones((len(labels), 1), np.float32)], 1, settings)


def sample_metrics(
    labels: BoolArray,
    scores: FloatArray,
    weights: Iterable[NDArray[np.float32]],
    num_samples: int,
    settings: MetricSettings,
) -> SampledMetrics:
    """Evaluate every class in weighted samples of the cases.

    Args:
        labels: Shape ``(cases, classes)``.
        scores: Shape ``(cases, classes)``, finite; NaN where the label is unknown.
        weights: Chunks of samples, each of shape ``(cases, samples of the chunk)``: how often each
            case is in each sample.
        num_samples: Samples in all chunks together.
        settings: What to compute.
    """
    classes = evaluable_classes(labels, scores)
    memberships = np.zeros((len(settings.groups), labels.shape[1]), dtype=np.bool_)
    for group, members in enumerate(settings.groups.values()):
        memberships[group, members] = True
    names = (*settings.metric_names, *((_CUTOFF,) if settings.oracle else ()))
    per_class = {name: np.empty((len(classes), num_samples)) for name in names}
    roc = MeanRocAccumulator(memberships, settings.fpr_grid, num_samples)
    first_sample = 0
    for chunk in weights:
        samples = slice(first_sample, first_sample + chunk.shape[1])
        first_class = 0
        for block in ranked_blocks(labels, scores, settings.decisions):
            counts = block.count(chunk)
            rows = slice(first_class, first_class + len(block.classes))
            for name, values in _block_metrics(block, counts, chunk, settings).items():
                per_class[name][rows, samples] = values
            roc.add(counts, block.classes, first_sample)
            first_class = rows.stop
        first_sample = samples.stop
    return _average(settings, classes, memberships, per_class, roc)


def bootstrap_metrics(
    labels: BoolArray, scores: FloatArray, metrics: MetricSettings, settings: BootstrapSettings
) -> SampledMetrics:
    """Evaluate every class in bootstrap resamples.

    Args:
        labels: Shape ``(cases, classes)``.
        scores: Shape ``(cases, classes)``, finite; NaN where the label is unknown.
        metrics: What to compute. Decisions stay as they are; oracle cut-offs are chosen anew in
            each resample.
        settings: How to resample.
    """
    weights = settings.weights(len(labels))
    return sample_metrics(labels, scores, weights, settings.resamples, metrics)


def summarise_bootstrap(
    samples: SampledMetrics, point: SampledMetrics, num_classes: int, settings: BootstrapSettings
) -> BootstrapIntervals:
    """Turn resampled metrics into intervals.

    Args:
        samples: What `bootstrap_metrics` returned.
        point: The metrics of the cases themselves, one sample.
        num_classes: Number of columns, whether they can be evaluated or not.
        settings: How the resamples were drawn.
    """

    def bounds(values: NDArray[np.float64], at: NDArray[np.float64], name: str) -> Interval:
        return interval(
            values,
            at,
            confidence=settings.confidence,
            method=settings.method,
            value_range=metric_range(name),
        )

    def spread(found: Interval) -> Interval:
        ends = (found.low, found.high, found.bias)
        return Interval(*(to_columns(end, samples.classes, num_classes) for end in ends))

    undefined = np.full(num_classes, settings.resamples)
    undefined[samples.classes] = np.isnan(samples.per_class["auc"]).sum(axis=1)
    return BootstrapIntervals(
        resamples=settings.resamples,
        seed=settings.seed,
        confidence=settings.confidence,
        method=settings.method,
        resampled_unit="case" if settings.patient_ids is None else "patient",
        per_class={
            name: spread(bounds(values, point.per_class[name][:, 0], name))
            for name, values in samples.per_class.items()
        },
        undefined_resamples=undefined,
        macro={
            group: {
                name: bounds(values, point.macro[group][name][0], name)
                for name, values in metrics.items()
            }
            for group, metrics in samples.macro.items()
        },
        fewest_classes={g: int(number.min()) for g, number in samples.defined_classes.items()},
        roc={
            group: bounds(curves.T, curve, "recall").closed_at(curve)
            for group, curves in samples.mean_recalls.items()
            for curve in [point.mean_recalls[group][0]]
        },
    )


def _block_metrics(
    block: RankedBlock,
    counts: CurveCounts,
    weights: NDArray[np.float32],
    settings: MetricSettings,
) -> dict[str, Counts]:
    values = {"auc": area_under_roc(counts), "ap": average_precision(counts)}
    decisions = block.count_decisions(counts, weights)
    if settings.oracle:
        levels = best_f1_levels(counts)
        decisions = confusion_at_levels(counts, levels)
        values[_CUTOFF] = block.level_scores[levels].astype(np.float64)
    if decisions is not None:
        values |= {"f1": decisions.f1(), "mcc": decisions.mcc(), "acc": decisions.accuracy()}
    for rate in settings.recall_at:
        values[recall_name(rate)] = recall_at_fpr(counts, rate)
    undefined = (counts.positives == 0) | (counts.negatives == 0)
    for value in values.values():
        value[undefined] = np.nan
    return values


def _average(
    settings: MetricSettings,
    classes: NDArray[np.intp],
    memberships: NDArray[np.bool_],
    per_class: dict[str, Counts],
    roc: MeanRocAccumulator,
) -> SampledMetrics:
    oracle_cutoffs = per_class.pop(_CUTOFF, None)
    chosen = memberships[:, classes].astype(np.float64)
    defined = ~np.isnan(per_class["auc"])
    number = chosen @ defined
    means = {
        name: np.divide(
            chosen @ np.where(defined, values, 0.0),
            number,
            out=np.full_like(number, np.nan),
            where=number > 0,
        )
        for name, values in per_class.items()
    }
    curves = roc.mean_recalls()
    return SampledMetrics(
        classes=classes,
        per_class=per_class,
        macro={
            group: {name: values[index] for name, values in means.items()}
            for index, group in enumerate(settings.groups)
        },
        defined_classes={
            group: number[index].astype(np.intp) for index, group in enumerate(settings.groups)
        },
        mean_recalls={group: curves[index] for index, group in enumerate(settings.groups)},
        oracle_cutoffs=oracle_cutoffs,
    )
