"""Text encoder: names and descriptions in, embeddings of unit length out."""

import json
from collections.abc import Sequence
from pathlib import Path
from pickle import UnpicklingError
from typing import TYPE_CHECKING, Literal, Self, get_args

import torch
from safetensors import SafetensorError
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from raddiag_hf.core.atomic_files import replaced_files
from raddiag_hf.core.errors import InputError, one_line
from raddiag_hf.core.extras import require_extra
from raddiag_hf.core.fingerprint import weights_fingerprint
from raddiag_hf.core.model_source import ModelSourceError, open_model_source

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

PoolingMode = Literal["cls", "mean"]

DEFAULT_TEXT_ENCODER = "ncbi/MedCPT-Query-Encoder"
"""What the paper starts from (section 4.2.2)."""

MAX_LENGTH = 512
"""Tokens of a text beyond which encoders of the BERT family have no position embeddings."""

_VOCABULARIES = (
    "tokenizer.json",
    "vocab.txt",
    "vocab.json",
    "tokenizer.model",
    "spiece.model",
    "sentencepiece.bpe.model",
)
_FILES = (
    *_VOCABULARIES,
    "config.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "merges.txt",
    "modules.json",
    "sentence_*config.json",
    "1_Pooling/config.json",
    "model*.safetensors",
    "model.safetensors.index.json",
)
_PICKLED_WEIGHTS = ("pytorch_model*.bin", "pytorch_model.bin.index.json")
"""Fetched where there are no others; transformers reads tensors only of them."""
_STEPS = {"Transformer", "Pooling", "Normalize"}
_UNUSED_WEIGHTS = "pooler."
"""Of next-sentence prediction; present or random in checkpoints of the same encoder."""


class TextEncoderError(InputError):
    """A text encoder that is not available or not usable: which folder or Hub id, and why."""


