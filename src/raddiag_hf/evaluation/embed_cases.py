"""Embeddings of a whole data set, of cases, scans and slices, as Parquet."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Subset

from raddiag_hf.checkpoints.loaded_model import LoadedModel, model_fingerprint
from raddiag_hf.core.atomic_files import atomic_write
from raddiag_hf.core.errors import InputError
from raddiag_hf.core.progress import Progress, no_progress
from raddiag_hf.core.run_folder import RunFolder
from raddiag_hf.data.batches.collate import collate_cases
from raddiag_hf.data.case_splits import CaseSplit, CaseSplits
from raddiag_hf.data.store.case import unknown_column
from raddiag_hf.data.store.scan_record import MODALITIES
from raddiag_hf.evaluation.embedding_settings import EmbeddingSettings, Level
from raddiag_hf.model.configuration_raddiag import SLICE_ENCODER_TYPES
from raddiag_hf.model.scan_resampling import sampled_slices

FILE_FORMAT = 1
"""Version of the tables; it stands in their metadata, under ``raddiag_embeddings``."""
METADATA_KEY = "raddiag_embeddings"
BLOCK_CASES, BATCH_CASES = 64, 4
"""Cases that are stored together, which is what an interruption loses; and encoded together."""
WORK_FOLDER = ".work"


def embed_cases(
    loaded: LoadedModel,
    data: CaseSplits,
    output: Path,
    settings: EmbeddingSettings | None = None,
    progress: Progress = no_progress,
) -> tuple[Path, ...]:
    """Write the embeddings of all cases of a data set, and return the files.

    ``cases.parquet`` has the columns ``case_id, patient_id, split, labels`` (names; null where
    nobody labelled the case), ``unknown_labels`` (only of data sets that have some) and
    ``embedding``; ``scans.parquet`` has ``case_id, split, scan`` (its
    place in the case) and ``modality``; ``slices.parquet`` has ``case_id, split, scan`` and
    ``slice`` (its place in the stored scan). An embedding is a list of float32 of one length. An
    interrupted run resumes when this is called again with equal arguments.

    Args:
        loaded: The model; any encoder, with a classifier or not.
        data: Cases; their labels need not be the model's.
        output: Folder to make.
        settings: What to embed.
        progress: Called after every few cases.

    Raises:
        InputError: If slices are asked for of an encoder of whole scans.
        RunFolderError, RunInProgressError: If ``output`` holds something else, or is at work.

    Example:
        >>> from raddiag_hf.data.opening import open_cases
        >>> from raddiag_hf import load_model
        >>> files = embed_cases(load_model("model"), open_cases("cases"), Path("embeddings"))
        >>> [path.name for path in files]
        ['cases.parquet', 'scans.parquet', 'slices.parquet']
    """
    settings = settings or EmbeddingSettings()
    levels = _levels(loaded, settings)
    identity = {
        "model": model_fingerprint(loaded),
        "data": data.fingerprint,
        "levels": [str(level) for level in levels],
    }
    folder = RunFolder(output, work=output / WORK_FOLDER)
    files = tuple(output / f"{level}s.parquet" for level in levels)
    with folder.claim(identity):
        if all(path.is_file() for path in files):
            return files
        blocks = [
            (cases, range(first, min(first + BLOCK_CASES, len(cases))))
            for cases in data.values()
            for first in range(0, len(cases), BLOCK_CASES)
        ]
        done, total = 0, sum(len(rows) for _, rows in blocks)
        for cases, rows in blocks:
            if not all(_part(folder, level, cases, rows).is_file() for level in levels):
                rows_of = _embed_block(loaded, cases, rows, levels, settings.num_workers)
                for level in levels:
                    table = _table(level, rows_of[level], loaded, data)
                    with atomic_write(_part(folder, level, cases, rows)) as temporary:
                        pq.write_table(table, temporary)
            done += len(rows)
            progress("Embedding cases", done, total)
        with folder.results(last=files[-1].name) as staging:
            for level, path in zip(levels, files, strict=True):
                parts = [_part(folder, level, cases, rows) for cases, rows in blocks]
                _concatenate(parts, staging / path.name)
        for level in levels:
            for cases, rows in blocks:
                _part(folder, level, cases, rows).unlink()
    return files


def _levels(loaded: LoadedModel, settings: EmbeddingSettings) -> tuple[Level, ...]:
    encoder_type = loaded.model.config.encoder_type
    has_slices = encoder_type in SLICE_ENCODER_TYPES
    if Level.SLICE in settings.level and not has_slices:
        raise InputError(
            f"level is slice, but the encoder of {loaded.model_id} is {encoder_type}, which "
            "encodes scans as a whole; choose case or scan"
        )
    possible = [level for level in Level if has_slices or level is not Level.SLICE]
    return tuple(level for level in possible if not settings.level or level in settings.level)


def _part(folder: RunFolder, level: Level, cases: CaseSplit, rows: range) -> Path:
    return folder.work / f"{level}-{cases.split}-{rows.start:08d}.parquet"


@torch.inference_mode()
def _embed_block(
    loaded: LoadedModel,
    cases: CaseSplit,
    rows: range,
    levels: Sequence[Level],
    num_workers: int,
) -> dict[Level, dict[str, list[Any]]]:
    """Return the columns of each level's table for some cases."""
    loader = DataLoader(
        Subset(cases.pack(loaded.processor), rows),
        batch_size=BATCH_CASES,
        collate_fn=collate_cases,
        num_workers=num_workers,
    )
    found: dict[Level, dict[str, list[Any]]] = {level: {} for level in levels}
    case = rows.start
    for batch in loader:
        embeddings = _embed_batch(loaded, batch)
        count = len(batch["scan_counts"])
        encoded = batch["slice_counts"].tolist()
        described = _describe(cases, range(case, case + count), encoded)
        for level in levels:
            columns = described[level] | {"embedding": list(embeddings[level])}
            for name, values in columns.items():
                found[level].setdefault(name, []).extend(values)
        case += count
    return found


