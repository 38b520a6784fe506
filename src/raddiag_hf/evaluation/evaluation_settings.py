"""Settings of an evaluation: what to evaluate, what to decide by, how much to do at once."""

from dataclasses import dataclass, field

from raddiag_hf.core.errors import InputError
from raddiag_hf.labels.bands import HEAD_FROM, TAIL_BELOW, check_band_bounds
from raddiag_hf.metrics.bootstrap import BootstrapSettings, ResampledUnit
from raddiag_hf.vocabulary import Split


class EvaluationInputError(InputError):
    """A model, data set, file or choice that cannot be evaluated: which, and what was expected."""


@dataclass(frozen=True)
class PredictionSettings:
    """How much is done at once; none of it changes a prediction by more than rounding.

    Attributes:
        batch_slices: Cases go through the model together until their slices are this many; a case
            with more goes alone.
        num_workers: Processes that decode, beside each that predicts; 0 decodes in that one.
        overwrite: Replace predictions of another model or other data instead of refusing.

    Raises:
        EvaluationInputError: If a number is out of range.
    """

    batch_slices: int = 128
    num_workers: int = 2
    overwrite: bool = False

    def __post_init__(self) -> None:
        if self.batch_slices < 1 or self.num_workers < 0:
            raise EvaluationInputError(
                f"batch_slices is {self.batch_slices} and num_workers {self.num_workers}, expected "
                "at least 1 and 0"
            )


@dataclass(frozen=True)
class EvaluationSettings:
    """What to evaluate, and what to decide by.

    Attributes:
        label_column: The label space, for data sets with several; by default the model's.
        calibrate_on: Choose temperature and thresholds on this split of the same data set, which
            has to be validation; by default they are those stored with the model.
        target_fpr: Choose thresholds for this false-positive rate, not for the highest F1.
        min_positives: Positives that a class needs for an F1 threshold of its own.
        store: Store what was chosen in the model's ``config.json``.
        bootstrap: How to find intervals.
        resample: What is drawn: whole patients, because cases of one patient are not independent,
            or cases.
        head_from: Training cases from which a class is head.
        tail_below: Training cases below which a class is tail.
        official: Compute what the reference implementation prints too, for comparison with the
            paper's tables; its thresholds are chosen on the evaluated cases.
        prediction: How much to do at once.

    Raises:
        EvaluationInputError: If thresholds would be chosen on anything but validation cases, an
            option means nothing without ``calibrate_on``, or a number is out of range.
    """

    label_column: str | None = None
    calibrate_on: Split | None = None
    target_fpr: float | None = None
    min_positives: int = 10
    store: bool = False
    bootstrap: BootstrapSettings = field(default_factory=BootstrapSettings)
    resample: ResampledUnit = ResampledUnit.PATIENT
    head_from: int = HEAD_FROM
    tail_below: int = TAIL_BELOW
    official: bool = False
    prediction: PredictionSettings = field(default_factory=PredictionSettings)

    def __post_init__(self) -> None:
        if self.calibrate_on not in (None, Split.VALIDATION):
            raise EvaluationInputError(
                f"thresholds are chosen on validation cases, never on {self.calibrate_on} cases: "
                "numbers would look better than any user could have them"
            )
        if self.calibrate_on is None and (self.store or self.target_fpr is not None):
            raise EvaluationInputError(
                "choosing or storing thresholds needs the split to choose them on: validation"
            )
        if self.target_fpr is not None and not 0 < self.target_fpr < 1:
            raise EvaluationInputError(
                f"target_fpr is {self.target_fpr}, expected a rate between 0 and 1"
            )
        if self.min_positives < 1:
            raise EvaluationInputError(
                f"min_positives is {self.min_positives}, expected at least 1"
            )
        try:
            check_band_bounds(self.head_from, self.tail_below)
        except ValueError as error:
            raise EvaluationInputError(str(error)) from None
