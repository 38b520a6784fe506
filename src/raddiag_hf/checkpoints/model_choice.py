"""Model choice: which model a verb uses, and how it computes."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from raddiag_hf.core.settings import Setting, check_settings

if TYPE_CHECKING:
    from raddiag_hf.checkpoints.loaded_model import LoadedModel


class Precision(StrEnum):
    """What the encoder computes in."""

    FLOAT32 = "float32"
    BF16 = "bf16"


@dataclass(frozen=True)
class ModelChoice:
    """A model to load for inference; `load_model` has the details.

    Attributes:
        model: Folder or Hub id of a RadDiag model, or of the authors' repository, which is
            converted once. ID:FOLDER names a folder in it.
        labels: Label names of the authors' checkpoint, where its repository has none: JSON name
            -> column, a JSON list, or one name per line.
        device: cuda, cuda:N, mps or cpu; by default the fastest.
        dtype: bf16 is faster where the hardware has it.
        chunk_size: Slices encoded at once; fewer need less memory.
        revision: Branch, tag or commit on the Hub.
        subfolder: The same as ID:FOLDER.

    Raises:
        InputError: If a value is out of its range.
    """

    model: Annotated[str, Setting("-m", metavar="ID")]
    labels: Annotated[Path | None, Setting(metavar="FILE")] = None
    device: Annotated[str | None, Setting(metavar="NAME")] = None
    dtype: Precision = Precision.FLOAT32
    chunk_size: Annotated[int | None, Setting(min=1, metavar="N")] = None
    revision: Annotated[str | None, Setting(metavar="REV")] = None
    subfolder: Annotated[str, Setting(metavar="FOLDER")] = ""

    def __post_init__(self) -> None:
        check_settings(self)

    def label_names(self) -> tuple[str, ...] | None:
        """Read the label names, to be refused before the model is loaded.

        Raises:
            LabelFileError: If the file cannot be used.
        """
        from raddiag_hf.checkpoints.label_file import read_label_file

        return None if self.labels is None else read_label_file(self.labels).names

    def load(self, device: str | None = None) -> "LoadedModel":
        """Load the model.

        Args:
            device: Instead of the one that was chosen, as of one process among several.

        Raises:
            LabelFileError, ModelSourceError, DeviceError: As `load_model` does.
        """
        import torch

        from raddiag_hf.checkpoints.loading import load_model

        return load_model(
            self.model,
            labels=self.label_names(),
            subfolder=self.subfolder,
            device=device or self.device,
            dtype=torch.bfloat16 if self.dtype is Precision.BF16 else torch.float32,
            revision=self.revision,
            encoder_chunk_size=self.chunk_size,
        )
