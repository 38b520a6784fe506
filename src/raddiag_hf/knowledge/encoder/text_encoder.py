"""A text encoder: names and descriptions in, embeddings of unit length out."""

import hashlib
import json
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Self, get_args

import torch
import torch.nn.functional as F
from huggingface_hub.utils import tqdm
from safetensors import SafetensorError
from torch import Tensor, nn
from transformers import AutoModel, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from raddiag_hf.core.errors import InputError
from raddiag_hf.knowledge.encoder.sentence_transformers_files import (
    Pooling,
    SentenceTransformersFiles,
    read_sentence_transformers_files,
)

DEFAULT_TEXT_ENCODER = "ncbi/MedCPT-Query-Encoder"
"""What the paper starts from (section 4.2.2)."""

MAX_LENGTH = 512
"""Tokens of a text beyond which encoders of the BERT family have no position embeddings."""

UNFINISHED_PREFIX = ".saving-"
"""Of the folder in which an encoder is written before its files get their place."""

_TOKENIZER_FILES = (
    "tokenizer.json",
    "vocab.txt",
    "vocab.json",
    "tokenizer.model",
    "spiece.model",
    "sentencepiece.bpe.model",
)
"""Any of them holds a vocabulary."""

_UNUSED_WEIGHTS = "pooler."
"""Of next-sentence prediction; present or random in checkpoints of the same encoder."""


class TextEncoderError(InputError):
    """A text encoder that cannot be had or used: which folder or Hub id, and why."""


