"""The text embeddings of a label set in one file, with what made them."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from raddiag_hf.core.atomic_files import atomic_write
from raddiag_hf.core.errors import InputError, one_line
from raddiag_hf.core.file_format import check_format
from raddiag_hf.labels.label_set import LabelSet
from raddiag_hf.model.label_texts import LabelTextEncoder

logger = logging.getLogger(__name__)

FORMAT_NAME, FILE_FORMAT = "raddiag label embeddings", 1
TENSOR = "label_embeddings"


class LabelEmbeddingsError(InputError):
    """A file of label embeddings that cannot be read or used: which, and what was found there."""


@dataclass(frozen=True, eq=False)
class LabelEmbeddings:
    """One text embedding per label, and the fingerprint of the encoder that made them.

    It takes the place of that encoder in `RadDiagForImageClassification.set_label_texts`, for its
    own labels.

    Attributes:
        label_set: Whose texts were embedded; rows are found by its names.
        embeddings: Float32 of unit length, ``(labels, width)``.
        fingerprint: Of the text encoder.

    Raises:
        LabelEmbeddingsError: If there is not one embedding per label, or one is not finite.

    Example:
        >>> embeddings = LabelEmbeddings.load("label_embeddings.safetensors")
        >>> from raddiag_hf import RadDiagForImageClassification
        >>> model = RadDiagForImageClassification.from_pretrained("knowledge-model")
        >>> model.set_label_texts(embeddings.label_set.names, embeddings)
    """

    label_set: LabelSet
    embeddings: Tensor
    fingerprint: str

    def __post_init__(self) -> None:
        if self.embeddings.ndim != 2 or len(self.embeddings) != len(self.label_set):
            raise LabelEmbeddingsError(
                f"label embeddings have shape {tuple(self.embeddings.shape)}, expected "
                f"({len(self.label_set)}, width)"
            )
        if not torch.isfinite(self.embeddings).all():
            raise LabelEmbeddingsError("label embeddings are not all finite: the encoder is broken")

    @classmethod
    def embed(cls, label_set: LabelSet, encoder: LabelTextEncoder) -> Self:
        """Embed what the labels of a set mean: `LabelSet.texts`."""
        bare = sorted({*label_set.texts} & {*label_set.codes})
        if bare:
            logger.warning(
                "%d of %d labels are codes without a definition, %s for one: the text encoder "
                "cannot know what they mean",
                len(bare),
                len(label_set),
                bare[0],
            )
        return cls(label_set, encoder.encode(label_set.texts), encoder.fingerprint)

    def encode(self, texts: Sequence[str]) -> Tensor:
        """Return the embeddings of some of the labels, ``(texts, width)``.

        Raises:
            LabelEmbeddingsError: If a text is not one of the labels.
        """
        columns = self.label_set.label2id
        unknown = [text for text in texts if text not in columns]
        if unknown:
            raise LabelEmbeddingsError(
                f"{len(unknown)} of {len(texts)} names are not among the {len(columns)} embedded "
                f"labels, {unknown[0]!r} for one"
            )
        return self.embeddings[[columns[text] for text in texts]]

    def save(self, path: Path | str) -> None:
        """Write a safetensors file; an existing one is replaced at once or not at all.

        Its metadata hold the label set as JSON, the label set's fingerprint and the encoder's.
        """
        metadata = {
            "format": f"{FORMAT_NAME} {FILE_FORMAT}",
            "label_set": self.label_set.to_json(),
            "label_set_fingerprint": self.label_set.fingerprint,
            "text_encoder_fingerprint": self.fingerprint,
        }
        with atomic_write(path) as temporary:
            temporary.write_bytes(save({TENSOR: self.embeddings.contiguous()}, metadata))

    @classmethod
    def load(cls, path: Path | str) -> Self:
        """Read what `save` wrote.

        Raises:
            LabelEmbeddingsError: If it is not such a file.
            OSError: If it cannot be opened.
        """
        with Path(path).open("rb"):  # an error of the operating system that names the file
            pass
        try:
            with safe_open(path, "pt") as file:
                metadata = file.metadata() or {}
                name, _, version = metadata.get("format", "").rpartition(" ")
                if name != FORMAT_NAME or not version.isdecimal():
                    raise ValueError(
                        f"format is {metadata.get('format')!r}, expected "
                        f"'{FORMAT_NAME} {FILE_FORMAT}'"
                    )
                check_format(int(version), FILE_FORMAT)
                embeddings = file.get_tensor(TENSOR).to(torch.float32)
            label_set = LabelSet.from_json(metadata["label_set"])
            return cls(label_set, embeddings, metadata["text_encoder_fingerprint"])
        except (SafetensorError, KeyError, ValueError) as error:
            raise LabelEmbeddingsError(f"{path}: no label embeddings: {one_line(error)}") from None


@dataclass(frozen=True)
class LabelReader:
    """A text encoder that is asked for labels by name, and reads what they mean.

    Where a model has no fingerprint of its text encoder, it takes the place of that encoder in
    `RadDiagForImageClassification.set_label_texts`.

    Attributes:
        label_set: Whose names stand for its `LabelSet.texts`; other names are read as they are.
        encoder: The text encoder.
    """

    label_set: LabelSet
    encoder: LabelTextEncoder

    @property
    def fingerprint(self) -> str:
        """Of the text encoder."""
        return self.encoder.fingerprint

    def encode(self, texts: Sequence[str]) -> Tensor:
        """Return the embeddings of some labels, ``(texts, width)``."""
        meanings = dict(zip(self.label_set.names, self.label_set.texts, strict=True))
        return self.encoder.encode([meanings.get(text, text) for text in texts])