def _embed_batch(
    loaded: LoadedModel, batch: Mapping[str, Tensor]
) -> dict[Level, NDArray[np.float32]]:
    """Return the embeddings of a packed batch, one row for each case, scan and slice."""
    network: Any = loaded.model.base_model
    device, dtype = loaded.model.device, loaded.model.dtype
    pixels = batch["pixel_values"].to(device, dtype)
    packing = ("slice_counts", "scan_counts", "modality_slots")
    counts = {name: batch[name].to(device) for name in packing}
    found: dict[Level, Tensor] = {}
    if loaded.model.config.encoder_type in SLICE_ENCODER_TYPES:
        found[Level.SLICE] = network.encode_slices(pixels)
        output = network(None, slice_features=found[Level.SLICE], **counts)
    else:
        output = network(pixels, **counts)
    found |= {Level.SCAN: output.scan_embeddings, Level.CASE: output.pooler_output}
    return {level: one.float().cpu().numpy() for level, one in found.items()}


def _describe(
    cases: CaseSplit, rows: range, slice_counts: Sequence[int]
) -> dict[Level, dict[str, list[Any]]]:
    """Return what is known of some cases, their scans and the slices that are encoded."""
    known, names = cases.metadata, cases.label_set.names
    labels = known.labels[cases.label_column][rows.start : rows.stop].toarray()
    is_labelled = cases.unknown_counts[rows.start : rows.stop] < len(names)
    unknown = known.unknown.get(cases.label_column)
    of_cases: dict[str, list[Any]] = {
        "case_id": list(known.case_ids[rows.start : rows.stop]),
        "patient_id": list(known.patient_ids[rows.start : rows.stop]),
        "split": [str(cases.split)] * len(rows),
        "labels": [
            [names[column] for column in np.flatnonzero(one)] if is_known else None
            for one, is_known in zip(labels, is_labelled, strict=True)
        ],
    }
    if unknown is not None:
        of_cases[unknown_column("labels")] = [
            [names[column] for column in np.flatnonzero(one)]
            for one in unknown[rows.start : rows.stop].toarray()
        ]
    of_scans: dict[str, list[Any]] = {name: [] for name in ("case_id", "split", "scan", "modality")}
    of_slices: dict[str, list[Any]] = {name: [] for name in ("case_id", "split", "scan", "slice")}
    first, last = np.searchsorted(known.scan_cases, (rows.start, rows.stop))
    place, previous = 0, -1
    for scan, num_slices in zip(range(first, last), slice_counts, strict=True):
        case = int(known.scan_cases[scan])
        place, previous = (place + 1 if case == previous else 0), case
        shared = {"case_id": known.case_ids[case], "split": str(cases.split), "scan": place}
        modality = MODALITIES[known.scan_modalities[scan]].value
        for name, value in {**shared, "modality": modality}.items():
            of_scans[name].append(value)
        kept = sampled_slices(int(known.scan_depths[scan]), num_slices).tolist()
        for slice_ in kept if len(kept) == num_slices else [0] * num_slices:  # a repeated picture
            for name, value in {**shared, "slice": slice_}.items():
                of_slices[name].append(value)
    return {Level.CASE: of_cases, Level.SCAN: of_scans, Level.SLICE: of_slices}


def _table(
    level: Level, columns: Mapping[str, list[Any]], loaded: LoadedModel, data: CaseSplits
) -> pa.Table:
    content = {
        "format": FILE_FORMAT,
        "level": str(level),
        "model": Path(loaded.model_id).name if loaded.revision is None else loaded.model_id,
        "model_revision": loaded.revision or "",
        "model_fingerprint": model_fingerprint(loaded),
        "data_fingerprint": data.fingerprint,
        "label_names": data.label_set.names,
    }
    embeddings = np.stack(columns["embedding"])
    arrays = {name: pa.array(one) for name, one in columns.items() if name != "embedding"}
    for name in {"labels", unknown_column("labels")} & arrays.keys():
        arrays[name] = pa.array(columns[name], pa.list_(pa.string()))
    flat = pa.array(embeddings.ravel(), pa.float32())
    arrays["embedding"] = pa.FixedSizeListArray.from_arrays(flat, embeddings.shape[1])
    return pa.table(arrays, metadata={METADATA_KEY: json.dumps(content, ensure_ascii=False)})


def _concatenate(parts: Sequence[Path], path: Path) -> None:
    """Join tables of one schema, one in memory at a time."""
    with ExitStack() as stack:
        writer: pq.ParquetWriter | None = None
        for table in _tables(parts):
            if writer is None:
                writer = stack.enter_context(
                    pq.ParquetWriter(path, table.schema, compression="zstd")
                )
            writer.write_table(table)


def _tables(parts: Sequence[Path]) -> Iterator[pa.Table]:
    for part in parts:
        yield pq.ParquetFile(part).read()
