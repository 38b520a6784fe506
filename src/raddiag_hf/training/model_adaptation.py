"""A trained model with the classifier and the fusion that another data set needs."""

from dataclasses import dataclass
from typing import Any

import torch

from raddiag_hf.labels.label_set import LabelSet
from raddiag_hf.model.configuration_checks import MULTI_LABEL, SINGLE_LABEL
from raddiag_hf.model.configuration_raddiag import RadDiagConfig
from raddiag_hf.model.label_texts import label_names
from raddiag_hf.model.modeling_raddiag import RadDiagForImageClassification
from raddiag_hf.training.finetune_settings import (
    PROBES,
    ChosenSettings,
    FinetuneError,
    Fusion,
    Head,
)


@dataclass(frozen=True)
class Adaptation:
    """What of a model stays, and what is new.

    Attributes:
        classifier_type: That of the adapted model.
        head: Where its classifier comes from, in words.
        skips_fusion: Whether scans are classified one by one.
        fusion: The same in words.
        kept_head: Prefixes of the classifier's weights that are kept.
        is_exclusive: Whether labels are exclusive: a softmax.
    """

    classifier_type: str
    head: str
    skips_fusion: bool
    fusion: str
    kept_head: tuple[str, ...]
    is_exclusive: bool = False


def plan_adaptation(
    config: RadDiagConfig,
    label_set: LabelSet,
    is_single_scan: bool,
    settings: ChosenSettings,
    *,
    is_exclusive: bool = False,
) -> Adaptation:
    """Decide what of a model of this configuration stays.

    Args:
        config: The trained model's.
        label_set: The labels to learn.
        is_single_scan: Whether every case of the data set has one scan.
        settings: Method, head and fusion that were asked for, and whether labels are exclusive.
        is_exclusive: Whether every case of the data set has exactly one label.

    Raises:
        FinetuneError: If a knowledge head was asked for and the model has none, or the model keeps
            exclusive labels that those of the data set are not.

    Source:
        Paper, section 2.4: for data sets with single image input the visual encoder alone is
        adopted, otherwise the whole model; the final classification layer is trained from scratch.
    """
    own = tuple(label_names(config))
    has_fusion = not config.is_late_fusion
    is_probe = settings.method in PROBES
    if settings.head is Head.KNOWLEDGE and config.classifier_type != "knowledge":
        raise FinetuneError(
            f"head is knowledge, but the model's classifier is {config.classifier_type}; only a "
            "model that was trained with label texts can read new label names"
        )
    keeps_head = not is_probe and (own == label_set.names or settings.head is Head.KNOWLEDGE)
    skips = has_fusion and (
        settings.fusion is Fusion.SKIP
        or (settings.fusion is Fusion.AUTO and is_single_scan and not keeps_head)
    )
    if skips:
        fusion = "skipped: every case has one scan" if is_single_scan else "skipped, as asked for"
    else:
        fusion = "kept" if has_fusion else f"{config.fusion_type}, the model's own"
    if keeps_head:
        is_read = settings.head is Head.KNOWLEDGE
        head = "knowledge head, by label names" if is_read else "the model's own"
        kept_head: tuple[str, ...] = ("classifier.",)
        classifier_type = config.classifier_type
    elif config.classifier_type == "linear" and not skips and not is_probe:
        head, kept_head = "last layer from scratch", ("classifier.fc1.",)
        classifier_type = "linear"
    else:
        head = "logistic regression" if is_probe else "one linear layer, from scratch"
        kept_head, classifier_type = (), "probe"
    exclusive = settings.exclusive
    if exclusive is None and keeps_head:
        exclusive = config.has_exclusive_labels
        if exclusive and not is_exclusive:
            raise FinetuneError(
                "the labels of the model are exclusive, but the data set has cases with no label "
                "or several, or of unknown ones: set exclusive to False"
            )
    obstacle = _softmax_obstacle(config, skips, is_probe)
    if exclusive is None:
        exclusive = is_exclusive and obstacle is None
    if exclusive and obstacle is not None:
        raise FinetuneError(f"exclusive is True, but {obstacle}")
    if exclusive and not keeps_head:
        head += ", with a softmax over exclusive labels"
    return Adaptation(classifier_type, head, skips, fusion, kept_head, exclusive)


def _softmax_obstacle(config: RadDiagConfig, skips_fusion: bool, is_probe: bool) -> str | None:
    """Return what of a model that stays forbids exclusive labels."""
    if config.classification_loss != "bce" and not is_probe:
        return f"the model is trained with the loss {config.classification_loss}"
    if config.fusion_type == "max" and not skips_fusion:
        return "the model takes the highest prediction of a case's scans"
    return None


def adapt_model(
    base: RadDiagForImageClassification,
    adaptation: Adaptation,
    label_set: LabelSet,
    num_train_cases: int,
    settings: ChosenSettings,
    train_known_counts: list[int] | None = None,
) -> RadDiagForImageClassification:
    """Return a model of the new labels with the weights of ``base`` that stay.

    Without fusion the model averages the probabilities of a case's scans; of one scan that is its
    own. Thresholds of the base do not carry over. A knowledge head that reads new names still needs
    their text embeddings.

    The loss that the base was trained with stays, with the label counts of the new training cases;
    probes have the cross-entropy that they are fitted with.

    Args:
        base: The trained model.
        adaptation: What of it stays.
        label_set: The labels to learn, with the training cases of each.
        num_train_cases: Training cases in all.
        settings: Method, seed, and whether batch norms are trained.
        train_known_counts: Training cases of which each label is known; None: all.
    """
    changes: dict[str, Any] = {
        "id2label": label_set.id2label,
        "label2id": label_set.label2id,
        "label_set_fingerprint": label_set.fingerprint,
        "classifier_type": adaptation.classifier_type,
        "decision_thresholds": None,
        "decision_threshold_source": None,
        "calibration_temperature": 1.0,
        "freeze_batch_norm": not settings.train_batch_norm,
        "train_label_counts": list(label_set.train_counts) or None,
        "train_known_counts": train_known_counts,
        "num_train_cases": num_train_cases,
        "problem_type": SINGLE_LABEL if adaptation.is_exclusive else MULTI_LABEL,
    }
    if settings.method in PROBES:
        changes["classification_loss"] = "bce"
    if adaptation.classifier_type != "knowledge":
        changes |= {
            "text_encoder_fingerprint": None,
            "trained_labels": None,
            "trained_label_counts": None,
        }
    if adaptation.skips_fusion:
        changes["fusion_type"] = "mean"
    if adaptation.skips_fusion or settings.method in PROBES:  # probes fit predictions of cases
        changes["late_fusion_training"] = "pooled"
    torch.manual_seed(settings.seed)
    model = RadDiagForImageClassification(RadDiagConfig.from_dict(base.config.to_dict() | changes))
    wanted = model.state_dict()
    kept = ("raddiag.", *adaptation.kept_head)
    weights = {
        name: tensor
        for name, tensor in base.state_dict().items()
        if name.startswith(kept) and name in wanted and tensor.shape == wanted[name].shape
    }
    model.load_state_dict(weights, strict=False)
    return model.eval()
