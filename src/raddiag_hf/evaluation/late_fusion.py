"""Late fusion as published: one classifier of single scans, pooled in any way afterwards."""

from collections.abc import Iterator
from contextlib import contextmanager

from raddiag_hf.checkpoints.loaded_model import LoadedModel
from raddiag_hf.core.errors import one_line
from raddiag_hf.evaluation.evaluation_settings import EvaluationInputError, LateFusion
from raddiag_hf.model.configuration_raddiag import RadDiagConfig


@contextmanager
def pooled_by(
    loaded: LoadedModel, fusion: LateFusion | None, stores: bool = False
) -> Iterator[None]:
    """Let a model of late fusion pool the predictions of a case's scans in another way.

    Its weights stay, and so does its own way once the block is left. Temperature and thresholds
    were chosen on predictions that were pooled its own way: they are not there in the block, unless
    that is the way asked for.

    Args:
        loaded: The model.
        fusion: How to pool; None for the model's own way.
        stores: Whether thresholds are to be stored with the model, as they cannot for another way.

    Raises:
        EvaluationInputError: If the model fuses scans before it classifies them, its labels do not
            allow this pooling, or thresholds would be stored.

    Source:
        Paper, section 11.2.
    """
    config = loaded.model.config
    if fusion is None or fusion == config.fusion_type:
        yield
        return
    if not config.is_late_fusion:
        raise EvaluationInputError(
            f"{loaded.model_id}: fuses scans by {config.fusion_type} before it classifies them, so "
            f"there are no predictions of single scans to pool by {fusion}"
        )
    if stores:
        raise EvaluationInputError(
            f"{loaded.model_id}: thresholds for scans pooled by {fusion} would be stored with a "
            f"model that pools them by {config.fusion_type}; do not store them, or change "
            "fusion_type in its config.json first"
        )
    asked = {
        "fusion_type": fusion.value,
        "calibration_temperature": 1.0,
        "decision_thresholds": None,
        "decision_threshold_source": None,
    }
    try:
        RadDiagConfig.from_dict(config.to_dict() | asked)
    except (ValueError, TypeError) as error:
        raise EvaluationInputError(f"{loaded.model_id}: {one_line(error)}") from None
    own = {name: getattr(config, name) for name in asked}
    try:
        for name, value in asked.items():
            setattr(config, name, value)
        yield
    finally:
        for name, value in own.items():
            setattr(config, name, value)
