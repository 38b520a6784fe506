"""The logits of a model for many cases, with what is needed to evaluate them, as one file."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from raddiag_hf.core.atomic_files import atomic_write
from raddiag_hf.core.file_format import check_format
from raddiag_hf.data.case_splits import CaseSplit
from raddiag_hf.data.store.case import unknown_column
from raddiag_hf.data.store.scan_record import ANATOMIES, MODALITIES
from raddiag_hf.evaluation.evaluation_settings import EvaluationInputError
from raddiag_hf.vocabulary import Anatomy

FILE_FORMAT = 1
_METADATA_KEY = b"raddiag_predictions"
_ROW_GROUP_CELLS = 2**22
_UNKNOWN = unknown_column("labels")


@dataclass(frozen=True, eq=False)
class PredictionTable:
    """What a model predicts for each case, and what is true of it.

    Attributes:
        case_ids: Of each case, unique.
        patient_ids: Pseudonym of each case's patient.
        anatomies: Region of each case, as `Anatomy` spells it; None where nobody knows.
        modalities: The distinct modalities of each case's scans, as `Modality` spells them, in its
            order.
        labels: Which case has which label, boolean, shape ``(cases, labels)``.
        logits: Raw output of the model, float32 and finite, shape ``(cases, labels)``.
        label_names: Name of each column.
        provenance: What made the logits and of what, by name; free of meaning here.
        unknown: Which label is unknown of which case, as ``labels``, where it is False; None where
            all are known.

    Raises:
        EvaluationInputError: If the fields do not fit together, a case occurs twice, a label is
            there and unknown, or a logit is not finite; the message names the field or the case.
    """

    case_ids: tuple[str, ...]
    patient_ids: tuple[str, ...]
    anatomies: tuple[str | None, ...]
    modalities: tuple[tuple[str, ...], ...]
    labels: NDArray[np.bool_]
    logits: NDArray[np.float32]
    label_names: tuple[str, ...]
    provenance: Mapping[str, str] = field(default_factory=dict)
    unknown: NDArray[np.bool_] | None = None

    @classmethod
    def of_cases(
        cls,
        cases: CaseSplit,
        rows: range,
        logits: NDArray[np.float32],
        provenance: Mapping[str, str],
    ) -> "PredictionTable":
        """Join the logits of some cases, ``(rows, labels)``, with what is known of these cases."""
        known = cases.metadata
        first, last = np.searchsorted(known.scan_cases, (rows.start, rows.stop))
        scans = slice(first, last)
        modalities: list[set[int]] = [set() for _ in rows]
        for case, modality in zip(
            known.scan_cases[scans], known.scan_modalities[scans], strict=True
        ):
            modalities[case - rows.start].add(int(modality))
        anatomies = [ANATOMIES[region] for region in known.anatomies[rows.start : rows.stop]]
        unknown = known.unknown.get(cases.label_column)
        if unknown is not None:
            unknown = unknown[rows.start : rows.stop].toarray()
        return cls(
            case_ids=known.case_ids[rows.start : rows.stop],
            patient_ids=known.patient_ids[rows.start : rows.stop],
            anatomies=tuple(
                None if region is Anatomy.UNKNOWN else region.value for region in anatomies
            ),
            modalities=tuple(
                tuple(MODALITIES[modality].value for modality in sorted(found))
                for found in modalities
            ),
            labels=known.labels[cases.label_column][rows.start : rows.stop].toarray(),
            logits=logits,
            label_names=cases.label_set.names,
            provenance=provenance,
            unknown=unknown if unknown is not None and unknown.any() else None,
        )

    def __post_init__(self) -> None:
        shape = (len(self.case_ids), len(self.label_names))
        for name in ("patient_ids", "anatomies", "modalities"):
            if len(getattr(self, name)) != shape[0]:
                raise EvaluationInputError(
                    f"{name} has {len(getattr(self, name))} entries for {shape[0]} cases"
                )
        for name, dtype in (("labels", np.bool_), ("logits", np.float32), ("unknown", np.bool_)):
            array = getattr(self, name)
            if array is None:
                continue
            if array.shape != shape or array.dtype != dtype:
                raise EvaluationInputError(
                    f"{name} is {array.dtype} of shape {array.shape}, expected "
                    f"{np.dtype(dtype)} of shape {shape}: (cases, labels)"
                )
        if len(set(self.case_ids)) < len(self.case_ids):
            twice = Counter(self.case_ids).most_common(1)[0][0]
            raise EvaluationInputError(f"case {twice!r} occurs twice")
        if self.unknown is not None and (both := (self.labels & self.unknown).any(axis=1)).any():
            case = self.case_ids[both.argmax()]
            raise EvaluationInputError(f"case {case!r} has a label that is unknown too")
        broken = np.flatnonzero(~np.isfinite(self.logits).all(axis=1))
        if len(broken):
            raise EvaluationInputError(
                f"case {self.case_ids[broken[0]]!r} has a logit that is not finite"
            )

    def __len__(self) -> int:
        return len(self.case_ids)

    @cached_property
    def label2id(self) -> Mapping[str, int]:
        """Name -> column."""
        return {name: column for column, name in enumerate(self.label_names)}

    @cached_property
    def targets(self) -> NDArray[np.bool_] | NDArray[np.float32]:
        """The labels as metrics take them: ``labels``, or 0, 1, and NaN where unknown."""
        if self.unknown is None:
            return self.labels
        return np.where(self.unknown, np.float32(np.nan), self.labels.astype(np.float32))

    def select(self, rows: NDArray[np.bool_] | NDArray[np.intp]) -> "PredictionTable":
        """Return some cases, chosen by a mask over the cases or by their rows, in that order."""
        chosen = np.arange(len(self))[rows]
        return replace(
            self,
            case_ids=tuple(self.case_ids[row] for row in chosen),
            patient_ids=tuple(self.patient_ids[row] for row in chosen),
            anatomies=tuple(self.anatomies[row] for row in chosen),
            modalities=tuple(self.modalities[row] for row in chosen),
            labels=self.labels[chosen],
            logits=self.logits[chosen],
            unknown=None if self.unknown is None else self.unknown[chosen],
        )

    def write(self, path: Path | str) -> None:
        """Write the table as Parquet; an existing file is replaced at once or not at all.

        Columns are ``case_id, patient_id, anatomy, modalities``, ``labels`` (columns of the labels
        that a case has), ``unknown_labels`` (of those that are unknown; only where some are) and
        ``logits`` (as many as there are labels). The label names and the provenance stand in the
        schema's metadata, as JSON under ``raddiag_predictions``.
        """
        content = {
            "format": FILE_FORMAT,
            "label_names": self.label_names,
            "provenance": dict(self.provenance),
        }
        indicators = {"labels": self.labels}
        if self.unknown is not None:
            indicators[_UNKNOWN] = self.unknown
        table = pa.table(
            {
                "case_id": pa.array(self.case_ids, pa.string()),
                "patient_id": pa.array(self.patient_ids, pa.string()),
                "anatomy": pa.array(self.anatomies, pa.string()),
                "modalities": pa.array(self.modalities, pa.list_(pa.string())),
                **{name: _lists(one) for name, one in indicators.items()},
                "logits": pa.FixedSizeListArray.from_arrays(
                    self.logits.ravel(), len(self.label_names)
                ),
            },
            metadata={_METADATA_KEY: json.dumps(content, ensure_ascii=False)},
        )
        with atomic_write(path) as temporary:
            pq.write_table(
                table,
                temporary,
                row_group_size=max(1, _ROW_GROUP_CELLS // max(1, len(self.label_names))),
                compression="zstd",
                # Neighbouring logits share their exponents, not their last digits.
                use_dictionary=["anatomy", "modalities.list.element"],
                column_encoding={"logits.list.element": "BYTE_STREAM_SPLIT"},
            )

    @classmethod
    def read(cls, path: Path | str) -> "PredictionTable":
        """Read what `write` wrote.

        Raises:
            EvaluationInputError: If the file is not such a table; the message names it.
            OSError: If it cannot be opened.
        """
        with _explained(path):
            table = pq.ParquetFile(path).read()
            content = _content(table.schema)
            return cls(
                **_columns(table, tuple(content["label_names"])),
                provenance=content["provenance"],
            )


def read_provenance(path: Path | str) -> Mapping[str, str]:
    """Return the provenance of a table that `PredictionTable.write` wrote, and read nothing else.

    Raises:
        EvaluationInputError: If the file is not such a table; the message names it.
        OSError: If it cannot be opened.
    """
    with _explained(path):
        provenance: dict[str, str] = _content(pq.read_schema(path))["provenance"]
        return provenance


@contextmanager
def _explained(path: Path | str) -> Iterator[None]:
    try:
        yield
    except KeyError as error:
        raise EvaluationInputError(
            f"{path}: is not a table of predictions: it has no {error}"
        ) from None
    except (ValueError, TypeError, pa.ArrowException) as error:
        raise EvaluationInputError(f"{path}: is not a table of predictions: {error}") from error
    except OSError as error:
        if error.errno is not None:
            raise
        # Arrow's word for damaged content, which does not name the file.
        raise EvaluationInputError(f"{path}: is damaged: {error}") from error


def _content(schema: pa.Schema) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((schema.metadata or {})[_METADATA_KEY])
    check_format(content.get("format", 1), FILE_FORMAT)
    return content


def _columns(table: pa.Table, label_names: tuple[str, ...]) -> dict[str, Any]:
    logits = _values(table.column("logits"), pa.float32())
    has_unknown = _UNKNOWN in table.column_names
    return {
        "case_ids": tuple(table.column("case_id").to_pylist()),
        "patient_ids": tuple(table.column("patient_id").to_pylist()),
        "anatomies": tuple(table.column("anatomy").to_pylist()),
        "modalities": tuple(map(tuple, table.column("modalities").to_pylist())),
        "labels": _indicators(table.column("labels"), len(label_names)),
        "unknown": _indicators(table.column(_UNKNOWN), len(label_names)) if has_unknown else None,
        "logits": logits.reshape(len(table), len(label_names)),
        "label_names": label_names,
    }


def _lists(indicators: NDArray[np.bool_]) -> pa.ListArray:
    """Return for each case the columns that are True."""
    bounds = np.concatenate(([0], indicators.sum(axis=1).cumsum())).astype(np.int32)
    return pa.ListArray.from_arrays(bounds, np.nonzero(indicators)[1].astype(np.int32))


def _indicators(lists: pa.ChunkedArray, num_labels: int) -> NDArray[np.bool_]:
    """Return what `_lists` made lists of."""
    columns = _values(lists, pa.int32())
    counts = lists.combine_chunks().value_lengths().to_numpy(zero_copy_only=False)
    found = np.zeros((len(lists), num_labels), dtype=np.bool_)
    if len(columns) and not 0 <= columns.min() <= columns.max() < num_labels:
        raise ValueError(f"a case has label {columns.max()}, but there are {num_labels}")
    found[np.repeat(np.arange(len(lists)), counts), columns] = True
    return found


def _values(column: pa.ChunkedArray, expected: pa.DataType) -> NDArray[Any]:
    if not hasattr(column.type, "value_type") or column.type.value_type != expected:
        raise ValueError(f"a column is {column.type}, expected lists of {expected}")
    return np.asarray(column.combine_chunks().flatten().to_numpy(zero_copy_only=False))
