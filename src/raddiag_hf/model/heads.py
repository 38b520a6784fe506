"""Heads: from a case embedding to one logit per label, by weights or by what its name means."""

from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .configuration_raddiag import RadDiagConfig


class LabelLayer(nn.Linear):
    """Linear layer to the logits, whose bias starts at how rare each label is.

    A new classifier that starts there has nothing to learn of it. From zero, the gradients of
    thousands of labels that are nearly always absent agree on one direction, and the network
    forgets its input before it has learnt anything of it.
    """

    def __init__(self, config: RadDiagConfig) -> None:
        super().__init__(config.hidden_size, config.num_labels)


def label_log_odds(config: RadDiagConfig) -> Tensor | None:
    """Return the log-odds of each label among the cases that it is known of, ``(labels,)``.

    Returns:
        Float32 log-odds with half a case added on either side, so that a label without a case is
        rare, not impossible; of exclusive labels the log of the same share, which a softmax reads.
        None where the configuration does not know the training cases.
    """
    counts, num_cases = config.train_label_counts, config.num_train_cases
    if counts is None or num_cases is None:
        return None
    positives = torch.tensor(counts, dtype=torch.float32) + 0.5
    if config.has_exclusive_labels:
        return torch.log(positives / positives.sum())
    known = torch.tensor(config.train_known_counts or num_cases, dtype=torch.float32)
    return torch.log(positives / (known + 1 - positives))


class LinearHead(nn.Module):
    """Linear-GELU-Linear, as the reference's ``fc``."""

    def __init__(self, config: RadDiagConfig) -> None:
        super().__init__()
        self.fc1 = nn.Linear(config.hidden_size, config.hidden_size)
        self.fc2 = LabelLayer(config)

    def forward(self, embeddings: Tensor) -> Tensor:
        """Map ``(cases, hidden)`` to logits ``(cases, labels)``."""
        return cast(Tensor, self.fc2(F.gelu(self.fc1(embeddings))))


class ProbeHead(nn.Module):
    """One linear layer: what logistic regression on case embeddings finds."""

    def __init__(self, config: RadDiagConfig) -> None:
        super().__init__()
        self.fc = LabelLayer(config)

    def forward(self, embeddings: Tensor) -> Tensor:
        """Map ``(cases, hidden)`` to logits ``(cases, labels)``."""
        return cast(Tensor, self.fc(embeddings))


class KnowledgeHead(nn.Module):
    """Dot product of the case with projected label-text embeddings (paper, equation 6).

    The text embeddings are data: a buffer ``(labels, label_embedding_size)`` that is saved with the
    model, so that no text is encoded in any forward pass. Their projection is kept between
    evaluation passes for as long as the weights that made it stay the same.

    Source:
        qiaoyu-zheng/RP3D-Diag with ``ke="True"``: unit-length text embeddings, one linear layer, no
        bias on the product, no temperature. The bias that ``config.knowledge_logit_bias`` adds and
        the whitening by ``config.label_text_whitening`` are ours.
    """

    label_embeddings: Tensor
    trained_label_embeddings: Tensor | None

    def __init__(self, config: RadDiagConfig) -> None:
        super().__init__()
        width = config.label_embedding_size
        self.projection = nn.Linear(width, config.hidden_size)
        self.register_buffer("label_embeddings", torch.zeros(config.num_labels, width))
        trained = config.trained_labels
        self.register_buffer(
            "trained_label_embeddings",
            None if trained is None else torch.zeros(len(trained), width),
        )
        bias = config.knowledge_logit_bias
        # One element, not none: sharded training takes no parameter without a dimension.
        self.logit_bias = None if bias is None else nn.Parameter(torch.tensor([float(bias)]))
        self.whitening = config.label_text_whitening
        self._kept_texts: _KeptTexts | None = None
        self._kept_projection: _KeptProjection | None = None
        self.register_load_state_dict_post_hook(_forget)  # type: ignore[no-untyped-call]

    def set_label_embeddings(self, embeddings: Tensor) -> None:
        """Set the labels to train with: one text embedding per label, ``(labels, text width)``.

        Raises:
            ValueError: If the width is not that of the text encoder that the head is made for.
        """
        width = self.projection.in_features
        if embeddings.ndim != 2 or embeddings.shape[1] != width:
            raise ValueError(
                f"label embeddings have shape {tuple(embeddings.shape)}, expected (labels, {width})"
            )
        current = self.label_embeddings
        self.label_embeddings = embeddings.to(device=current.device, dtype=current.dtype)
        self.trained_label_embeddings = None

    def open_label_embeddings(self, embeddings: Tensor) -> None:
        """Score other labels than those of the training, which are remembered.

        Raises:
            ValueError: As `set_label_embeddings`.
        """
        trained = self.reference_embeddings()
        self.set_label_embeddings(embeddings)
        self.trained_label_embeddings = trained

    def reference_embeddings(self) -> Tensor:
        """Return the text embeddings of the labels of the training, ``(labels, text width)``."""
        trained = self.trained_label_embeddings
        return self.label_embeddings if trained is None else trained

    def has_label_embeddings(self) -> bool:
        """Whether label texts were ever set: untouched ones are zeros."""
        return bool(self.label_embeddings.any())

    def forward(self, embeddings: Tensor) -> Tensor:
        """Map ``(cases, hidden)`` to logits ``(cases, labels)``."""
        logits = embeddings @ self.projected_labels().T
        return logits if self.logit_bias is None else logits + self.logit_bias

    def projected_labels(self) -> Tensor:
        """Return the label embeddings in the space of cases, ``(labels, hidden)``."""
        texts = self.label_texts()
        if self.training or torch.is_grad_enabled():
            return cast(Tensor, self.projection(texts))
        # Weights can change in place, unannounced; comparing these few megabytes is a fraction of
        # the work of projecting again, which would cost as much as encoding a slice.
        weights = list(self.projection.parameters())
        device = texts.device.type
        mixed = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else None
        kept = self._kept_projection
        if kept is None or not kept.is_made_from(texts, weights, mixed):
            copies = [weight.detach().clone() for weight in weights]
            kept = _KeptProjection(texts, copies, mixed, self.projection(texts))
            self._kept_projection = kept
        return kept.projected

    def label_texts(self) -> Tensor:
        """Return what is projected: unit length, whitened if so configured, of the buffer's shape.

        Computed once for as long as the buffers are the same.
        """
        labels, reference = self.label_embeddings, self.reference_embeddings()
        kept = self._kept_texts
        if kept is None or kept.labels is not labels or kept.reference is not reference:
            # What is kept has to serve training, too, and every type that is computed in.
            with torch.inference_mode(False), torch.autocast(labels.device.type, enabled=False):
                if self.whitening is None:
                    texts = F.normalize(labels, dim=-1)
                else:
                    texts = whiten(labels, reference, self.whitening)
            kept = self._kept_texts = _KeptTexts(labels, reference, texts)
        return kept.texts


