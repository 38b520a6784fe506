"""From a case embedding to one logit per label: by weights, or by what the label's name means."""

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .configuration_raddiag import RadDiagConfig
from .label_geometry import whiten


class LinearHead(nn.Module):
    """Linear-GELU-Linear, as the reference's ``fc``."""

    def __init__(self, config: RadDiagConfig) -> None:
        super().__init__()
        self.fc1 = nn.Linear(config.hidden_size, config.hidden_size)
        self.fc2 = nn.Linear(config.hidden_size, config.num_labels)

    def forward(self, embeddings: Tensor) -> Tensor:
        """Map ``(cases, hidden)`` to logits ``(cases, labels)``."""
        return cast(Tensor, self.fc2(F.gelu(self.fc1(embeddings))))


class ProbeHead(nn.Module):
    """One linear layer: what logistic regression on case embeddings finds."""

    def __init__(self, config: RadDiagConfig) -> None:
        super().__init__()
        self.fc = nn.Linear(config.hidden_size, config.num_labels)

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
        self._whitened: tuple[list[Tensor], Tensor] | None = None
        self._cached: tuple[list[Tensor], tuple[object, ...], Tensor] | None = None
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
        _forget(self)

    def open_label_embeddings(self, embeddings: Tensor) -> None:
        """Score other labels than those of the training, which are remembered.

        Raises:
            ValueError: As `set_label_embeddings`.
        """
        trained = self.reference_embeddings()
        self.set_label_embeddings(embeddings)
        self.trained_label_embeddings = trained
        _forget(self)

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
        if self.training or torch.is_grad_enabled():
            return cast(Tensor, self.projection(self._texts()))
        # Weights can change in place, unannounced; comparing these few megabytes is a fraction of
        # the work of projecting again, which would cost as much as encoding a slice.
        made_from = list(self.projection.parameters())
        device = self.label_embeddings.device.type
        mixed = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else None
        made_for = (self.label_embeddings, self.reference_embeddings(), mixed)
        if (
            self._cached is not None
            and all(old is new for old, new in zip(self._cached[1], made_for, strict=True))
            and all(
                old.device == new.device and old.dtype == new.dtype and torch.equal(old, new)
                for old, new in zip(self._cached[0], made_from, strict=True)
            )
        ):
            return self._cached[2]
        projected = cast(Tensor, self.projection(self._texts()))
        self._cached = ([weight.detach().clone() for weight in made_from], made_for, projected)
        return projected

    def _texts(self) -> Tensor:
        """Return what is projected: unit length, ``(labels, text width)``."""
        if self.whitening is None:
            return F.normalize(self.label_embeddings, dim=-1)
        labels, reference = self.label_embeddings, self.reference_embeddings()
        made_from = [labels, reference]
        if self._whitened is None or any(
            old is not new for old, new in zip(self._whitened[0], made_from, strict=True)
        ):
            with torch.inference_mode(False):  # what is kept has to serve training, too
                self._whitened = (made_from, whiten(labels, reference, self.whitening))
        return self._whitened[1]


def _forget(head: KnowledgeHead, _: object = None) -> None:
    """Forget what was computed from other label embeddings or weights."""
    head._cached = head._whitened = None


HEADS = {"linear": LinearHead, "probe": ProbeHead, "knowledge": KnowledgeHead}
