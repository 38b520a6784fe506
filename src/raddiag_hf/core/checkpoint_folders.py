"""Checkpoints that are complete or do not count, whatever happens while they are written."""

import json
import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

from accelerate import PartialState
from safetensors import SafetensorError
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

from raddiag_hf.core.atomic_files import StorageError, atomic_write
from raddiag_hf.core.errors import InputError, one_line
from raddiag_hf.core.fingerprint import file_fingerprint

logger = logging.getLogger(__name__)

MARK = "complete.json"
"""Written last: the size and digest of every other file of a checkpoint."""
_FOREIGN_STATE = (ValueError, KeyError, RuntimeError, TypeError, AttributeError)
"""What optimizers and schedulers raise for a state that is not theirs."""
DAMAGED = "damaged-"
"""Prefix of a checkpoint that was complete once and no longer is what was written."""


class CheckpointDamagedError(InputError):
    """A checkpoint that cannot be resumed from: which, why, and what to do."""


def mark_complete(checkpoint: Path) -> None:
    """Declare a checkpoint complete once its files have reached the disk."""
    files = {}
    for path in _files(checkpoint):
        with path.open("rb") as file:
            os.fsync(file.fileno())
        name = path.relative_to(checkpoint).as_posix()
        files[name] = [path.stat().st_size, file_fingerprint(path)]
    with atomic_write(checkpoint / MARK) as temporary:
        temporary.write_text(json.dumps(files, indent=1) + "\n", "utf-8")


def find_damage(checkpoint: Path) -> str | None:
    """Return what is wrong with a checkpoint, or None if it is as it was written."""
    mark = checkpoint / MARK
    if not mark.is_file():
        return "was not written to its end"
    try:
        expected = json.loads(mark.read_text("utf-8"))
    except ValueError:
        return f"{MARK} is damaged"
    for name, (size, digest) in expected.items():
        path = checkpoint / name
        if not path.is_file():
            return f"{name} is missing"
        if path.stat().st_size != size:
            return f"{name} has {path.stat().st_size:,} of {size:,} bytes"
        if file_fingerprint(path) != digest:
            return f"{name} is not what was written"
    return None


def checkpoint_step(checkpoint: Path) -> int:
    """Return the step of a ``checkpoint-<step>`` folder, -1 for any other."""
    prefix, _, step = checkpoint.name.rpartition("-")
    return int(step) if prefix == PREFIX_CHECKPOINT_DIR and step.isdecimal() else -1


def list_checkpoints(output_dir: Path) -> list[Path]:
    """Return the checkpoint folders of a run, whole or not, the earliest first."""
    found = (path for path in output_dir.glob(f"{PREFIX_CHECKPOINT_DIR}-*") if path.is_dir())
    return sorted((path for path in found if checkpoint_step(path) >= 0), key=checkpoint_step)


def last_complete_checkpoint(output_dir: Path) -> Path | None:
    """Return the latest checkpoint that is complete; warn of every other one and put it away.

    One that was not written to its end is removed. One that was complete and has been damaged since
    is renamed to ``damaged-checkpoint-<step>``. Call it in one process.
    """
    complete = None
    for checkpoint in list_checkpoints(output_dir):
        damage = find_damage(checkpoint)
        if damage is None:
            complete = checkpoint
            continue
        logger.warning("%s: %s; it is not used", checkpoint, damage)
        if (checkpoint / MARK).is_file():
            aside = checkpoint.with_name(DAMAGED + checkpoint.name)
            shutil.rmtree(aside, ignore_errors=True)
            checkpoint.rename(aside)
        else:
            shutil.rmtree(checkpoint)
    return complete