class _KeptTexts(NamedTuple):
    """Texts ready to be projected, and the very buffers that they were made from."""

    labels: Tensor
    reference: Tensor
    texts: Tensor


class _KeptProjection(NamedTuple):
    """Projected texts, and copies of the weights that they were made with."""

    texts: Tensor
    weights: list[Tensor]
    mixed_precision: torch.dtype | None
    projected: Tensor

    def is_made_from(
        self, texts: Tensor, weights: list[nn.Parameter], mixed_precision: torch.dtype | None
    ) -> bool:
        return (
            self.texts is texts
            and self.mixed_precision == mixed_precision
            and all(
                old.device == new.device and old.dtype == new.dtype and torch.equal(old, new)
                for old, new in zip(self.weights, weights, strict=True)
            )
        )


def _forget(head: KnowledgeHead, _: object) -> None:
    """Forget what was made from buffers that have been loaded anew in place."""
    head._kept_texts = head._kept_projection = None


def whiten(embeddings: Tensor, reference: Tensor, ridge: float) -> Tensor:
    """Return text embeddings relative to those of the trained labels, softly whitened.

    A text encoder puts all names of disorders into one corner of its space: their mean says that a
    disorder is meant, their widest directions which organ. What tells two disorders of one organ
    apart is a small part of either embedding, and a head that starts from it learns slowly.
    The mean of the trained labels is subtracted, and every direction is divided by the root of its
    variance plus ``ridge`` times the mean variance: directions wider than that are narrowed, those
    in which trained labels do not differ are not blown up.

    Args:
        embeddings: What to whiten, ``(labels, text width)``; of any length.
        reference: Of the trained labels, ``(trained labels, text width)``, which alone decide on
            mean and variances: a label has the same whitened embedding in every label set.
        ridge: Above 0; the larger, the more of the encoder's own geometry stays.

    Returns:
        Unit length, shape and type of ``embeddings``; unit embeddings as they are where all trained
        labels are alike.
    """
    texts, trained = (_unit(rows) for rows in (embeddings, reference))
    mean = trained.mean(0)
    centred = trained - mean
    covariance = centred.T @ centred / len(trained)
    num_directions = min(len(trained) - 1, len(mean))
    total = covariance.trace()
    if num_directions < 1 or total <= torch.finfo(torch.float32).eps:
        return texts.to(embeddings)
    variances, directions = torch.linalg.eigh(covariance)
    widths = (variances.clamp_min(0) + ridge * total / num_directions).sqrt()
    whitened = ((texts - mean) @ directions / widths) @ directions.T
    return F.normalize(whitened, dim=-1).to(embeddings)


def _unit(embeddings: Tensor) -> Tensor:
    """Return unit rows in double precision, which not every accelerator has."""
    return F.normalize(embeddings.detach().cpu().double(), dim=-1)


HEADS = {"linear": LinearHead, "probe": ProbeHead, "knowledge": KnowledgeHead}
