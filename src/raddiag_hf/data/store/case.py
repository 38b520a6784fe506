"""The case: one patient presentation, the unit of input, label and split; and its row on disk."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from datasets import ClassLabel, Features, Value

from raddiag_hf.data.store.scan_record import (
    ANATOMIES,
    SCAN_FEATURES,
    CaseScan,
    List,
    decode_scan,
    encode_scan,
)
from raddiag_hf.data.store.storage_options import LOSSLESS, StorageOptions
from raddiag_hf.labels.label_set import LabelSet
from raddiag_hf.vocabulary import Anatomy, Sex

SEXES = tuple(Sex)
DEFAULT_LABEL_COLUMN = "labels"
MAX_AGE_YEARS = 130.0
_SEX_SPELLINGS = {
    "f": Sex.FEMALE,
    "w": Sex.FEMALE,
    "m": Sex.MALE,
    "o": Sex.OTHER,
    **{sex.lower(): sex for sex in Sex},
}
_AGE = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]*)", re.IGNORECASE)
_DAYS_PER_YEAR = 365.25
_UNITS_PER_YEAR = {
    unit: per_year
    for units, per_year in (
        (("", "y", "yr", "yrs", "yo", "year", "years"), 1.0),
        (("m", "mo", "mos", "month", "months"), 12.0),
        (("w", "wk", "wks", "week", "weeks"), _DAYS_PER_YEAR / 7),
        (("d", "day", "days"), _DAYS_PER_YEAR),
        (("h", "hr", "hrs", "hour", "hours"), _DAYS_PER_YEAR * 24),
        (("min", "mins", "minute", "minutes"), _DAYS_PER_YEAR * 24 * 60),
    )
    for unit in units
}


@dataclass(frozen=True)
class Case:
    """One patient presentation: its scans, and what it was labelled with.

    Attributes:
        case_id: Unique within the data set.
        patient_id: A pseudonym that all cases of one patient share; splits go by it. Where the
            source knows no patients, the case's own id.
        source: The data set or site that it comes from.
        scans: At least one.
        labels: Label column -> label names; a column may be empty where nothing was found or said.
        anatomy: The region that the case is about.
        age: Years.
        sex: As the source records it.
        unknown_labels: Label column -> labels of which nobody knows whether the case has them; all
            others that ``labels`` does not name are absent.

    Raises:
        ValueError: If an id is empty, there is no scan, two scans share an id, a label occurs
            twice or is there and unknown, or the age is not one.
    """

    case_id: str
    patient_id: str
    source: str
    scans: tuple[CaseScan, ...]
    labels: Mapping[str, tuple[str, ...]]
    anatomy: Anatomy = Anatomy.UNKNOWN
    age: float | None = None
    sex: Sex | None = None
    unknown_labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        where = f"case {self.case_id!r}"
        if not self.case_id or not self.patient_id:
            raise ValueError(f"{where}: case_id and patient_id must not be empty")
        if not self.scans:
            raise ValueError(f"{where}: has no scan")
        scan_ids = [case_scan.scan.scan_id for case_scan in self.scans]
        if len(set(scan_ids)) < len(scan_ids):
            raise ValueError(f"{where}: two scans share an id: {sorted(scan_ids)}")
        for column, names in self.labels.items():
            if len(set(names)) < len(names):
                raise ValueError(f"{where}: {column} names a label twice: {sorted(names)}")
            if both := set(names).intersection(self.unknown_labels.get(column, ())):
                raise ValueError(f"{where}: {column} has {sorted(both)}, which are unknown too")
        if self.age is not None and not 0 <= self.age <= MAX_AGE_YEARS:
            raise ValueError(f"{where}: age is {self.age}, expected 0 to {MAX_AGE_YEARS:g} years")


def case_features(
    label_sets: LabelSet | Mapping[str, LabelSet],
    unknown_in: Collection[str] = (),
    has_studies: bool = True,
) -> Features:
    """Return the columns of a case data set; one row is one case.

    Args:
        label_sets: The label set of the column ``labels``, or column -> label set for data with
            several label spaces (RP3D-DiagDS: ``disorders`` and ``icd10``).
        unknown_in: Label columns with unknown labels, which stand in `unknown_column`.
        has_studies: Whether scans say their study; those of older data sets do not.

    Raises:
        ValueError: If a label column would take the name of another column.
    """
    if isinstance(label_sets, LabelSet):
        label_sets = {DEFAULT_LABEL_COLUMN: label_sets}
    of_scans = {name: one for name, one in SCAN_FEATURES.items() if has_studies or name != "study"}
    columns = {
        "case_id": Value("string"),
        "patient_id": Value("string"),
        "source": Value("string"),
        "age": Value("float32"),
        "sex": ClassLabel(names=list(SEXES)),
        "anatomy": ClassLabel(names=list(ANATOMIES)),
        "scans": List(of_scans),
    }
    if taken := columns.keys() & label_sets.keys():
        raise ValueError(f"{sorted(taken)} are columns of every case, not of labels")
    for column, label_set in label_sets.items():
        columns[column] = List(ClassLabel(names=list(label_set.names)))
        if column in unknown_in:
            columns[unknown_column(column)] = List(ClassLabel(names=list(label_set.names)))
    return Features(columns)


def unknown_column(column: str) -> str:
    """Return the column of the labels of a label column that are unknown of a case."""
    return f"unknown_{column}"


def label_columns(features: Features) -> dict[str, ClassLabel]:
    """Return the label columns of a case data set and what their ids stand for."""
    found = {
        column: feature.feature
        for column, feature in features.items()
        if isinstance(feature, List) and isinstance(feature.feature, ClassLabel)
    }
    unknown = {unknown_column(column) for column in found}
    return {column: label for column, label in found.items() if column not in unknown}


def knows_studies(features: Features) -> bool:
    """Tell whether the scans of a case data set have the column ``study``."""
    scans = features.get("scans")
    return isinstance(scans, List) and "study" in scans.feature


def encode_case(
    case: Case, features: Features, storage: StorageOptions = LOSSLESS
) -> dict[str, Any]:
    """Return the row of a case: class ids instead of names, pixels compressed.

    Raises:
        ValueError: If its labels are not of this data set, or a scan cannot be stored; the message
            names the case.
    """
    columns = label_columns(features)
    where = f"case {case.case_id!r}"
    if case.labels.keys() != columns.keys():
        raise ValueError(
            f"{where}: has the label columns {sorted(case.labels)}, expected {sorted(columns)}"
        )
    row: dict[str, Any] = {
        "case_id": case.case_id,
        "patient_id": case.patient_id,
        "source": case.source,
        "age": case.age,
        "sex": case.sex,
        "anatomy": case.anatomy,
        "scans": [],
    }
    for column, class_label in columns.items():
        known = set(class_label.names)
        if unknown := [name for name in case.labels[column] if name not in known]:
            raise ValueError(f"{where}: {column} has no label {unknown[0]!r}")
        row[column] = list(case.labels[column])
        unknown_labels = list(case.unknown_labels.get(column, ()))
        if unknown_column(column) in features:
            row[unknown_column(column)] = unknown_labels
        elif unknown_labels:
            raise ValueError(f"{where}: there is no column {unknown_column(column)!r}")
    for case_scan in case.scans:
        try:
            row["scans"].append(encode_scan(case_scan, storage))
        except ValueError as error:
            raise ValueError(f"{where}: scan {case_scan.scan.scan_id!r}: {error}") from error
    encoded: dict[str, Any] = features.encode_example(row)
    return encoded


def decode_case(row: Mapping[str, Any], features: Features) -> Case:
    """Return the case of a row as `datasets` gives it, pixels decoded.

    Raises:
        ValueError: If stored pixels are damaged; the message names the case and the scan.
    """
    scans = []
    for scan_row in row["scans"]:
        try:
            scans.append(decode_scan(scan_row))
        except ValueError as error:
            raise ValueError(
                f"case {row['case_id']!r}: scan {scan_row['scan_id']!r}: {error}"
            ) from error
    columns = label_columns(features)
    return Case(
        case_id=row["case_id"],
        patient_id=row["patient_id"],
        source=row["source"],
        scans=tuple(scans),
        labels={
            column: tuple(class_label.int2str(row[column]))
            for column, class_label in columns.items()
        },
        unknown_labels={
            column: tuple(class_label.int2str(row[unknown_column(column)]))
            for column, class_label in columns.items()
            if unknown_column(column) in features
        },
        anatomy=ANATOMIES[row["anatomy"]],
        age=row["age"],
        sex=None if row["sex"] is None else SEXES[row["sex"]],
    )


def parse_age(text: str) -> float | None:
    """Return an age in years: ``"58"``, ``"058Y"``, ``"13 years"``, ``"12 hours"``.

    None where it says nothing, is in an unknown unit, or is more than a person can be (CXR14 has
    411).
    """
    match = _AGE.match(text.strip())
    if match is None or match[2].lower() not in _UNITS_PER_YEAR:
        return None
    years = float(match[1]) / _UNITS_PER_YEAR[match[2].lower()]
    return years if years <= MAX_AGE_YEARS else None


def parse_sex(text: str) -> Sex | None:
    """Return the sex of ``"F"``, ``"male"``, ``"w"`` and the like; None where it says none."""
    return _SEX_SPELLINGS.get(text.strip().lower())
