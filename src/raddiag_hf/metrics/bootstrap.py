"""The bootstrap: every metric again and again on cases, or patients, drawn with replacement."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from raddiag_hf.metrics.intervals import Interval, IntervalMethod, interval, metric_range
from raddiag_hf.metrics.predictions import BoolArray, FloatArray
from raddiag_hf.metrics.sampled_metrics import (
    MetricSettings,
    SampledMetrics,
    sample_metrics,
    to_columns,
)

_MAX_CHUNK_CELLS = 2**23


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


@dataclass(frozen=True)
class BootstrapSettings:
    """How to resample, and how to turn the resampled values into intervals.

    Attributes:
        resamples: Number of resamples.
        seed: Seed; the draw depends on it, the number of cases and ``patient_ids`` alone, so that
            two models evaluated with one seed are evaluated on the same resamples.
        confidence: Nominal coverage, between 0 and 1.
        method: See `IntervalMethod`.
        patient_ids: Patient of each case. Given, whole patients are drawn, because cases of one
            patient are not independent.
    """

    resamples: int = 1000
    seed: int = 0
    confidence: float = 0.95
    method: IntervalMethod = "centred"
    patient_ids: Sequence[str] | None = None

    def weights(self, num_cases: int) -> Iterator[NDArray[np.float32]]:
        """Draw the resamples, in chunks of bounded size.

        Args:
            num_cases: Number of cases.

        Yields:
            How often each case was drawn, shape ``(cases, samples of the chunk)``.

        Raises:
            ValueError: If ``patient_ids`` does not hold one patient per case.
        """
        if self.patient_ids is None:
            owner = np.arange(num_cases)
        elif len(self.patient_ids) == num_cases:
            owner = np.unique(np.asarray(self.patient_ids), return_inverse=True)[1]
        else:
            raise ValueError(
                f"{len(self.patient_ids)} patient_ids were given for {num_cases} cases"
            )
        num_owners = int(owner.max()) + 1
        generator = np.random.default_rng(self.seed)
        chunk_size = max(1, _MAX_CHUNK_CELLS // num_cases)
        for first in range(0, self.resamples, chunk_size):
            samples = min(chunk_size, self.resamples - first)
            weights = np.empty((num_cases, samples), dtype=np.float32)
            for sample in range(samples):
                drawn = generator.integers(num_owners, size=num_owners)
                weights[:, sample] = np.bincount(drawn, minlength=num_owners)[owner]
            yield weights


def bootstrap_metrics(
    labels: BoolArray, scores: FloatArray, metrics: MetricSettings, settings: BootstrapSettings
) -> SampledMetrics:
    """Evaluate every class in bootstrap resamples.

    Args:
        labels: Shape ``(cases, classes)``.
        scores: Shape ``(cases, classes)``, finite.
        metrics: What to compute. Fixed cut-offs stay fixed; oracle ones are chosen anew in each
            resample.
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
            group: bounds(curves.T, point.mean_recalls[group][0], "recall")
            for group, curves in samples.mean_recalls.items()
        },
    )
