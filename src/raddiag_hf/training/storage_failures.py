"""A disk that takes no more: one error that names the folder, whichever library was writing."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError

from raddiag_hf.training.finetune_settings import FinetuneError

SIGNS = ("(os error ", "No space left", "inline_container", "PytorchStreamWriter")
"""Parts of the messages of safetensors and of ``torch.save``, which raise no `OSError`."""


@contextmanager
def named_storage_failure(folder: Path) -> Iterator[None]:
    """Turn what safetensors and PyTorch say of a failed write into an error that names the folder.

    Raises:
        FinetuneError: If the block could not write.
    """
    try:
        yield
    except (SafetensorError, RuntimeError) as error:
        if not any(sign in str(error) for sign in SIGNS):
            raise
        text = " ".join(str(error).split())
        raise FinetuneError(f"{folder}: cannot be written, is the disk full? {text}") from error