@contextmanager
def named_checkpoint_failure(output_dir: Path) -> Iterator[None]:
    """Turn a failure while a checkpoint is written into an error that names the last good one.

    Raises:
        StorageError: If the block left a checkpoint unfinished, which is removed.
    """
    try:
        yield
    except (OSError, RuntimeError, SafetensorError) as error:
        unfinished = [one for one in list_checkpoints(output_dir) if not (one / MARK).is_file()]
        if not unfinished:
            raise
        for folder in unfinished:
            shutil.rmtree(folder, ignore_errors=True)
        raise failed_write(unfinished[-1], output_dir, error) from error


class ResumeGuard(TrainerCallback):
    """Turns what a checkpoint of others, or of other settings, raises into one clear error.

    Nothing of a checkpoint is unpickled but tensors and plain values; what else is in it ends the
    run.

    Args:
        checkpoint: That is resumed from; None guards nothing.
    """

    def __init__(self, checkpoint: Path | None) -> None:
        self.checkpoint = checkpoint
        self.has_begun = False

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Note that weights and optimizer are read."""
        self.has_begun = True

    @contextmanager
    def guard(self) -> Iterator[None]:
        """Explain what the block raises of the checkpoint.

        Raises:
            CheckpointDamagedError: If its files are not those that the Trainer wrote.
        """
        try:
            yield
        except InputError:
            raise
        except (UnpicklingError, EOFError, *_FOREIGN_STATE) as error:
            is_of_files = isinstance(error, (UnpicklingError, EOFError)) or not self.has_begun
            if self.checkpoint is None or not is_of_files:
                raise
            # What torch says of such files would advise to unpickle them all the same.
            said = (
                "holds more than tensors"
                if isinstance(error, UnpicklingError)
                else one_line(error, 200)
            )
            raise CheckpointDamagedError(
                f"{self.checkpoint}: cannot be resumed from ({said}); remove it, and the run goes "
                "on from the one before it or anew"
            ) from error


def failed_write(path: Path, output_dir: Path, error: Exception) -> StorageError:
    """Return an error that says what could not be written, and which checkpoint is the last one."""
    free = shutil.disk_usage(output_dir).free / 1e9
    complete = list_checkpoints(output_dir)
    last = f"the last good one is {complete[-1]}" if complete else "there is no earlier one"
    return StorageError(
        f"{path}: could not be written ({one_line(error, 300)}); {free:.1f} GB are free, {last}"
    )


class CheckpointKeeper(TrainerCallback):
    """Marks each checkpoint of the Trainer once all processes wrote it; only then drops older ones.

    The Trainer must not drop any itself (``save_total_limit=None``): it would before the newest is
    safe.

    Args:
        keep: Latest checkpoints that stay, beside the best one; None for all.
        best: The best one of a resumed run. The Trainer looks for it where it was written and
            forgets it if the run has been moved.

    Raises:
        ValueError: If ``keep`` is below 1.
    """

    def __init__(self, keep: int | None = 2, best: Path | None = None) -> None:
        if keep is not None and keep < 1:
            raise ValueError(f"keep is {keep}, expected at least 1")
        self.keep = keep
        self.best = best

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Tell the Trainer where the best checkpoint lies."""
        if self.best is not None:
            state.best_model_checkpoint = str(self.best)

    def on_save(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Mark what the Trainer has just written."""
        PartialState().wait_for_everyone()
        if args.should_save:
            output_dir = Path(args.output_dir)
            mark_complete(output_dir / f"{PREFIX_CHECKPOINT_DIR}-{state.global_step}")
            self._drop_older(output_dir, state.best_model_checkpoint)
        PartialState().wait_for_everyone()

    def _drop_older(self, output_dir: Path, best: str | None) -> None:
        if self.keep is None:
            return
        for checkpoint in list_checkpoints(output_dir)[: -self.keep]:
            if best is None or checkpoint.resolve() != Path(best).resolve():
                (checkpoint / MARK).unlink(missing_ok=True)  # half a folder must not look whole
                shutil.rmtree(checkpoint)


def _files(checkpoint: Path) -> list[Path]:
    return sorted(path for path in checkpoint.rglob("*") if path.is_file() and path.name != MARK)
