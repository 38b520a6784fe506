"""Pre-training of a text encoder on the corpus, by ``transformers.Trainer``."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from accelerate.utils import broadcast_object_list
from torch import nn
from transformers import PrinterCallback, TrainingArguments

from raddiag_hf.core.checkpoint_folders import CheckpointKeeper, last_complete_checkpoint
from raddiag_hf.core.progress import Progress, no_progress
from raddiag_hf.core.trainer import FiniteTrainer, StepProgress, TrainingDivergedError
from raddiag_hf.knowledge.corpus.pairs import KnowledgePair
from raddiag_hf.knowledge.encoder.contrastive import ContrastiveEncoder
from raddiag_hf.knowledge.encoder.pair_batches import PairCollator, PairDataset, PairSampler
from raddiag_hf.knowledge.encoder.pretraining_settings import PretrainingSettings
from raddiag_hf.knowledge.encoder.text_encoder import TextEncoder

NUM_PROBED = 8
"""Texts by which an encoder is recognised whose weights are finite, but too large for use."""
TEMPERATURE_LEARNING_RATE = 1e-3
"""Of the logarithm of a learned temperature, which at an encoder's rate would not move."""


class KnowledgeTrainer(FiniteTrainer):
    """Train a `ContrastiveEncoder` on batches of one kind of pairs.

    Negatives come from the batch of the process itself; they are not gathered from others.
    """

    def advice(self) -> str:
        """Return what to try against divergence."""
        return (
            f"the learning rate of {self.args.learning_rate:g} is too high for this encoder, or "
            "the temperature too low"
        )

    def _get_train_sampler(self, train_dataset: PairDataset | None = None) -> PairSampler:
        dataset = train_dataset or self.train_dataset
        return PairSampler(dataset.pairs, self.args.train_batch_size, self.args.seed)


def pretrain_encoder(
    encoder: TextEncoder,
    pairs: Sequence[KnowledgePair],
    settings: PretrainingSettings,
    checkpoint_dir: Path,
    progress: Progress = no_progress,
) -> list[Mapping[str, float]]:
    """Train an encoder in place, resuming from the last checkpoint in ``checkpoint_dir``.

    Args:
        encoder: What to train; left on the CPU, in evaluation mode.
        pairs: Training pairs.
        settings: How to train.
        checkpoint_dir: Where checkpoints of this run are, or will be.
        progress: Told the steps done.

    Returns:
        The training log: ``loss``, ``learning_rate`` and ``epoch`` by step.

    Raises:
        ValueError: If there are fewer pairs of each kind than a batch has, or more layers are to be
            frozen than there are, or all that there is to train.
        TrainingDivergedError: If loss or weights are no longer numbers; checkpoints stay.
    """
    torch.manual_seed(settings.seed)
    freeze_layers(encoder, settings.frozen_layers)
    model = ContrastiveEncoder(
        encoder,
        temperature=settings.temperature,
        learn_temperature=settings.learn_temperature,
        symmetric=settings.symmetric,
        chunk_size=settings.chunk_size,
    )
    trainer = KnowledgeTrainer(
        model=model,
        args=TrainingArguments(
            output_dir=str(checkpoint_dir),
            per_device_train_batch_size=settings.batch_size,
            num_train_epochs=settings.num_epochs,
            max_steps=settings.max_steps or -1,
            learning_rate=settings.learning_rate,
            lr_scheduler_type="cosine",
            warmup_steps=settings.warmup,
            logging_steps=10,
            save_steps=settings.save_steps,
            seed=settings.seed,
            bf16=settings.bf16,
            remove_unused_columns=False,
            dataloader_drop_last=True,
            ddp_find_unused_parameters=False,
            dataloader_pin_memory=torch.cuda.is_available(),
            report_to="none",
            disable_tqdm=True,
        ),
        train_dataset=PairDataset(pairs),
        data_collator=PairCollator(encoder, settings.max_length),
        optimizers=(_optimizer(model, settings), None),
        callbacks=[CheckpointKeeper(keep=1), StepProgress(progress, "training")],
    )
    trainer.remove_callback(PrinterCallback)  # progress is reported by ours
    last = _checkpoint_to_resume_from(checkpoint_dir)
    trainer.train(resume_from_checkpoint=None if last is None else str(last))
    trainer.check_weights()
    encoder.requires_grad_(True).cpu().eval()
    if not torch.isfinite(encoder.encode([pair.anchor for pair in pairs[:NUM_PROBED]])).all():
        raise TrainingDivergedError(
            f"the embeddings after step {trainer.state.global_step} are not finite: "
            f"{trainer.advice()}"
        )
    return list(trainer.state.log_history)


def freeze_layers(encoder: TextEncoder, count: int) -> None:
    """Keep the embeddings and the lowest ``count`` layers as they are; 0 freezes nothing.

    Raises:
        ValueError: If the encoder has no such layers, or nothing would be left to train.
    """
    if count == 0:
        return
    depth = encoder.model.config.num_hidden_layers
    stacks = (module for module in encoder.model.modules() if isinstance(module, nn.ModuleList))
    layers = next((stack for stack in stacks if len(stack) == depth), None)
    if layers is None or not 0 < count <= depth:
        raise ValueError(f"cannot freeze {count} layers of an encoder of {depth}")
    embeddings = getattr(encoder.model, "embeddings", encoder.model.get_input_embeddings())
    for module in (embeddings, *layers[:count]):
        module.requires_grad_(False)
    if not any(weight.requires_grad for weight in encoder.parameters()):
        raise ValueError(f"with {count} of {depth} layers frozen, nothing is left to train")


def _checkpoint_to_resume_from(folder: Path) -> Path | None:
    """Return the last complete checkpoint, the same in all processes."""
    found = [last_complete_checkpoint(folder) if PartialState().is_main_process else None]
    broadcast_object_list(found)
    return found[0]


def _optimizer(model: ContrastiveEncoder, settings: PretrainingSettings) -> torch.optim.AdamW:
    weights = [weight for weight in model.encoder.parameters() if weight.requires_grad]
    groups: list[dict[str, Any]] = [
        {"params": [weight for weight in weights if weight.ndim > 1]},
        # Norms and biases are not decayed, as is usual.
        {"params": [weight for weight in weights if weight.ndim < 2], "weight_decay": 0.0},
    ]
    if settings.learn_temperature:
        groups.append(
            {
                "params": [model.log_temperature],
                "weight_decay": 0.0,
                "lr": TEMPERATURE_LEARNING_RATE,
            }
        )
    return torch.optim.AdamW(groups, lr=settings.learning_rate, weight_decay=settings.weight_decay)
