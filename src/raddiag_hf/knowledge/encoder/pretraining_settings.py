"""Settings of the pre-training of a text encoder."""

from dataclasses import dataclass
from typing import Annotated

from raddiag_hf.core.settings import Setting, check_settings


@dataclass(frozen=True)
class PretrainingSettings:
    """How a text encoder is pre-trained.

    Attributes:
        learning_rate: At its highest, after the warm-up; it then falls as a cosine.
        batch_size: Pairs of a batch on each process: a pair is contrasted with the others of its
            batch.
        chunk_size: Texts that are encoded at once; bounds memory, at the cost of one more forward
            pass.
        num_epochs: Passes over the pairs.
        max_steps: Steps, instead of epochs.
        max_length: Tokens after which training texts are cut.
        temperature: At the start, or throughout.
        learn_temperature: Train the temperature.
        symmetric: See `ContrastiveEncoder`.
        frozen_layers: Keep the embeddings and so many layers above them as they are, which saves
            time; 0 trains all.
        warmup: Share of the steps over which the learning rate rises.
        weight_decay: Of AdamW.
        save_steps: Steps between checkpoints.
        seed: Of order, hard negatives and dropout.
        bf16: Compute in bfloat16 where that is safe.

    Raises:
        InputError: If a value is of another type or out of its range.
    """

    learning_rate: Annotated[float, Setting(min=0)] = 2e-5
    batch_size: Annotated[int, Setting(min=2, metavar="N")] = 256
    chunk_size: Annotated[int, Setting(min=1, metavar="N")] = 64
    num_epochs: Annotated[float, Setting("--epochs", min=0)] = 3.0
    max_steps: Annotated[int | None, Setting(min=1, metavar="N")] = None
    max_length: Annotated[int, Setting(min=8, metavar="N")] = 64
    temperature: Annotated[float, Setting(min=0.001)] = 0.05
    learn_temperature: Annotated[bool, Setting("--learn-temperature/--fixed-temperature")] = True
    symmetric: Annotated[bool, Setting(python_only=True)] = True
    frozen_layers: Annotated[int, Setting(min=0, metavar="N")] = 0
    warmup: Annotated[float, Setting(python_only=True)] = 0.1
    weight_decay: Annotated[float, Setting(python_only=True)] = 0.01
    save_steps: Annotated[int, Setting(min=1, metavar="N")] = 500
    seed: Annotated[int, Setting(min=0)] = 0
    bf16: bool = False

    def __post_init__(self) -> None:
        check_settings(self)
