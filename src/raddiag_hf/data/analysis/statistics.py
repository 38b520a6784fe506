"""What a case data set consists of: the numbers behind the paper's Figure 2, for any data set."""

import json
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from raddiag_hf.data.store.case_metadata import CaseMetadata
from raddiag_hf.data.store.scan_record import ANATOMIES, MODALITIES
from raddiag_hf.labels.bands import CountedCases, FrequencyBand, frequency_bands
from raddiag_hf.labels.normal_labels import NORMAL_LABELS, normal_columns
from raddiag_hf.vocabulary import Split


@dataclass(frozen=True)
class CaseGroup:
    """Cases of one kind. A case with several modalities counts once for each of them.

    Attributes:
        cases: How many there are.
        modalities: Modality -> cases with a scan of it, most frequent first.
        anatomies: Anatomy -> cases, most frequent first.
    """

    cases: int
    modalities: Mapping[str, int]
    anatomies: Mapping[str, int]


@dataclass(frozen=True)
class LabelDistribution:
    """How the cases spread over the labels of one label column.

    Attributes:
        counts: Label -> cases over all splits, most frequent first; labels without a case too.
        train_counts: Label -> training cases, most frequent first; empty without a training split.
        groups: Head, body, tail -> number of labels; empty where none were counted.
        counted: The cases by which labels are head, body or tail.
    """

    counts: Mapping[str, int]
    train_counts: Mapping[str, int]
    groups: Mapping[str, int]
    counted: CountedCases = CountedCases.TRAINING


@dataclass(frozen=True)
class CaseStatistics:
    """A case data set in numbers.

    Attributes:
        cases, patients, scans, slices: Totals; slices as stored.
        cases_per_split: Split -> cases.
        abnormal: Cases with at least one label that is not a normal one.
        normal: Cases whose only labels say that nothing was found.
        unlabelled: Cases without any label.
        scans_per_case: Number of scans (the paper's images) -> cases.
        modalities_per_case: Number of different modalities -> cases.
        labels: Label column -> distribution.
    """

    cases: int
    patients: int
    scans: int
    slices: int
    cases_per_split: Mapping[str, int]
    abnormal: CaseGroup
    normal: CaseGroup
    unlabelled: CaseGroup
    scans_per_case: Mapping[int, int]
    modalities_per_case: Mapping[int, int]
    labels: Mapping[str, LabelDistribution]

    def to_json(self) -> str:
        """Return the record as JSON text; numbers that are keys become strings."""
        return json.dumps(asdict(self), ensure_ascii=False, indent=1) + "\n"


def case_statistics(
    metadata: CaseMetadata,
    normal_labels: Collection[str] = NORMAL_LABELS,
    counted: CountedCases = CountedCases.TRAINING,
) -> CaseStatistics:
    """Count cases by modality, anatomy, size and label.

    Args:
        metadata: What `read_metadata` gives.
        normal_labels: Names, in lower case, of labels that say that nothing was found.
        counted: The cases by which labels are head, body or tail.

    Source:
        Paper, Figure 2; head, body and tail as in section 4.3.1.
    """
    cases = len(metadata)
    is_labelled, is_abnormal = _label_kinds(metadata, normal_labels)
    per_case = np.zeros((cases, len(MODALITIES)), dtype=bool)
    per_case[metadata.scan_cases, metadata.scan_modalities] = True
    patients: dict[str, None] = dict.fromkeys(metadata.patient_ids)
    return CaseStatistics(
        cases=cases,
        patients=len(patients),
        scans=len(metadata.scan_cases),
        slices=int(metadata.scan_depths.sum()),
        cases_per_split={
            split: int(metadata.in_split(split).sum()) for split in dict.fromkeys(metadata.splits)
        },
        abnormal=_case_group(metadata, per_case, is_abnormal),
        normal=_case_group(metadata, per_case, is_labelled & ~is_abnormal),
        unlabelled=_case_group(metadata, per_case, ~is_labelled),
        scans_per_case=_histogram(np.bincount(metadata.scan_cases, minlength=cases)),
        modalities_per_case=_histogram(per_case.sum(axis=1)),
        labels={column: _distribution(metadata, column, counted) for column in metadata.labels},
    )


def _label_kinds(
    metadata: CaseMetadata, normal_labels: Collection[str]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return which cases have a label, and which have one that is not normal."""
    is_labelled = np.zeros(len(metadata), dtype=bool)
    is_abnormal = np.zeros(len(metadata), dtype=bool)
    for column, indicators in metadata.labels.items():
        is_disorder = np.ones(indicators.shape[1], dtype=bool)
        is_disorder[[*normal_columns(metadata.label_names[column], normal_labels)]] = False
        is_labelled |= np.diff(indicators.indptr) > 0
        is_abnormal |= indicators.astype(np.int64) @ is_disorder > 0
    return is_labelled, is_abnormal


def _case_group(
    metadata: CaseMetadata, per_case: NDArray[np.bool_], is_member: NDArray[np.bool_]
) -> CaseGroup:
    anatomies = np.bincount(metadata.anatomies[is_member], minlength=len(ANATOMIES))
    return CaseGroup(
        cases=int(is_member.sum()),
        modalities=_ranked_present(MODALITIES, per_case[is_member].sum(axis=0)),
        anatomies=_ranked_present(ANATOMIES, anatomies),
    )


def _distribution(metadata: CaseMetadata, column: str, counted: CountedCases) -> LabelDistribution:
    names = metadata.label_names[column]
    indicators = metadata.labels[column].astype(np.int64)
    counts = indicators.sum(axis=0)
    in_train = metadata.in_split(Split.TRAIN)
    train_counts = indicators[in_train].sum(axis=0)
    has_bands = counted is CountedCases.WHOLE or in_train.any()
    bands = frequency_bands(counts if counted is CountedCases.WHOLE else train_counts)
    return LabelDistribution(
        counts=_ranked(names, counts),
        train_counts=_ranked(names, train_counts) if in_train.any() else {},
        counted=counted,
        groups={} if not has_bands else {band.value: bands.count(band) for band in FrequencyBand},
    )


def _ranked(names: tuple[str, ...], counts: NDArray[np.int64]) -> dict[str, int]:
    ranked = sorted(zip(names, counts.tolist(), strict=True), key=lambda item: -item[1])
    return {str(name): count for name, count in ranked}


def _ranked_present(names: tuple[str, ...], counts: NDArray[np.int64]) -> dict[str, int]:
    return {name: count for name, count in _ranked(names, counts).items() if count}


def _histogram(values: NDArray[np.int64]) -> dict[int, int]:
    numbers, counts = np.unique(values, return_counts=True)
    return dict(zip(numbers.tolist(), counts.tolist(), strict=True))
