"""Settings of an evaluation: what to evaluate, what to decide by, how much to do at once."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated

from raddiag_hf.core.errors import InputError
from raddiag_hf.core.settings import Setting, check_settings
from raddiag_hf.labels.bands import HEAD_FROM, TAIL_BELOW, BandRule, CountedCases, check_band_bounds
from raddiag_hf.metrics.bootstrap_settings import BootstrapSettings, ResampledUnit
from raddiag_hf.metrics.threshold_rule import MIN_POSITIVES, ThresholdRule
from raddiag_hf.vocabulary import Split


class EvaluationInputError(InputError):
    """A model, data set, file or choice that cannot be evaluated: which, and what was expected."""


class LateFusion(StrEnum):
    """How the predictions of a case's scans become those of the case (paper, section 11.2)."""

    RANDOM = "random"
    """Those of one scan."""
    MAX = "max"
    """The highest of each label."""
    MEAN = "mean"
    """The mean of each label's probabilities."""


@dataclass(frozen=True)
class PredictionSettings:
    """How much is done at once; none of it changes a prediction by more than rounding.

    Attributes:
        batch_slices: Cases go through the model together until their slices are this many; a case
            with more goes alone.
        num_workers: Processes that decode, beside each that predicts; 0 decodes in that one.
        overwrite: Replace predictions of another model or other data instead of refusing.

    Raises:
        EvaluationInputError: If a value is of another type or out of range.
    """

    batch_slices: Annotated[int, Setting(min=1, metavar="N")] = 128
    num_workers: Annotated[int, Setting(min=0, metavar="N")] = 2
    overwrite: bool = False

    def __post_init__(self) -> None:
        check_settings(self, EvaluationInputError)


@dataclass(frozen=True)
class EvaluationSettings:
    """What to evaluate, and what to decide by.

    Attributes:
        label_column: The label space, for data sets with several; by default the model's. As for
            training, disorders:200 stands for the 200 labels with the most training cases.
        fusion: For models of late fusion: how to pool the predictions of single scans, whichever
            way the model is stored with; that way by default.
        calibrate_on: Choose temperature and thresholds on this split of the same data set, which
            has to be validation; by default they are those stored with the model.
        target_fpr: Choose thresholds for this false-positive rate, not for the highest F1.
        threshold_rule: f1-shared: classes with few positives share one F1 threshold. f1: every
            class with a positive has its own, as in the paper.
        min_positives: f1-shared: positives that a class needs for a threshold of its own.
        store: Store what was chosen in the model's ``config.json``.
        bootstrap: How to find intervals.
        resample: What is drawn: whole patients, whose cases are not independent, or cases.
        bands: Whether head, body and tail go by the training cases of a class, or by its cases in
            the whole data set, as in the paper. By default training; whole with official.
        head_from: Cases from which a class is head.
        tail_below: Cases below which a class is tail.
        official: Compute what the reference implementation prints too, for comparison with the
            paper's tables; its thresholds are chosen on the evaluated cases.
        prediction: How much to do at once.

    Raises:
        EvaluationInputError: If thresholds would be chosen on anything but validation cases, an
            option means nothing without ``calibrate_on``, or a value is of another type or out of
            range.
    """

    label_column: Annotated[str | None, Setting(metavar="NAME")] = None
    fusion: LateFusion | None = None
    calibrate_on: Annotated[Split | None, Setting(metavar="SPLIT")] = None
    target_fpr: Annotated[float | None, Setting(above=0, below=1, metavar="RATE")] = None
    threshold_rule: ThresholdRule = ThresholdRule.F1_SHARED
    min_positives: Annotated[int, Setting(min=1, metavar="N")] = MIN_POSITIVES
    store: bool = False
    bootstrap: BootstrapSettings = field(default_factory=BootstrapSettings)
    resample: ResampledUnit = ResampledUnit.PATIENT
    bands: CountedCases | None = None
    head_from: Annotated[int, Setting(min=0, metavar="N")] = HEAD_FROM
    tail_below: Annotated[int, Setting(min=0, metavar="N")] = TAIL_BELOW
    official: bool = False
    prediction: PredictionSettings = field(default_factory=PredictionSettings)

    def __post_init__(self) -> None:
        check_settings(self, EvaluationInputError)
        if self.calibrate_on not in (None, Split.VALIDATION):
            raise EvaluationInputError(
                f"thresholds are chosen on validation cases, never on {self.calibrate_on} cases: "
                "numbers would look better than any user could have them"
            )
        is_chosen = self.target_fpr is not None or self.threshold_rule is ThresholdRule.F1
        if self.calibrate_on is None and (self.store or is_chosen):
            raise EvaluationInputError(
                "choosing or storing thresholds needs the split to choose them on: validation"
            )
        if self.threshold_rule is ThresholdRule.F1:
            if self.min_positives != MIN_POSITIVES:
                raise EvaluationInputError(
                    f"min_positives is {self.min_positives}, but by the rule f1 every class with a "
                    "positive has a threshold of its own"
                )
            if self.target_fpr is not None:
                raise EvaluationInputError(
                    f"target_fpr is {self.target_fpr:g}, but the threshold rule is f1: choose one"
                )
        try:
            check_band_bounds(self.head_from, self.tail_below)
        except ValueError as error:
            raise EvaluationInputError(str(error)) from None

    @property
    def band_rule(self) -> BandRule:
        """How classes are sorted into head, body and tail."""
        by_default = CountedCases.WHOLE if self.official else CountedCases.TRAINING
        return BandRule(self.bands or by_default, self.head_from, self.tail_below)
