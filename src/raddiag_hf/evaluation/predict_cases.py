"""Predict all cases of a split: by many processes, resumably, in bounded memory."""

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import datasets
import numpy as np
import torch
from accelerate.utils import broadcast_object_list
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from raddiag_hf.checkpoints.loading import LoadedModel
from raddiag_hf.checkpoints.model_fingerprint import model_fingerprint
from raddiag_hf.data.batches.collate import collate_cases
from raddiag_hf.data.batches.training_cases import CasePacker
from raddiag_hf.data.case_splits import CaseSplit
from raddiag_hf.evaluation.prediction_table import (
    EvaluationInputError,
    PredictionTable,
    read_provenance,
)
from raddiag_hf.evaluation.processes import join_processes
from raddiag_hf.evaluation.result_files import remove_results

CASES_PER_BLOCK = 32
"""Cases whose predictions are stored together: what an interrupted process loses."""

_MODEL_KEY, _DATA_KEY = "model_fingerprint", "data_fingerprint"
_COUNTS = ("slice_counts", "scan_counts", "modality_slots")

ProgressReport = Callable[[int, int], None]
"""Called with the cases that this process has predicted and those that it has to."""


@dataclass(frozen=True)
class PredictionSettings:
    """How much is done at once; none of it changes a prediction by more than rounding.

    Attributes:
        batch_slices: Cases go through the model together until their slices are this many; a case
            with more goes alone.
        num_workers: Processes that decode, beside each that predicts; 0 decodes in that one.
        overwrite: Whether predictions of another model or other data are replaced, not refused.

    Raises:
        ValueError: If a number is out of range.
    """

    batch_slices: int = 128
    num_workers: int = 2
    overwrite: bool = False

    def __post_init__(self) -> None:
        if self.batch_slices < 1 or self.num_workers < 0:
            raise ValueError(
                f"batch_slices is {self.batch_slices} and num_workers {self.num_workers}, expected "
                "at least 1 and 0"
            )


def predict_cases(
    loaded: LoadedModel,
    cases: CaseSplit,
    path: Path,
    settings: PredictionSettings | None = None,
    report_progress: ProgressReport | None = None,
) -> None:
    """Write the predictions of a model for a split, as a `PredictionTable`.

    Blocks of cases are shared out among the processes that Accelerate started, by their number of
    slices, and every block is stored when it is done, in ``<stem>.parts`` beside ``path``. Whoever
    is interrupted goes on with the missing blocks, with as many processes as there are then; a
    file that is complete is left as it is. Every process returns when the whole file is there.
    Metrics, tables and figures of earlier predictions in the folder are removed before there are
    others.

    Args:
        loaded: The model, on the device of this process.
        cases: Labelled as the model.
        path: Where to write; its folder is made.
        settings: How much to do at once.
        report_progress: Called in every process after each batch.

    Raises:
        EvaluationInputError: If ``path`` holds predictions of another model or other data, a stored
            scan is damaged or of a modality that the model does not take, or the model's answer is
            not finite; the message names the file or the case.
    """
    settings = settings or PredictionSettings()
    state = join_processes()
    provenance = _describe(loaded, cases)
    parts = path.with_name(f"{path.stem}.parts")
    missing: list[range] | None = None
    if state.is_main_process:
        path.parent.mkdir(parents=True, exist_ok=True)
        stored = [file for file in (path, *sorted(parts.glob("*.parquet"))) if file.exists()]
        _check_stored(stored, provenance, settings.overwrite)
        if path.exists():
            shutil.rmtree(parts, ignore_errors=True)  # left by who was killed after the last step
        else:
            remove_results(path.parent)
            parts.mkdir(exist_ok=True)
            missing = [block for block in _blocks(cases) if not _part(parts, block).exists()]
    (missing,) = broadcast_object_list([missing])
    if missing is None:
        return
    slices = cases.slice_counts(loaded.processor.max_slices)
    share = _share(missing, slices, state.process_index, state.num_processes)
    batches = [rows for block in share for rows in _batches(block, slices, settings.batch_slices)]
    answers = _predict(loaded, cases, batches, settings.num_workers)
    done, total = 0, sum(map(len, share))
    for block in share:
        logits = np.empty((len(block), len(cases.label_set)), dtype=np.float32)
        filled = 0
        while filled < len(block):
            answer = next(answers)
            logits[filled : filled + len(answer)] = answer
            filled += len(answer)
            if report_progress is not None:
                report_progress(done + filled, total)
        done += len(block)
        PredictionTable.of_cases(cases, block, logits, provenance).write(_part(parts, block))
    state.wait_for_everyone()
    if state.is_main_process:
        _join(parts, cases, provenance).write(path)
        shutil.rmtree(parts)
    state.wait_for_everyone()


