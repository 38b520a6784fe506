"""The three ways to adapt a model: each ends with logits of cases that it did not learn from."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from raddiag_hf.checkpoints.loading import LoadedModel
from raddiag_hf.checkpoints.model_fingerprint import model_fingerprint
from raddiag_hf.model.modeling_raddiag import RadDiagForImageClassification
from raddiag_hf.training.finetune_data import FinetuneData
from raddiag_hf.training.finetune_settings import FinetuneSettings, Method
from raddiag_hf.training.finetune_training import train_until_best
from raddiag_hf.training.methods.adapters import attach_adapters, save_adapters
from raddiag_hf.training.methods.features import Progress, extract_features
from raddiag_hf.training.methods.linear_probe import choose_probe, fit_linear_probes
from raddiag_hf.vocabulary import Split

CHECKPOINT_FOLDER = "checkpoints"
FEATURES_FORMAT = "rows"
"""Changes with what is stored of cases, so that nothing stored otherwise is read."""


@dataclass(frozen=True)
class AdaptedModel:
    """A model that has learnt.

    Attributes:
        model: The adapted model itself; with LoRA, its adapters not merged.
        logits: Of validation and test cases, ``(cases, labels)``.
        selection: What was chosen on validation, and how, in words.
        save: Writes weights and configuration to a folder.
    """

    model: RadDiagForImageClassification
    logits: dict[Split, NDArray[np.floating[Any]]]
    selection: str
    save: Callable[[Path], None]


def fit_probe(
    model: RadDiagForImageClassification,
    data: FinetuneData,
    loaded: LoadedModel,
    settings: FinetuneSettings,
    work: Path,
    device: torch.device,
    report_progress: Progress,
) -> AdaptedModel:
    """Fit a logistic regression on case embeddings, and make it the model's classifier.

    With late fusion it is fitted on the pooled embeddings of each case's scans, and judged by what
    the finished model does with it: classify scan by scan, and pool the predictions.

    Args:
        model: Of the new labels, with a classifier of one linear layer.
        data: Its training cases are learnt; the penalty is chosen on validation.
        loaded: The model that was adapted.
        settings: Penalties, and how to extract features.
        work: Where embeddings are kept.
        device: Where to encode.
        report_progress: Called after every file of embeddings.
    """
    identity = [
        FEATURES_FORMAT,
        model_fingerprint(loaded),
        model.config.fusion_type,
        data.fingerprint(),
    ]
    fingerprint = hashlib.sha256(" ".join(identity).encode()).hexdigest()
    features = extract_features(
        model,
        data.packed_cases(loaded.processor),
        work / f"features-{fingerprint[:16]}",
        device=device,
        num_workers=settings.num_workers,
        chunk_size=settings.chunk_size,
        report_progress=report_progress,
    )
    labels = {split: torch.from_numpy(data.labels(split)) for split in features}
    report_progress("Fitting", 0, 1)
    training, validation = features[Split.TRAIN], features[Split.VALIDATION]
    probes = fit_linear_probes(training.case_embeddings(), labels[Split.TRAIN], settings.penalties)
    probe, losses = choose_probe(
        probes,
        [validation.predict(probe.logits) for probe in probes],
        labels[Split.VALIDATION],
    )
    report_progress("Fitting", 1, 1)
    model.classifier.load_state_dict({"fc.weight": probe.weight, "fc.bias": probe.bias})
    tried = ", ".join(f"{penalty:g}: {loss:.4f}" for penalty, loss in losses.items())
    return AdaptedModel(
        model,
        {
            split: members.predict(probe.logits).numpy()
            for split, members in features.items()
            if split is not Split.TRAIN
        },
        f"penalty {probe.penalty:g}, by cross-entropy on validation ({tried})",
        model.save_pretrained,
    )


def train_weights(
    model: RadDiagForImageClassification,
    data: FinetuneData,
    loaded: LoadedModel,
    settings: FinetuneSettings,
    work: Path,
    device: torch.device,
    report_progress: Progress,
) -> AdaptedModel:
    """Train adapters or all weights; see `fit_probe` for the arguments."""
    model.config.encoder_chunk_size = settings.chunk_size
    is_lora = settings.method is Method.LORA
    trained: Any = attach_adapters(model, settings.lora_rank) if is_lora else model
    cases = data.packed_cases(loaded.processor)
    course = train_until_best(
        trained,
        cases[Split.TRAIN],
        cases[Split.VALIDATION],
        settings,
        work / CHECKPOINT_FOLDER,
        report_progress,
    )
    logits: dict[Split, NDArray[np.floating[Any]]] = {}
    for split, members in cases.items():
        if split is not Split.TRAIN:
            found = course.trainer.predict(members).predictions
            logits[split] = np.asarray(found, np.float32)

    def save(folder: Path) -> None:
        if is_lora:
            save_adapters(trained, folder, _base_address(loaded.model_id), loaded.revision)
        else:
            model.save_pretrained(folder)

    return AdaptedModel(
        model,
        logits,
        f"epoch {course.best_epoch:g} of {course.num_epochs:g}, by the loss on validation, "
        f"{course.best_validation_loss:.4f}",
        save,
    )


def _base_address(model_id: str) -> str:
    """Return a Hub id as it is, a folder by its absolute path."""
    path = Path(model_id).expanduser()
    return str(path.resolve()) if path.is_dir() else model_id
