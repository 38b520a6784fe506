"""What a fine-tuning starts from: a RadDiag model, a vision backbone, or random weights."""

import torch

from raddiag_hf.checkpoints.loaded_model import LoadedModel
from raddiag_hf.checkpoints.loading import read_model
from raddiag_hf.data.case_splits import CaseSplits
from raddiag_hf.model.configuration_raddiag import RadDiagConfig
from raddiag_hf.model.image_processing_raddiag import RadDiagImageProcessor
from raddiag_hf.model.modeling_raddiag import RadDiagForImageClassification
from raddiag_hf.training.finetune_settings import (
    ChosenSettings,
    Start,
    start_kind,
)
from raddiag_hf.vocabulary import Split


def open_start(
    address: str | None,
    data: CaseSplits,
    settings: ChosenSettings,
    *,
    revision: str | None = None,
    token: str | None = None,
) -> LoadedModel:
    """Return the model to adapt, with its image processor.

    Args:
        address: Folder or Hub id of a RadDiag model, ``backbone:`` and that of a vision backbone,
            or ``scratch``; None for the last.
        data: The cases to learn from; a new network has their labels.
        settings: Without gaps.
        revision: Branch, tag or commit on the Hub.
        token: Access token; the one that is signed in by default.

    Raises:
        ModelSourceError: If a model or backbone is not available.
    """
    kind = start_kind(address)
    if kind is Start.SCRATCH or address is None:
        return _random_network(data, settings)
    return read_model(address, revision=revision, token=token)


def _random_network(data: CaseSplits, settings: ChosenSettings) -> LoadedModel:
    """Return a small network that starts at the prevalence of the labels."""
    label_set = data.label_set
    config = RadDiagConfig.from_preset(
        "small",
        image_size=settings.image_size,
        max_slices=settings.max_slices,
        id2label=label_set.id2label,
        label2id=label_set.label2id,
        label_set_fingerprint=label_set.fingerprint,
        train_label_counts=data[Split.TRAIN].label_counts,
        num_train_cases=len(data[Split.TRAIN]),
    )
    torch.manual_seed(settings.seed)
    return LoadedModel(
        model=RadDiagForImageClassification(config).eval(),
        processor=RadDiagImageProcessor(image_size=config.image_size, max_slices=config.max_slices),
        model_id=Start.SCRATCH,
        revision=None,
    )
