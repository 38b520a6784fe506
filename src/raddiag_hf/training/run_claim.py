"""An output folder belongs to one run: what makes it the same run, and that only one is at work."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from accelerate import PartialState
from datasets import Dataset
from transformers import TrainingArguments

from raddiag_hf.core.atomic_files import atomic_write
from raddiag_hf.core.run_folder import LOCK_FILE, RunFolder
from raddiag_hf.data.store.case_metadata import read_metadata
from raddiag_hf.training.preparation import TrainingData
from raddiag_hf.training.recipe import Recipe
from raddiag_hf.training.recipe_file import RecipeError

RUN_FILE = "run.json"
HARMLESS_ARGUMENTS = frozenset(
    {
        "per_device_train_batch_size",  # the cases of a step are compared instead
        "gradient_accumulation_steps",
        "per_device_eval_batch_size",
        "dataloader_num_workers",
        "dataloader_persistent_workers",
        "dataloader_prefetch_factor",
        "dataloader_pin_memory",
        "disable_tqdm",
        "logging_steps",
        "report_to",
        "run_name",
        "save_total_limit",
        "ddp_backend",
        "ddp_timeout",
    }
)
"""Training arguments that may change between a run and its continuation."""
COMPARED_CASES = 16
"""Cases of each split whose pixels are compared: all of them would take hours to read."""


@contextmanager
def sole_run(output: Path) -> Iterator[None]:
    """Keep other runs out of an output folder; every process of this run may enter.

    Raises:
        RecipeError: If the folder holds something that is no run.
        RunInProgressError: If another run is at work there.
    """
    if not PartialState().is_main_process:
        yield
        return
    present = {path.name for path in output.iterdir()} if output.is_dir() else set()
    if present - {LOCK_FILE} and RUN_FILE not in present:
        raise RecipeError(f"{output}: is not empty and holds no run to go on with")
    with RunFolder(output).lock():
        yield


def claim_output(
    output: Path,
    recipe: Recipe,
    args: TrainingArguments,
    data: TrainingData,
    text_encoder: str | None,
) -> None:
    """Make the output folder this run's, or refuse one that is another's.

    Args:
        output: Folder of the run.
        recipe: What it follows.
        args: The Trainer's arguments.
        data: Its cases.
        text_encoder: Fingerprint of the encoder that embedded its label names, if one did.

    Raises:
        RecipeError: If it holds the run of another recipe or of other data, or its record of that
            is damaged.
    """
    run = {
        "recipe": _comparable(recipe),
        "cases_per_step": args.per_device_train_batch_size
        * args.gradient_accumulation_steps
        * args.world_size,
        "train_cases": len(data.train),
        "label_set": data.label_set.fingerprint,
        "data": {
            "train": cases_fingerprint(data.train),
            "validation": None if data.validation is None else cases_fingerprint(data.validation),
        },
        "checkpoint": _checkpoint_fingerprint(recipe.model.checkpoint),
        "text_encoder": text_encoder,
    }
    path = output / RUN_FILE
    if path.is_file():
        try:
            earlier = json.loads(path.read_text("utf-8"))
        except ValueError:
            raise RecipeError(
                f"{path}: is damaged, so that it is not known whose run this is; name another "
                "output, or remove it"
            ) from None
        if differing := sorted(_differences(earlier, json.loads(json.dumps(run)))):
            raise RecipeError(
                f"{output}: holds a run that differs in {', '.join(differing)}; name another "
                "output, or remove it"
            )
        return
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(run, indent=1) + "\n", "utf-8")


def cases_fingerprint(cases: Dataset) -> str:
    """Return what stands for cases wherever they lie: all but the pixels, and those of some."""
    known = read_metadata({"cases": cases})
    scans = (known.scan_cases, known.scan_modalities, known.scan_depths)
    content = [
        known.case_ids,
        known.patient_ids,
        [array.tolist() for array in (known.anatomies, *scans)],
        {
            column: [known.label_names[column], one.indptr.tolist(), one.indices.tolist()]
            for column, one in known.labels.items()
        },
    ]
    digest = hashlib.sha256(json.dumps(content).encode())
    spread = np.linspace(0, len(cases) - 1, min(len(cases), COMPARED_CASES)).astype(int)
    for row in spread.tolist():
        for scan in cases[row]["scans"]:
            digest.update(scan["volume"]["data"])
    return digest.hexdigest()


def _checkpoint_fingerprint(checkpoint: str | None) -> str | None:
    """Return what stands for the files of a checkpoint's folder; None for one on the Hub."""
    if checkpoint is None or not Path(checkpoint).is_dir():
        return None
    digest = hashlib.sha256()
    for path in sorted(Path(checkpoint).iterdir()):
        if path.suffix in (".json", ".safetensors"):
            with path.open("rb") as file:
                digest.update(
                    f"{path.name} {hashlib.file_digest(file, 'sha256').digest()!r}".encode()
                )
    return digest.hexdigest()


def _comparable(recipe: Recipe) -> dict[str, Any]:
    content = recipe.to_dict()
    del content["output"]
    content["training"] = {
        name: value for name, value in recipe.training.items() if name not in HARMLESS_ARGUMENTS
    }
    return content


def _differences(earlier: Any, current: Any, where: str = "") -> list[str]:
    if isinstance(earlier, Mapping) and isinstance(current, Mapping):
        return [
            difference
            for key in {**earlier, **current}
            for difference in _differences(
                earlier.get(key), current.get(key), f"{where}.{key}" if where else key
            )
        ]
    return [] if earlier == current else [where]
