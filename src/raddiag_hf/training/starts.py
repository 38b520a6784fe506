"""What a fine-tuning starts from: a RadDiag model, a vision backbone, or random weights."""

from typing import Any

import torch

from raddiag_hf.checkpoints.backbones import load_backbone
from raddiag_hf.checkpoints.loaded_model import LoadedModel
from raddiag_hf.checkpoints.loading import read_model
from raddiag_hf.data.case_splits import CaseSplits
from raddiag_hf.model.configuration_checks import MULTI_LABEL, SINGLE_LABEL
from raddiag_hf.model.configuration_raddiag import RadDiagConfig
from raddiag_hf.model.image_processing_raddiag import RadDiagImageProcessor
from raddiag_hf.model.modeling_raddiag import RadDiagForImageClassification
from raddiag_hf.training.finetune_defaults import MAX_SLICES
from raddiag_hf.training.finetune_settings import (
    BACKBONE_PREFIX,
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
    if kind is Start.BACKBONE:
        torch.manual_seed(settings.seed)
        return load_backbone(
            address.removeprefix(BACKBONE_PREFIX),
            labels=data.label_set.names,
            image_size=settings.image_size,
            max_slices=settings.max_slices or MAX_SLICES,
            ct_channel_windows=settings.ct_channel_windows,
            revision=revision,
            token=token,
            **_label_fields(data, settings),
        )
    return read_model(address, revision=revision, token=token)


def _random_network(data: CaseSplits, settings: ChosenSettings) -> LoadedModel:
    """Return a small network that starts at the prevalence of the labels."""
    config = RadDiagConfig.from_preset(
        "small",
        image_size=settings.image_size,
        max_slices=settings.max_slices,
        id2label=data.label_set.id2label,
        label2id=data.label_set.label2id,
        **_label_fields(data, settings),
    )
    torch.manual_seed(settings.seed)
    return LoadedModel(
        model=RadDiagForImageClassification(config).eval(),
        processor=RadDiagImageProcessor(image_size=config.image_size, max_slices=config.max_slices),
        model_id=Start.SCRATCH,
        revision=None,
    )


def _label_fields(data: CaseSplits, settings: ChosenSettings) -> dict[str, Any]:
    """Return what a new classifier knows of its labels: which they are, and how rare each is."""
    return {
        "label_set_fingerprint": data.label_set.fingerprint,
        **data[Split.TRAIN].frequency_fields(),
        "problem_type": SINGLE_LABEL if settings.exclusive else MULTI_LABEL,
    }