class TextEncoder(nn.Module):
    """Any Hugging Face text encoder with its tokenizer, pooled to one embedding per text.

    Embeddings have unit length, so that their dot product is their cosine. A saved encoder is also
    a model of ``sentence-transformers``, and models of that library can be loaded.

    Attributes:
        model: A ``transformers`` encoder with ``last_hidden_state``.
        tokenizer: Its tokenizer.
        pooling: ``"cls"``, the first token (MedCPT), or ``"mean"`` over all tokens of a text
            (BioLORD, MiniLM).
        max_length: Tokens after which a text is cut.

    Example:
        >>> encoder = TextEncoder.from_pretrained("ncbi/MedCPT-Query-Encoder")  # doctest: +SKIP
        >>> encoder.encode(["pneumonia", "lung tumour"]).shape  # doctest: +SKIP
        torch.Size([2, 768])
    """

    model: PreTrainedModel

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        pooling: Pooling,
        max_length: int = MAX_LENGTH,
    ) -> None:
        super().__init__()
        if pooling not in get_args(Pooling):
            raise ValueError(f"pooling is {pooling!r}, expected one of {get_args(Pooling)}")
        self.model = model
        self.tokenizer = tokenizer
        tokenizer.padding_side = "right"  # the first token is that of the text, never padding
        self.pooling = pooling
        self.max_length = max_length
        for name, weight in model.named_parameters():
            if name.startswith(_UNUSED_WEIGHTS):
                weight.requires_grad_(False)

    @classmethod
    def from_pretrained(
        cls,
        id_or_dir: str | Path = DEFAULT_TEXT_ENCODER,
        *,
        pooling: Pooling | None = None,
        revision: str | None = None,
        token: str | None = None,
    ) -> Self:
        """Load an encoder in float32 and evaluation mode.

        Args:
            id_or_dir: A folder, or a Hub id ``owner/name``.
            pooling: How to pool; by default what its ``1_Pooling/config.json`` says
                (sentence-transformers' file, which `save_pretrained` writes too), and ``"cls"``
                where there is none, as MedCPT needs it.
            revision: Branch, tag or commit on the Hub.
            token: Access token; the one that is signed in by default.

        Raises:
            TextEncoderError: If it cannot be had or read, lacks weights, or is a
                sentence-transformers model with other steps than pooling and normalisation.
        """
        name = str(id_or_dir)
        folder = Path(name).expanduser()
        if not folder.is_dir() and (name.startswith((".", "/", "~")) or name.count("/") != 1):
            raise TextEncoderError(f"{name}: no such folder, and not a Hub id (owner/name)")
        source = str(folder) if folder.is_dir() else name
        if (folder / "config.json").is_file() and not any(
            (folder / file).is_file() for file in _TOKENIZER_FILES
        ):
            raise TextEncoderError(f"{name}: has no tokenizer, such as {_TOKENIZER_FILES[0]}")
        hub = {"revision": revision, "token": token}
        try:
            stored = read_sentence_transformers_files(source, revision=revision, token=token)
            tokenizer = AutoTokenizer.from_pretrained(source, trust_remote_code=False, **hub)
            model, loading = AutoModel.from_pretrained(
                source,
                dtype=torch.float32,
                trust_remote_code=False,
                output_loading_info=True,
                **hub,
            )
        except (OSError, ValueError, RuntimeError, LookupError, SafetensorError) as error:
            reason = " ".join(str(error).split())
            raise TextEncoderError(f"{name}: cannot be used as a text encoder: {reason}") from None
        missing = [key for key in loading["missing_keys"] if not key.startswith(_UNUSED_WEIGHTS)]
        if missing:
            raise TextEncoderError(
                f"{name}: lacks {len(missing)} weights of a {type(model).__name__}, "
                f"among them {sorted(missing)[0]}"
            )
        positions = getattr(model.config, "max_position_embeddings", MAX_LENGTH)
        max_length = min(
            tokenizer.model_max_length, positions, MAX_LENGTH, stored.max_length or MAX_LENGTH
        )
        return cls(model, tokenizer, pooling or stored.pooling or "cls", max_length).eval()

    @property
    def width(self) -> int:
        """Length of an embedding."""
        return int(self.model.config.hidden_size)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.model.parameters()).device

    @property
    def fingerprint(self) -> str:
        """SHA-256 of all that an embedding depends on: weights, pooling, length and tokenizer."""
        digest = hashlib.sha256()
        tokenizer = json.loads(self.tokenizer.backend_tokenizer.to_str())
        for of_last_call in ("truncation", "padding"):
            tokenizer.pop(of_last_call, None)
        identity = {"pooling": self.pooling, "max_length": self.max_length, "tokenizer": tokenizer}
        digest.update(json.dumps(identity, sort_keys=True).encode())
        for name, value in sorted(self.model.state_dict().items()):
            if not name.startswith(_UNUSED_WEIGHTS):
                array = value.detach().cpu().contiguous()
                digest.update(f"{name} {array.dtype} {tuple(array.shape)}\n".encode())
                digest.update(array.view(-1).view(torch.uint8).numpy().tobytes())
        return digest.hexdigest()

    def tokenize(self, texts: Sequence[str], max_length: int | None = None) -> dict[str, Tensor]:
        """Return the padded tokens of texts, as `forward` takes them, each ``(texts, tokens)``.

        Args:
            texts: At least one text.
            max_length: A lower bound than that of the encoder after which texts are cut.
        """
        tokens = self.tokenizer(
            list(texts),
            padding=True,
            truncation=True,
            max_length=min(max_length or self.max_length, self.max_length),
            return_tensors="pt",
        )
        return dict(tokens)

    def forward(self, **tokens: Tensor) -> Tensor:
        """Embed tokens, with gradients; return ``(texts, width)`` of unit length."""
        hidden = self.model(**tokens).last_hidden_state
        if self.pooling == "cls":
            pooled = hidden[:, 0]
        else:
            mask = tokens["attention_mask"].unsqueeze(-1).to(hidden.dtype)
            pooled = (hidden * mask).sum(1) / mask.sum(1)
        return F.normalize(pooled, dim=-1)

    @torch.inference_mode()
    def encode(
        self, texts: Sequence[str], batch_size: int = 64, show_progress: bool = False
    ) -> Tensor:
        """Embed texts, in batches of similar length.

        Args:
            texts: Names or descriptions, in any order.
            batch_size: Texts at once.
            show_progress: Draw a bar on standard error.

        Returns:
            Float32 embeddings of unit length on the CPU, ``(texts, width)``, in the given order.

        Raises:
            TypeError: If ``texts`` is one string.
            ValueError: If a text is empty.
        """
        if isinstance(texts, str):
            raise TypeError("texts is one string, expected a sequence of strings")
        if empty := [index for index, text in enumerate(texts) if not text.strip()]:
            raise ValueError(f"text {empty[0]} of {len(texts)} is empty")
        embeddings = torch.empty(len(texts), self.width)
        order = sorted(range(len(texts)), key=lambda index: len(texts[index]), reverse=True)
        was_training = self.training
        self.eval()
        try:
            for first in tqdm(
                range(0, len(order), batch_size), desc="texts", disable=not show_progress
            ):
                batch = order[first : first + batch_size]
                tokens = self.tokenize([texts[index] for index in batch])
                embedded = self.forward(
                    **{key: value.to(self.device) for key, value in tokens.items()}
                )
                embeddings[batch] = embedded.float().cpu()
        finally:
            self.train(was_training)
        return embeddings

    def save_pretrained(self, folder: str | Path) -> None:
        """Write encoder, tokenizer and pooling; each file is replaced at once or not at all.

        The folder can be loaded by `from_pretrained`, by ``transformers`` and by
        ``sentence-transformers``.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=UNFINISHED_PREFIX, dir=folder) as temporary:
            written = Path(temporary)
            self.model.save_pretrained(written)
            self.tokenizer.save_pretrained(written)
            SentenceTransformersFiles(self.pooling, self.max_length).write(written, self.width)
            for path in sorted(path for path in written.rglob("*") if path.is_file()):
                target = folder / path.relative_to(written)
                target.parent.mkdir(exist_ok=True)
                path.chmod(0o644)  # safetensors keeps its files to their owner
                os.replace(path, target)
