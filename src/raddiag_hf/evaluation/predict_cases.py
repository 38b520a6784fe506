"""Predict all cases of a split: by many processes, resumably, in bounded memory."""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import datasets
import numpy as np
import torch
from accelerate import PartialState
from accelerate.utils import broadcast_object_list, parse_flag_from_env
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from raddiag_hf.checkpoints.loaded_model import (
    LoadedModel,
    choose_device,
    find_unreasonable,
    model_fingerprint,
)
from raddiag_hf.core.progress import Progress, no_progress
from raddiag_hf.core.run_folder import RunFolder, RunFolderError
from raddiag_hf.data.batches.collate import collate_cases
from raddiag_hf.data.batches.training_cases import CasePacker
from raddiag_hf.data.case_splits import CaseSplit
from raddiag_hf.evaluation.evaluation_folder import remove_results
from raddiag_hf.evaluation.evaluation_settings import EvaluationInputError, PredictionSettings
from raddiag_hf.evaluation.prediction_table import PredictionTable, read_provenance

CASES_PER_BLOCK = 32
"""Cases whose predictions are stored together: what an interrupted process loses."""

_MODEL_KEY, _DATA_KEY = "model_fingerprint", "data_fingerprint"
_COUNTS = ("slice_counts", "scan_counts", "modality_slots")

LONGEST_WAIT = timedelta(days=7)
"""How long processes wait for the slowest; the launcher ends them all when one fails."""


def join_processes(device: str | None = None) -> PartialState:
    """Return this process's place among those that were started together; alone, the only one.

    Args:
        device: ``"cpu"`` for processes without accelerators; by default each takes one, where there
            are some and ``ACCELERATE_USE_CPU`` does not say otherwise.

    Raises:
        DeviceError: If there is no such device.
    """
    is_cpu = choose_device(device).type == "cpu" or parse_flag_from_env("ACCELERATE_USE_CPU")
    return PartialState(cpu=is_cpu, timeout=LONGEST_WAIT)


def predict_cases(
    loaded: LoadedModel,
    cases: CaseSplit,
    path: Path,
    settings: PredictionSettings | None = None,
    progress: Progress = no_progress,
) -> None:
    """Write the predictions of a model for a split, as a `PredictionTable`.

    Blocks of cases are shared out among the processes that Accelerate started, by their number of
    slices, and every block is stored when it is done, in ``<stem>.parts`` beside ``path``. A call
    that was interrupted is resumed with the missing blocks, by as many processes as there are then;
    a file that is complete is left as it is. Every process returns when the whole file is there.
    Metrics, tables and figures of earlier predictions in the folder are removed before there are
    others.

    Args:
        loaded: The model, on the device of this process.
        cases: Labelled as the model.
        path: Where to write; its folder is made.
        settings: How much to do at once.
        progress: Told of this process's cases after each batch.

    Raises:
        RunFolderError: If ``path`` holds predictions of another model or other data.
        RunInProgressError: If somebody else is predicting into it.
        EvaluationInputError: If ``path`` is no table of predictions, a stored scan is damaged or of
            a modality that the model does not take, or the model's answer is not finite; the
            message names the file or the case.
    """
    settings = settings or PredictionSettings()
    state = join_processes()
    provenance = _describe(loaded, cases)
    parts = path.with_name(f"{path.stem}.parts")
    if state.is_main_process and not settings.overwrite:
        _compare(path, parts, provenance, overwrite=False)  # before anything is written
    with RunFolder(path, work=parts).lock():
        missing: list[range] | None = None
        if state.is_main_process:
            _compare(path, parts, provenance, settings.overwrite)
            if not path.exists():
                remove_results(path.parent)
                missing = [block for block in _blocks(cases) if not _part(parts, block).exists()]
        (missing,) = broadcast_object_list([missing])
        if missing is not None:
            share = _share(missing, cases.slice_counts(loaded.processor.max_slices), state)
            _predict_blocks(loaded, cases, share, parts, provenance, settings, progress)
            state.wait_for_everyone()
            if state.is_main_process:
                _join(parts, cases, provenance).write(path)
        if state.is_main_process:
            shutil.rmtree(parts)
        state.wait_for_everyone()


