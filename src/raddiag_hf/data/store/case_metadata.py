"""Everything that a case data set says about its cases except the pixels, as arrays."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from datasets import Dataset, Features, IterableDataset
from numpy.typing import NDArray
from scipy.sparse import csr_array

from raddiag_hf.checkpoints.training_kinds import TrainingKind, TrainingKinds
from raddiag_hf.data.store.case import knows_studies, label_columns, unknown_column
from raddiag_hf.data.store.case_store import CaseStore
from raddiag_hf.data.store.scan_record import ANATOMIES, MODALITIES
from raddiag_hf.labels.label_set import LabelSet
from raddiag_hf.vocabulary import Anatomy

CaseData = CaseStore | Mapping[str, Dataset] | Mapping[str, IterableDataset]
"""Cases by split: a store, or what ``datasets.load_dataset`` gives, streaming or not."""


@dataclass(frozen=True)
class CaseMetadata:
    """Cases and their scans, without pixels.

    Attributes:
        splits, case_ids, patient_ids: Of each case.
        anatomies: Class id of each case's region, shape ``(cases,)``.
        label_names: Label column -> names in column order.
        labels: Label column -> which case has which label, boolean, shape ``(cases, labels)``.
        scan_cases: Row of the case of each scan, ascending, shape ``(scans,)``.
        scan_modalities: Class id of each scan's modality, shape ``(scans,)``.
        scan_anatomies: Class id of the region that each scan shows, shape ``(scans,)``.
        scan_depths: Stored slices of each scan, shape ``(scans,)``.
        scan_studies: Study of each scan, empty where unknown, shape ``(scans,)``.
        unknown: Label column -> which label is unknown of which case, as ``labels``; only columns
            that have unknown labels.
    """

    splits: tuple[str, ...]
    case_ids: tuple[str, ...]
    patient_ids: tuple[str, ...]
    anatomies: NDArray[np.int64]
    label_names: Mapping[str, tuple[str, ...]]
    labels: Mapping[str, csr_array]
    scan_cases: NDArray[np.int64]
    scan_modalities: NDArray[np.int64]
    scan_anatomies: NDArray[np.int64]
    scan_depths: NDArray[np.int64]
    scan_studies: NDArray[np.object_]
    unknown: Mapping[str, csr_array] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.case_ids)

    def in_split(self, split: str) -> NDArray[np.bool_]:
        """Return which cases are in a split, shape ``(cases,)``."""
        return np.array([name == split for name in self.splits], dtype=bool)

    def select(self, cases: NDArray[np.intp]) -> "CaseMetadata":
        """Return what is known of some cases, in the order of ``cases``."""
        bounds = np.searchsorted(self.scan_cases, np.arange(len(self) + 1))
        counts = np.diff(bounds)[cases]
        scans = [np.arange(bounds[case], bounds[case + 1]) for case in cases]
        kept = np.concatenate([np.zeros(0, np.intp), *scans])
        return CaseMetadata(
            splits=tuple(self.splits[case] for case in cases),
            case_ids=tuple(self.case_ids[case] for case in cases),
            patient_ids=tuple(self.patient_ids[case] for case in cases),
            anatomies=self.anatomies[cases],
            label_names=self.label_names,
            labels={column: one[cases] for column, one in self.labels.items()},
            scan_cases=np.repeat(np.arange(len(cases)), counts),
            scan_modalities=self.scan_modalities[kept],
            scan_anatomies=self.scan_anatomies[kept],
            scan_depths=self.scan_depths[kept],
            scan_studies=self.scan_studies[kept],
            unknown={column: one[cases] for column, one in self.unknown.items()},
        )

    def with_labels(self, name: str, column: str, label_ids: Sequence[int]) -> "CaseMetadata":
        """Return what is known of some labels of a column, as a label column of its own."""
        ids = list(label_ids)
        names = self.label_names[column]
        return replace(
            self,
            label_names={name: tuple(names[label] for label in ids)},
            labels={name: self.labels[column][:, ids]},
            unknown={name: self.unknown[column][:, ids]} if column in self.unknown else {},
        )

    def scan_kinds(self) -> TrainingKinds:
        """Return how many scans of each modality and region there are, and in how many cases.

        Where nobody said what a scan shows, the region is that of its case.
        """
        is_unknown = self.scan_anatomies == ANATOMIES.index(Anatomy.UNKNOWN)
        anatomies = np.where(is_unknown, self.anatomies[self.scan_cases], self.scan_anatomies)
        pairs = np.stack([self.scan_modalities, anatomies])
        found, kinds = np.unique(pairs, axis=1, return_inverse=True)
        return TrainingKinds(
            tuple(
                TrainingKind(
                    MODALITIES[modality],
                    ANATOMIES[anatomy],
                    scans=int((kinds == kind).sum()),
                    cases=len(np.unique(self.scan_cases[kinds == kind])),
                )
                for kind, (modality, anatomy) in enumerate(found.T)
            )
        )

    def split_sizes(self) -> dict[str, dict[str, int]]:
        """Return split -> numbers of ``cases``, ``patients``, ``scans`` and ``slices``."""
        sizes = {}
        for split in dict.fromkeys(self.splits):
            cases = self.in_split(split)
            scans = cases[self.scan_cases]
            sizes[split] = {
                "cases": int(cases.sum()),
                "patients": len({self.patient_ids[case] for case in np.flatnonzero(cases)}),
                "scans": int(scans.sum()),
                "slices": int(self.scan_depths[scans].sum()),
            }
        return sizes


def read_metadata(data: CaseData) -> CaseMetadata:
    """Collect what is known of all cases; no pixel is decoded.

    From a `CaseStore` no pixel is read either. A memory-mapped ``Dataset`` leaves them on disk; a
    streamed one has to receive them.

    Raises:
        ValueError: If the columns are not those of a case data set, or a streamed data set does not
            know its columns.
    """
    features = case_columns(data)
    columns: dict[str, list[Any]] = {name: [] for name in ("split", "case_id", "patient_id")}
    anatomies, scans_per_case, modalities, regions, depths = [], [], [], [], []
    studies: list[str | None] = []
    kinds = label_columns(features)
    unknown = {name: unknown_column(name) for name in kinds if unknown_column(name) in features}
    labels: dict[str, list[pa.Array]] = {column: [] for column in (*kinds, *unknown.values())}
    for split, batch in iter_case_batches(data, with_pixels=False):
        columns["split"] += [split] * len(batch)
        columns["case_id"] += batch.column("case_id").to_pylist()
        columns["patient_id"] += batch.column("patient_id").to_pylist()
        anatomies.append(_numbers(batch.column("anatomy")))
        scans = batch.column("scans")
        scans_per_case.append(_numbers(scans.value_lengths()))
        modalities.append(_numbers(pc.struct_field(scans.flatten(), "modality")))
        regions.append(_numbers(pc.struct_field(scans.flatten(), "anatomy")))
        shapes = pc.struct_field(scans.flatten(), ["volume", "shape"])
        depths.append(_numbers(pc.list_element(shapes, 0)))
        if knows_studies(features):
            studies += pc.struct_field(scans.flatten(), "study").to_pylist()
        else:
            studies += [None] * len(shapes)
        for column, arrays in labels.items():
            arrays.append(batch.column(column))
    counts = _join(scans_per_case)
    return CaseMetadata(
        splits=tuple(columns["split"]),
        case_ids=tuple(columns["case_id"]),
        patient_ids=tuple(columns["patient_id"]),
        anatomies=_join(anatomies),
        label_names={name: tuple(one.names) for name, one in kinds.items()},
        labels={name: _indicators(labels[name], one.num_classes) for name, one in kinds.items()},
        unknown={
            name: _indicators(labels[column], kinds[name].num_classes)
            for name, column in unknown.items()
        },
        scan_cases=np.repeat(np.arange(len(counts)), counts),
        scan_modalities=_join(modalities),
        scan_anatomies=_join(regions),
        scan_depths=_join(depths),
        scan_studies=np.array([study or "" for study in studies], dtype=object),
    )


def case_columns(data: CaseData) -> Features:
    """Return the columns of a case data set, the same for all its splits.

    Raises:
        ValueError: If it has no split, or its columns are unknown or not those of cases.
    """
    if isinstance(data, CaseStore):
        return data.features
    if not data:
        raise ValueError("the data set has no split")
    features = next(iter(data.values())).features
    missing = {"case_id", "patient_id", "anatomy", "scans"} - set(features or ())
    if features is None or missing:
        raise ValueError(f"is not a case data set: it has no column {sorted(missing)}")
    return features


def case_label_sets(data: CaseData) -> Mapping[str, LabelSet]:
    """Return label column -> label set; only a store knows codes, definitions and counts.

    Raises:
        ValueError: As `case_columns`.
    """
    if isinstance(data, CaseStore):
        return data.label_sets
    columns = label_columns(case_columns(data))
    return {column: LabelSet(tuple(label.names)) for column, label in columns.items()}


def iter_case_batches(
    data: CaseData, with_pixels: bool, batch_cases: int = 64
) -> Iterator[tuple[str, pa.RecordBatch]]:
    """Yield the split and the rows of some cases at a time, in order, as Arrow data.

    Without pixels, ``volume.data`` may be missing.
    """
    if isinstance(data, CaseStore):
        for split in data.shards:
            for batch in data.iter_batches(split, with_pixels):
                yield split.value, batch
    else:
        for name, cases in data.items():
            for table in cases.with_format("arrow").iter(batch_size=batch_cases):
                for batch in table.to_batches():
                    yield str(name), batch


def _numbers(array: pa.Array) -> NDArray[np.int64]:
    return np.asarray(array.to_numpy(zero_copy_only=False)).astype(np.int64)


def _join(arrays: list[NDArray[np.int64]]) -> NDArray[np.int64]:
    return np.concatenate(arrays) if arrays else np.zeros(0, dtype=np.int64)


def _indicators(arrays: list[pa.Array], num_labels: int) -> csr_array:
    counts = _join([_numbers(array.value_lengths()) for array in arrays])
    columns = _join([_numbers(array.flatten()) for array in arrays])
    bounds = np.concatenate([[0], counts.cumsum()])
    ones = np.ones(len(columns), dtype=bool)
    return csr_array((ones, columns, bounds), shape=(len(counts), num_labels))
