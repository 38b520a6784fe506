"""Authors' repository: find its checkpoint and label names, convert once, keep the result."""

import logging
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path, PurePosixPath

from huggingface_hub import constants

from raddiag_hf.checkpoints.convert import CheckpointError, convert_checkpoint
from raddiag_hf.checkpoints.label_file import read_label_file
from raddiag_hf.core.fingerprint import fingerprint
from raddiag_hf.core.model_source import ModelSource, ModelSourceError

logger = logging.getLogger(__name__)

CHECKPOINT_NAMES = ("model.safetensors", "pytorch_model.bin")
"""Names under which the authors' Trainer saves weights; the first is taken where both exist."""

LABEL_FILE_NAME = "disorder_label_dict.json"
"""How the authors name the file of label names."""

LABEL_FILE_ADDRESS = "https://github.com/qiaoyu-zheng/RP3D-Diag (RP3D_Demo/DataPath)"


def convert_authors_repository(
    source: ModelSource, subfolder: str = "", labels: Sequence[str] | None = None
) -> Path:
    """Return a saved model converted from the authors' repository, converting on first use.

    Downloads one checkpoint and at most one label file. The result lies in ``raddiag/`` under
    ``HF_HOME``, by repository, commit and checkpoint; deleting it is safe.

    Args:
        source: The repository, or a folder laid out like it.
        subfolder: Which checkpoint folder, where there are several.
        labels: Label names in the order of the logit columns; by default those of the label file
            in the repository.

    Raises:
        ModelSourceError: If there is no checkpoint, or several and no choice, or no label names, or
            the checkpoint is not one of the authors' or has another number of labels.
        LabelFileError: If the repository's label file cannot be used.
    """
    files = source.list_files()
    checkpoint = find_checkpoint(files, subfolder, source.name)
    if labels is None:
        label_file = find_label_file(files, checkpoint)
        if label_file is None:
            raise ModelSourceError(
                f"{source.name}: has no {LABEL_FILE_NAME}, so the names of its labels are unknown; "
                f"get the authors' file from {LABEL_FILE_ADDRESS} and name it with --labels"
            )
        labels = read_label_file(source.fetch(label_file)).names
    converted = _cache_folder(source, checkpoint, labels)
    if converted.is_dir():
        logger.info("using the converted model in %s", converted)
        return converted
    checkpoint_path = source.fetch(checkpoint)
    logger.info("converting %s", checkpoint_path)
    try:
        convert_checkpoint(checkpoint_path, labels, converted)
    except CheckpointError as error:
        raise ModelSourceError(f"{source.name}: {checkpoint}: {error}") from None
    except OSError:
        if not converted.is_dir():  # else another process was faster, with the same result
            raise
    return converted


def find_checkpoint(files: Sequence[str], subfolder: str, name: str) -> str:
    """Return the one checkpoint among the files of a repository.

    Args:
        files: Relative POSIX paths.
        subfolder: Only look in this folder; everywhere where empty.
        name: The repository, for messages.

    Raises:
        ModelSourceError: If there is none, or several folders have one.
    """
    by_folder: dict[str, str] = {}
    for checkpoint_name in reversed(CHECKPOINT_NAMES):
        for file in files:
            path = PurePosixPath(file)
            if path.name == checkpoint_name:
                by_folder[str(path.parent)] = file
    if subfolder:
        by_folder = {
            folder: file
            for folder, file in by_folder.items()
            if folder == str(PurePosixPath(subfolder))
        }
    where = f"{name}:{subfolder}" if subfolder else name
    if not by_folder:
        raise ModelSourceError(
            f"{where}: no model there: neither config.json of a RadDiag model nor a checkpoint "
            f"({' or '.join(CHECKPOINT_NAMES)})"
        )
    if len(by_folder) > 1:
        folders = ", ".join(sorted(by_folder))
        raise ModelSourceError(
            f"{where}: has {len(by_folder)} checkpoints; choose one as {name}:FOLDER, of {folders}"
        )
    return next(iter(by_folder.values()))


def find_label_file(files: Sequence[str], checkpoint: str) -> str | None:
    """Return the label file of a checkpoint: beside it, else the one nearest to the top."""
    candidates = [file for file in files if PurePosixPath(file).name == LABEL_FILE_NAME]
    beside = str(PurePosixPath(checkpoint).with_name(LABEL_FILE_NAME))
    if beside in candidates:
        return beside
    return min(candidates, key=lambda file: (file.count("/"), file), default=None)


def _cache_folder(source: ModelSource, checkpoint: str, labels: Sequence[str]) -> Path:
    """Return where this very conversion lies: another checkpoint, name or release is another."""
    digest = fingerprint(checkpoint, list(labels), version("raddiag-hf"))[:16]
    owner = source.name.replace("/", "--") if source.commit else "local"
    root = Path(constants.HF_HOME) / "raddiag" / "converted"
    return root / owner / source.content_key(checkpoint) / digest