class TextEncoder(nn.Module):
    """Any Hugging Face text encoder with its tokenizer, pooled to one embedding per text.

    Embeddings have unit length, so that their dot product is their cosine.

    Attributes:
        network: Transformer, pooling and normalisation, as ``sentence-transformers`` runs them.

    Example:
        >>> encoder = TextEncoder.from_pretrained("knowledge-encoder")
        >>> encoder.encode(["pneumonia", "lung tumour"]).shape
        torch.Size([2, 12])
    """

    def __init__(self, network: "SentenceTransformer") -> None:
        super().__init__()
        self.network = network
        self.tokenizer.padding_side = "right"  # positions are counted from the left
        for name, weight in self.model.named_parameters():
            if name.startswith(_UNUSED_WEIGHTS):
                weight.requires_grad_(False)

    @classmethod
    def from_pretrained(
        cls,
        id_or_dir: str | Path = DEFAULT_TEXT_ENCODER,
        *,
        pooling: PoolingMode | None = None,
        max_length: int | None = None,
        revision: str | None = None,
        token: str | None = None,
    ) -> Self:
        """Load an encoder in float32 and evaluation mode.

        No code comes with it and nothing is unpickled: of ``pytorch_model.bin``, where there are no
        safetensors, only tensors are read.

        Args:
            id_or_dir: A folder, or a Hub id ``owner/name``.
            pooling: ``"cls"``, the first token (MedCPT), or ``"mean"`` over all tokens (BioLORD,
                MiniLM); by default what its ``1_Pooling/config.json`` says, and ``"cls"`` where
                there is none, as MedCPT needs it.
            max_length: A lower bound than its own after which texts are cut, in tokens.
            revision: Branch, tag or commit on the Hub.
            token: Access token; the one that is signed in by default.

        Raises:
            ExtraMissingError: If sentence-transformers is not installed.
            TextEncoderError: If it is not available or not readable, lacks weights, or has other
                steps than pooling and normalisation.
        """
        name = str(id_or_dir)
        needed_by = f"{name}: a text encoder"
        require_extra("sentence_transformers", extra="knowledge", needed_by=needed_by)
        try:
            source, _ = open_model_source(name, revision=revision, token=token)
            folder = source.fetch_folder(_FILES)
            if not any(folder.glob("*.safetensors")):
                folder = source.fetch_folder((*_FILES, *_PICKLED_WEIGHTS))
            return cls(_read_network(folder, pooling, max_length)).eval()
        except ModelSourceError as error:
            raise TextEncoderError(str(error)) from None
        except UnpicklingError:
            raise TextEncoderError(
                f"{name}: its weights are pickled and hold more than tensors, so they are not read"
            ) from None
        except (OSError, ValueError, RuntimeError, LookupError, SafetensorError) as error:
            raise TextEncoderError(
                f"{name}: cannot be used as a text encoder: {one_line(error)}"
            ) from None

    @property
    def model(self) -> PreTrainedModel:
        """The ``transformers`` encoder inside."""
        return self.network.transformers_model

    @property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """Its tokenizer."""
        return self.network.tokenizer

    @property
    def pooling(self) -> str:
        """How token embeddings become one: ``"cls"`` or ``"mean"``."""
        return str(self.network[1].pooling_mode)

    @property
    def max_length(self) -> int:
        """Tokens after which a text is cut."""
        return int(self.tokenizer.model_max_length)

    @property
    def width(self) -> int:
        """Length of an embedding."""
        return int(self.model.config.hidden_size)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of all that an embedding depends on: weights, pooling, length and tokenizer."""
        tokenizer = json.loads(self.tokenizer.backend_tokenizer.to_str())
        for of_last_call in ("truncation", "padding"):
            tokenizer.pop(of_last_call, None)
        identity = {"pooling": self.pooling, "max_length": self.max_length, "tokenizer": tokenizer}
        weights = {
            name: weight
            for name, weight in self.model.state_dict().items()
            if not name.startswith(_UNUSED_WEIGHTS)
        }
        return weights_fingerprint(
            weights, json.dumps(identity, sort_keys=True).encode(), header_end=b"\n"
        )

    def tokenize(self, texts: Sequence[str], max_length: int | None = None) -> dict[str, Tensor]:
        """Return the padded tokens of texts, as `forward` takes them, each ``(texts, tokens)``.

        Args:
            texts: At least one text.
            max_length: A lower bound than that of the encoder after which texts are cut.
        """
        length = min(max_length or self.max_length, self.max_length)
        tokens = self.network.preprocess(
            list(texts), processing_kwargs={"text": {"max_length": length}}
        )
        return {name: value for name, value in tokens.items() if isinstance(value, Tensor)}

    def forward(self, **tokens: Tensor) -> Tensor:
        """Embed tokens, with gradients; return ``(texts, width)`` of unit length."""
        embeddings: Tensor = self.network(tokens)["sentence_embedding"]
        return embeddings

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
        was_training = self.training
        try:
            embeddings = self.network.encode(
                list(texts), batch_size=batch_size, show_progress_bar=show_progress,
                convert_to_tensor=True,
            )  # fmt: skip
        finally:
            self.train(was_training)
        return embeddings.float().cpu().reshape(len(texts), self.width)

    def save_pretrained(self, folder: str | Path) -> None:
        """Write encoder, tokenizer and pooling; each file is replaced at once or not at all.

        The folder can be loaded by `from_pretrained`, by ``transformers`` and by
        ``sentence-transformers``.
        """
        with replaced_files(folder) as written:
            self.network.save_pretrained(str(written), create_model_card=False)


def _read_network(
    folder: Path, pooling: PoolingMode | None, max_length: int | None
) -> "SentenceTransformer":
    """Read the steps of an encoder one by one: its files cannot ask for anything else."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer

    if not any((folder / file).is_file() for file in _VOCABULARIES):
        raise ValueError(f"has no tokenizer, such as {_VOCABULARIES[0]}")
    modules = folder / "modules.json"
    steps = json.loads(modules.read_text("utf-8")) if modules.is_file() else []
    kinds = {str(step["type"]).rpartition(".")[2] for step in steps}
    if unknown := sorted(kinds - _STEPS):
        raise ValueError(f"{modules.name} has steps other than pooling: {unknown}")
    stored = Pooling.load_config(str(folder), subfolder="1_Pooling").get("pooling_mode", "cls")
    if (mode := pooling or stored) not in get_args(PoolingMode):
        raise ValueError(f"pools by {mode!r}, expected one of {get_args(PoolingMode)}")
    settings = Transformer.load_config(str(folder))
    here = {"trust_remote_code": False, "local_files_only": True}
    transformer = Transformer(
        str(folder),
        model_kwargs=here | {"dtype": torch.float32, "weights_only": True},
        processor_kwargs=dict(here),
        config_kwargs=dict(here),
        modality_config={"text": {"method": "forward", "method_output_name": "last_hidden_state"}},
        module_output_name="token_embeddings",
        do_lower_case=bool(settings.get("do_lower_case", False)),
    )
    _refuse_missing_weights(transformer.model, folder)
    limits = (transformer.max_seq_length, settings.get("max_seq_length"), max_length, MAX_LENGTH)
    transformer.max_seq_length = min(limit for limit in limits if limit)
    width = transformer.get_embedding_dimension()
    return SentenceTransformer(
        modules=[transformer, Pooling(width, mode), Normalize()], device="cpu"
    )


def _refuse_missing_weights(model: PreTrainedModel, folder: Path) -> None:
    """Refuse weights that transformers made up, of which it tells whoever loads the model alone."""
    kind = type(model)
    _, found = kind.from_pretrained(folder, device_map="meta", output_loading_info=True)
    missing = sorted(key for key in found["missing_keys"] if not key.startswith(_UNUSED_WEIGHTS))
    if missing:
        raise ValueError(
            f"lacks {len(missing)} weights of a {kind.__name__}, among them {missing[0]}"
        )