def _describe(loaded: LoadedModel, cases: CaseSplit) -> dict[str, str]:
    return {
        "model": loaded.model_id,
        "model_revision": loaded.revision or "",
        _MODEL_KEY: model_fingerprint(loaded),
        "dataset": cases.location,
        "split": cases.split,
        "label_column": cases.label_column,
        _DATA_KEY: cases.fingerprint,
    }


def _check_stored(files: Sequence[Path], provenance: Mapping[str, str], overwrite: bool) -> None:
    """Refuse, or remove, predictions of another model or other data."""
    for file in files:
        try:
            found = read_provenance(file)
        except EvaluationInputError:
            if not overwrite:
                raise
            found = {}
        for key, what in ((_MODEL_KEY, "another model"), (_DATA_KEY, "another data set or split")):
            if found.get(key) == provenance[key]:
                continue
            if not overwrite:
                raise EvaluationInputError(
                    f"{file}: holds predictions of {what} than asked for ({found.get('model')} on "
                    f"{found.get('split')} of {found.get('dataset')}); choose another folder, or "
                    "have it overwritten"
                )
            file.unlink(missing_ok=True)


def _blocks(cases: CaseSplit) -> list[range]:
    """Return the rows of each block: the same ones whoever predicts them."""
    starts = range(0, len(cases), CASES_PER_BLOCK)
    return [range(start, min(start + CASES_PER_BLOCK, len(cases))) for start in starts]


def _part(parts: Path, block: range) -> Path:
    return parts / f"cases-{block.start:08d}-{block.stop:08d}.parquet"


def _share(
    blocks: Sequence[range], slices: NDArray[np.int64], process: int, num_processes: int
) -> list[range]:
    """Return the blocks of one process: the largest are dealt first, to whoever has least."""
    work = np.zeros(num_processes, dtype=np.int64)
    share = []
    for block in sorted(blocks, key=lambda block: -slices[block.start : block.stop].sum()):
        owner = int(work.argmin())
        work[owner] += slices[block.start : block.stop].sum()
        if owner == process:
            share.append(block)
    return sorted(share, key=lambda block: block.start)


def _batches(block: range, slices: NDArray[np.int64], batch_slices: int) -> list[list[int]]:
    """Cut a block into batches by slices; a batch never spans blocks, so that blocks repeat."""
    batches: list[list[int]] = []
    left = 0
    for row in block:
        if slices[row] > left:
            batches.append([])
            left = batch_slices
        batches[-1].append(row)
        left -= int(slices[row])
    return batches


@dataclass(frozen=True)
class _DamagedCase:
    """Why a case could not be packed; a value, so that it leaves a worker process in one line."""

    reason: str


class _PackedCases(Dataset[dict[str, Tensor] | _DamagedCase]):
    """Cases as the model reads them, decoded where they are asked for."""

    def __init__(self, rows: datasets.Dataset, packer: CasePacker) -> None:
        self.rows = rows
        self.packer = packer

    def __getitem__(self, index: int) -> dict[str, Tensor] | _DamagedCase:
        row = self.rows[index]
        try:
            return self.packer(row)
        except ValueError as error:
            reason = str(error)
            case = f"case {row['case_id']!r}"
            return _DamagedCase(reason if case in reason else f"{case}: {reason}")


def _collate(
    cases: Sequence[dict[str, Tensor] | _DamagedCase],
) -> dict[str, Tensor] | _DamagedCase:
    packed = []
    for case in cases:
        if isinstance(case, _DamagedCase):
            return case
        packed.append(case)
    return collate_cases(packed)


def _predict(
    loaded: LoadedModel,
    cases: CaseSplit,
    batches: Sequence[list[int]],
    num_workers: int,
) -> Iterator[NDArray[np.float32]]:
    """Yield the logits of each batch, ``(cases, labels)``."""
    model = loaded.model
    packer = CasePacker(cases.features, loaded.processor, cases.label_column)
    loader = DataLoader(
        _PackedCases(cases.rows, packer),
        batch_sampler=batches,
        collate_fn=_collate,
        num_workers=min(num_workers, len(batches)),
        pin_memory=model.device.type == "cuda",
    )
    for batch in loader:
        if isinstance(batch, _DamagedCase):
            raise EvaluationInputError(f"{cases.location}: {batch.reason}")
        with torch.inference_mode():
            output = model(
                pixel_values=batch["pixel_values"].to(model.device, model.dtype, non_blocking=True),
                **{name: batch[name].to(model.device) for name in _COUNTS},
            )
        yield output.logits.float().cpu().numpy()


def _join(parts: Path, cases: CaseSplit, provenance: Mapping[str, str]) -> PredictionTable:
    logits = np.empty((len(cases), len(cases.label_set)), dtype=np.float32)
    for block in _blocks(cases):
        logits[block.start : block.stop] = PredictionTable.read(_part(parts, block)).logits
    return PredictionTable.of_cases(cases, range(len(cases)), logits, provenance)