def check_predictions(loaded: LoadedModel, cases: CaseSplit, path: Path) -> None:
    """Refuse predictions of another model or other data, whole or begun; write nothing.

    Args:
        loaded: The model.
        cases: Labelled as the model.
        path: Of the predictions, which need not be there.

    Raises:
        RunFolderError: As it says.
        EvaluationInputError: If ``path`` is no table of predictions.
    """
    parts = path.with_name(f"{path.stem}.parts")
    _compare(path, parts, _describe(loaded, cases), overwrite=False)


def remove_other_models(path: Path, provenance: Mapping[str, str]) -> None:
    """Remove predictions of another model, where there are any.

    Args:
        path: Of the predictions.
        provenance: Of predictions of the model that is not another.
    """
    try:
        found = read_provenance(path)
    except FileNotFoundError:
        return
    except EvaluationInputError:
        found = {}
    if found.get(_MODEL_KEY) != provenance[_MODEL_KEY]:
        path.unlink()


def _predict_blocks(
    loaded: LoadedModel,
    cases: CaseSplit,
    share: Sequence[range],
    parts: Path,
    provenance: Mapping[str, str],
    settings: PredictionSettings,
    progress: Progress,
) -> None:
    """Predict the blocks of this process, and store each when it is done."""
    slices = cases.slice_counts(loaded.processor.max_slices)
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
            progress(f"Predicting {cases.split} cases", done + filled, total)
        done += len(block)
        table = PredictionTable.of_cases(cases, block, logits, provenance)
        _check_answers(table, loaded.model_id)
        table.write(_part(parts, block))


def _check_answers(table: PredictionTable, model_id: str) -> None:
    """Refuse logits that no sound network gives."""
    for case_id, row in zip(table.case_ids, torch.from_numpy(table.logits), strict=True):
        if (found := find_unreasonable(row)) is not None:
            raise EvaluationInputError(
                f"case {case_id!r}: the model's answer {found}; are its weights damaged: "
                f"{model_id}?"
            )


def _describe(loaded: LoadedModel, cases: CaseSplit) -> dict[str, str]:
    return {
        "model": loaded.model_id,
        "model_revision": loaded.revision or "",
        _MODEL_KEY: model_fingerprint(loaded),
        "fusion": loaded.model.config.fusion_type,
        "dataset": cases.location,
        "split": cases.split,
        "label_column": cases.label_column,
        _DATA_KEY: cases.fingerprint,
    }


def _compare(path: Path, parts: Path, provenance: Mapping[str, str], overwrite: bool) -> None:
    """Refuse, or remove, predictions of another model or other data."""
    names = {"model": _MODEL_KEY, "data set or split": _DATA_KEY}
    identity = {name: provenance[key] for name, key in names.items()}
    for file in (path, *sorted(parts.glob("*.parquet"))):
        if not file.exists():
            continue
        try:
            found = read_provenance(file)
            earlier = {name: found.get(key) for name, key in names.items()}
            RunFolder(file).compare(
                identity,
                earlier,
                f"it holds predictions of {_named(found)}, expected {_named(provenance)}; name "
                "another folder, or replace them (--overwrite, in Python overwrite=True)",
            )
        except (RunFolderError, EvaluationInputError):
            if not overwrite:
                raise
            file.unlink()


def _named(provenance: Mapping[str, str]) -> str:
    """Name a model and its data; weights may change under one name, so it has theirs."""
    model = f"{provenance.get('model')} (weights {provenance.get(_MODEL_KEY, '')[:12]})"
    return f"{model} for {provenance.get('dataset')} {provenance.get('split')}"


def _blocks(cases: CaseSplit) -> list[range]:
    """Return the rows of each block: the same ones whoever predicts them."""
    starts = range(0, len(cases), CASES_PER_BLOCK)
    return [range(start, min(start + CASES_PER_BLOCK, len(cases))) for start in starts]


def _part(parts: Path, block: range) -> Path:
    return parts / f"cases-{block.start:08d}-{block.stop:08d}.parquet"


def _share(blocks: Sequence[range], slices: NDArray[np.int64], state: PartialState) -> list[range]:
    """Return the blocks of one process: the largest are dealt first, to whoever has least."""
    work = np.zeros(state.num_processes, dtype=np.int64)
    share = []
    for block in sorted(blocks, key=lambda block: -slices[block.start : block.stop].sum()):
        owner = int(work.argmin())
        work[owner] += slices[block.start : block.stop].sum()
        if owner == state.process_index:
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
    loader = DataLoader(
        _PackedCases(cases.rows, cases.packer(loaded.processor)),
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
