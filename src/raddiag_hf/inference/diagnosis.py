"""Diagnosis record: ranked findings, what each scan did, and how the answer came about."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

FILE_FORMAT = 1
"""Version of ``diagnosis.json``."""


@dataclass(frozen=True)
class Finding:
    """One label of the model with the answer for this case.

    Attributes:
        label: A disorder or an ICD-10-CM category, as the model's label set spells it.
        logit: The raw output.
        probability: The sigmoid of the logit divided by the model's calibration temperature, in
            [0, 1], only as well calibrated as the model. Labels are independent: probabilities do
            not sum to 1, unless the model was trained with exclusive labels.
        threshold: Probability from which the label counts as present, chosen on validation data;
            None where the model carries none. 0.5 is not a threshold of any label.
        predicted: Whether the probability reaches the threshold, of exclusive labels whether it is
            the highest; None without thresholds.
    """

    label: str
    logit: float
    probability: float
    threshold: float | None
    predicted: bool | None


@dataclass(frozen=True)
class ScanContribution:
    """One scan of the case and its part in the decision for the leading finding.

    Attributes:
        scan_id: Its name within the case.
        modality: As the reader or the caller named it.
        anatomy: The region that it shows.
        plane: The plane of its slices, or the view of a projection.
        source_slices: Slices of the scan as read.
        encoded_slices: Slices that went through the model, after uniform resampling.
        share: Part of the decision in [0, 1]; the shares of a case sum to 1.
        effect: Logit of the leading finding with all scans minus without this one; positive speaks
            for the finding. None where the case has no other scan to leave.
        key_slice: Index into the scan as read of the slice with most attention; None where the
            encoder has no attention over slices.
        slice_attention: Attention of each encoded slice, summing to 1; None as above.
    """

    scan_id: str
    modality: str
    anatomy: str
    plane: str
    source_slices: int
    encoded_slices: int
    share: float
    effect: float | None
    key_slice: int | None
    slice_attention: tuple[float, ...] | None


@dataclass(frozen=True)
class Provenance:
    """What computed a diagnosis, so that it can be repeated.

    Attributes:
        model_id: The Hub id that was asked for, or the name of the folder.
        model_revision: The commit of the Hub repository; None for a folder.
        threshold_source: Where the thresholds come from, in words; None where there are none.
        device: ``cuda``, ``mps`` or ``cpu``.
        dtype: Floating-point type of the encoder, ``float32`` or ``bfloat16``.
        seconds: Wall-clock time from pixels to answer, without reading files or loading weights.
        created_at: When, in ISO 8601 and UTC.
        versions: Package name -> version.
        calibration_temperature: What logits were divided by to make probabilities; 1 where the
            model carries no calibration.
    """

    model_id: str
    model_revision: str | None
    threshold_source: str | None
    device: str
    dtype: str
    seconds: float
    created_at: str
    versions: Mapping[str, str]
    calibration_temperature: float = 1.0


@dataclass(frozen=True)
class ScanKind:
    """What kind one scan of the case is of, and whether the model was trained on such scans.

    Attributes:
        scan_id: Its name within the case.
        kind: Modality and region, in words.
        was_seen: None where the region of scan or training scans is unknown, so that nothing tells.
        training_scans: Training scans of this very kind.
    """

    scan_id: str
    kind: str
    was_seen: bool | None
    training_scans: int


@dataclass(frozen=True)
class TrainingDistance:
    """Out-of-distribution score: how far the case lies from those of the training.

    Attributes:
        p_value: Chance of a distance as large in a case like those of validation, in [0, 1].
        distance: Of the farthest scan's embedding, in standard deviations of training scans.
        limit: What 5 % of cases like those of validation exceed.
        is_far: Whether ``distance`` does.
        farthest_scan: Id of that scan.
        num_validation_cases: Whose distances are known; few make ``limit`` wide.
    """

    p_value: float
    distance: float
    limit: float
    is_far: bool
    farthest_scan: str
    num_validation_cases: int


@dataclass(frozen=True)
class DomainCheck:
    """Whether the case is like those that the model was trained on, and whether that went well.

    Attributes:
        trained_on: The kinds of training scans with their numbers, in words.
        kinds: Of the case's scans, in the order given.
        training_distance: None where the model does not know it.
        training_warnings: Why, as the training found, the model may not be relied on for any case.
    """

    trained_on: str
    kinds: tuple[ScanKind, ...]
    training_distance: TrainingDistance | None = None
    training_warnings: tuple[str, ...] = ()

    @property
    def unseen(self) -> tuple[ScanKind, ...]:
        """Scans of a kind that was never seen in training."""
        return tuple(kind for kind in self.kinds if kind.was_seen is False)

    @property
    def warnings(self) -> list[str]:
        """Why the answer is not to be trusted, in sentences; empty where nothing speaks against."""
        found = [f"{self.unseen_statement()}."] if self.unseen else []
        far = self.training_distance
        if far is not None and far.is_far:
            share = "less than 0.1 %" if far.p_value < 0.001 else f"{far.p_value:.1%}"
            found.append(
                f"{far.farthest_scan} lies further from the training scans than in all but {share} "
                f"of cases like those ({far.distance / far.limit:.2g} times the limit): the model "
                "may not know what it shows."
            )
        told = (f"The training of this model warned: {one}." for one in self.training_warnings)
        return [*found, *told]

    def unseen_statement(self) -> str:
        """Say which scans are of a kind that was never seen in training."""
        named = "; ".join(f"{kind.scan_id} ({kind.kind})" for kind in self.unseen)
        is_one = len(self.unseen) == 1
        return (
            f"{named}: {'is' if is_one else 'are'} of a kind that the model never saw in training: "
            f"what it says of {'it' if is_one else 'them'} means nothing; it was trained on "
            f"{self.trained_on}"
        )


@dataclass(frozen=True)
class Diagnosis:
    """The answer for one case.

    Attributes:
        findings: The most probable labels, most probable first; the first is the leading finding.
        label_count: Labels of the model, of which ``findings`` shows the top.
        predicted_count: Labels of the model that are predicted, shown or not; None where the model
            carries no thresholds.
        scans: The case's scans in the order given.
        provenance: What computed it.
        warnings: What a reader should know before trusting it, in words.
        has_exclusive_labels: Whether a case has exactly one label: the most probable is predicted,
            and there are no thresholds.
        domain: Whether the case is like those of the training; None where nothing says what the
            model was trained on.
    """

    findings: tuple[Finding, ...]
    label_count: int
    predicted_count: int | None
    scans: tuple[ScanContribution, ...]
    provenance: Provenance
    warnings: tuple[str, ...] = ()
    has_exclusive_labels: bool = False
    domain: DomainCheck | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the whole record as plain values, ready for ``json.dumps``."""
        return {"format": FILE_FORMAT, **asdict(self)}
