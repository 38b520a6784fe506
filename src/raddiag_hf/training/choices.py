"""What a fine-tuning chose where nobody said, each with its reason, for people to read."""

from raddiag_hf.data.case_splits import CaseSplits
from raddiag_hf.evaluation.report.tables import count
from raddiag_hf.model.configuration_raddiag import RadDiagConfig
from raddiag_hf.training.finetune_settings import (
    Augmentation,
    ChosenSettings,
    FinetuneSettings,
    Fusion,
    Method,
    Start,
)
from raddiag_hf.training.model_adaptation import Adaptation
from raddiag_hf.vocabulary import Split


def tell_choices(
    asked: FinetuneSettings,
    chosen: ChosenSettings,
    start: Start,
    data: CaseSplits,
    config: RadDiagConfig,
    adaptation: Adaptation,
    *,
    is_start_named: bool,
) -> tuple[str, ...]:
    """Return what was chosen and why, in the order in which a reader would ask.

    Args:
        asked: The settings with their gaps.
        chosen: The same without.
        start: What the training starts from.
        data: The cases to learn from.
        config: Of the network that it starts with.
        adaptation: What of it stays.
        is_start_named: Whether somebody named the start.
    """
    told = []
    if not is_start_named:
        told.append(
            "Start: random weights, for no model was named; a vision backbone (--start "
            "backbone:ID) often learns more from few cases."
        )
    if start is Start.SCRATCH:
        told.append(
            f"Encoder: ResNet-{config.resnet_depth} and attention over slices and scans, a network "
            f"made for some hundred cases; there are {len(data[Split.TRAIN])} to train on."
        )
    if asked.image_size is None:
        reason = {
            Start.SCRATCH: "for speed",
            Start.BACKBONE: "as the backbone has them",
            Start.MODEL: "as the model has them",
        }[start]
        told.append(
            f"Images: {config.image_size} pixels, {reason}; up to {config.max_slices} slices of a "
            "scan."
        )
    if asked.method is None and start is not Start.SCRATCH:
        told.append(
            f"Method: {chosen.method}, which takes the encoder as it is; lora and full adapt it to "
            f"{count(len(data[Split.TRAIN]), 'training case')}, and take longer."
        )
    if asked.num_epochs is None and chosen.method in (Method.FULL, Method.LORA):
        told.append(_epochs(chosen, start, data))
    if asked.augmentation is None and chosen.augmentation is Augmentation.SIDED:
        told.append(
            "Augmentation: sided, small turns and shifts but no mirrored scans, for a label names "
            "a side."
        )
    elif asked.augmentation is None and chosen.augmentation is Augmentation.LIGHT:
        told.append(
            "Augmentation: light, small turns, shifts and mirrors, for no label names a side."
        )
    if asked.fusion is Fusion.AUTO:
        told.append(f"Fusion: {_fusion(chosen, data, adaptation)}.")
    if asked.exclusive is None and adaptation.is_exclusive:
        told.append(
            "Labels: exclusive, one softmax, for every case has exactly one; --no-exclusive learns "
            "each by itself."
        )
    return tuple(told)


def _epochs(chosen: ChosenSettings, start: Start, data: CaseSplits) -> str:
    cases = count(len(data[Split.TRAIN]), "training case")
    steps = (
        f"Epochs: {chosen.num_epochs}, for {cases} in steps of {chosen.batch_size}, at "
        f"{chosen.learning_rate:g}"
    )
    if start is Start.SCRATCH and chosen.train_batch_norm:
        return f"{steps}; batch norms are trained, for those of random weights have seen nothing."
    if chosen.patience is None:
        return f"{steps}."
    return f"{steps}, at most; {chosen.patience} without a better validation loss end them."


def _fusion(chosen: ChosenSettings, data: CaseSplits, adaptation: Adaptation) -> str:
    """Return whether scans are fused, and why, where nobody said."""
    if adaptation.skips_fusion or adaptation.fusion != "kept":
        return adaptation.fusion.replace(":", ", for")
    if data.is_single_scan:
        return "kept, which is idle where every case has one scan"
    if chosen.method is Method.ATTENTIVE_PROBE:
        return "chosen by cross-validation, for cases have several scans"
    return "kept, for cases have several scans"
