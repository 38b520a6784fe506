"""Label texts: another label space for a trained model, by the names of its labels."""

import logging
from collections.abc import Sequence
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from .configuration_raddiag import RadDiagConfig
from .heads import KnowledgeHead
from .label_names import check_label_names, label_fingerprint

logger = logging.getLogger(__name__)

SAME_TEXT = 0.999
"""Cosine from which two embeddings of a name come from one encoder, whatever the hardware."""
COMPARED_NAMES = 8
"""Names by which an encoder is recognised where no fingerprint tells."""


class LabelTextEncoder(Protocol):
    """What embeds label names: `raddiag_hf.knowledge.encoder.text_encoder.TextEncoder`, for one."""

    @property
    def fingerprint(self) -> str:
        """Digest of all that an embedding depends on."""
        ...

    def encode(self, texts: Sequence[str]) -> Tensor:
        """Return one embedding per text, ``(texts, width)``."""
        ...


class LabelTextError(ValueError):
    """Label names or a text encoder that do not fit the model."""


@torch.no_grad()
def replace_label_texts(
    config: RadDiagConfig,
    head: KnowledgeHead,
    names: Sequence[str],
    encoder: LabelTextEncoder | None,
    for_training: bool,
) -> None:
    """Change the label space of a head and of its configuration.

    See `RadDiagForImageClassification.set_label_texts`, whose work this is.
    """
    try:
        check_label_names(names)
    except ValueError as error:
        raise LabelTextError(str(error)) from None
    if config.has_exclusive_labels and len(names) < 2:
        raise LabelTextError("one label is named, but the labels of this model exclude each other")
    forgets = for_training and encoder is not None
    known = {} if forgets else known_label_embeddings(config, head)
    new = [name for name in names if name not in known]
    if encoder is not None:
        _check_encoder(config, encoder, known)
    elif new:
        raise LabelTextError(
            f"the model has no text embedding of {len(new)} of {len(names)} labels, {new[0]!r} "
            "for one: give the text encoder that it was trained with"
        )
    rows = dict(known)
    if encoder is not None and new:
        rows |= zip(new, _encode(encoder, new, head).to(head.label_embeddings), strict=True)
    embeddings = torch.stack([rows[name] for name in names])

    before, counts = label_names(config), _known_train_counts(config)
    if for_training or not known or list(names) == (config.trained_labels or before):
        head.set_label_embeddings(embeddings)
        config.trained_labels = config.trained_label_counts = None
    else:
        if config.trained_labels is None:
            config.trained_labels = before
            config.trained_label_counts = config.train_label_counts
        head.open_label_embeddings(embeddings)
        if untrained := len(set(names).difference(config.trained_labels)):
            logger.warning(
                "%d of %d labels were not trained and are known by their names alone",
                untrained,
                len(names),
            )
    if encoder is not None:
        config.text_encoder_fingerprint = encoder.fingerprint
    _rename_labels(config, before, names, counts)


def label_names(config: RadDiagConfig) -> list[str]:
    """Return the label names in the order of the logits."""
    return [config.id2label[column] for column in range(config.num_labels)]


def known_label_embeddings(config: RadDiagConfig, head: KnowledgeHead) -> dict[str, Tensor]:
    """Return the text embeddings that a head holds, by name; none where nobody set any."""
    if not head.has_label_embeddings():
        return {}
    known = dict(zip(label_names(config), head.label_embeddings, strict=True))
    if config.trained_labels is not None:
        trained = zip(config.trained_labels, head.reference_embeddings(), strict=True)
        known |= dict(trained)
    return known


def _check_encoder(
    config: RadDiagConfig, encoder: LabelTextEncoder, known: dict[str, Tensor]
) -> None:
    """Refuse an encoder whose embeddings mean nothing to this model."""
    expected = config.text_encoder_fingerprint
    if not known or encoder.fingerprint == expected:
        return
    if expected is not None:
        raise LabelTextError(
            f"the label texts of this model were embedded by the text encoder {expected[:12]}..., "
            f"but this one is {encoder.fingerprint[:12]}...: its embeddings mean nothing here"
        )
    # A converted checkpoint does not say which encoder made its embeddings; they tell.
    names = list(known)[:COMPARED_NAMES]
    stored = torch.stack([known[name] for name in names]).float().cpu()
    found = encoder.encode(names).float().cpu()
    same = stored.shape == found.shape and F.cosine_similarity(stored, found).min() > SAME_TEXT
    if not same:
        raise LabelTextError(
            f"the text encoder embeds {names[0]!r} and others differently from the label texts of "
            "this model: it is another encoder than the one that the model was trained with"
        )


def _encode(encoder: LabelTextEncoder, names: Sequence[str], head: KnowledgeHead) -> Tensor:
    found = encoder.encode(names)
    expected = (len(names), head.projection.in_features)
    if tuple(found.shape) != expected:
        raise LabelTextError(
            f"the text encoder gives embeddings of shape {tuple(found.shape)}, the model takes "
            f"{expected}"
        )
    if not torch.isfinite(found).all():
        raise LabelTextError("the text encoder is broken: its embeddings are not finite numbers")
    return found


def _known_train_counts(config: RadDiagConfig) -> dict[str, int] | None:
    """Return the training cases of the present labels and of those of the training, by name."""
    if config.train_label_counts is None:
        return None
    counts = dict(zip(label_names(config), config.train_label_counts, strict=True))
    if config.trained_labels is not None and config.trained_label_counts is not None:
        counts |= zip(config.trained_labels, config.trained_label_counts, strict=True)
    return counts


def _rename_labels(
    config: RadDiagConfig,
    before: Sequence[str],
    names: Sequence[str],
    counts: dict[str, int] | None,
) -> None:
    if list(before) == list(names):
        config.label_set_fingerprint = label_fingerprint(names)
        return
    if config.decision_thresholds is not None:
        logger.warning(
            "dropped the decision thresholds of %d labels: they were chosen for another label set",
            len(config.decision_thresholds),
        )
    config.decision_thresholds = config.decision_threshold_source = None
    config.train_known_counts = None
    if counts is not None:
        config.train_label_counts = [counts.get(name, 0) for name in names]
    config.id2label = dict(enumerate(names))
    config.label2id = {name: column for column, name in enumerate(names)}
    config.label_set_fingerprint = label_fingerprint(names)
