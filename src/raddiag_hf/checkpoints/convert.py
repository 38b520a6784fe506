"""Conversion of the authors' checkpoints, refusing what is not one of theirs."""

import logging
import math
import pickle
import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from raddiag_hf.checkpoints.reference_keys import DEAD, is_normalization_weight, translate_key
from raddiag_hf.core.errors import InputError
from raddiag_hf.labels.label_embeddings import LabelEmbeddings
from raddiag_hf.labels.label_set import LabelSet
from raddiag_hf.model.configuration_raddiag import RESNET_BLOCKS, RadDiagConfig
from raddiag_hf.model.image_processing_raddiag import RadDiagImageProcessor
from raddiag_hf.model.modeling_raddiag import RadDiagForImageClassification

logger = logging.getLogger(__name__)

SLICE_HEADS, FUSION_HEADS = 1, 4
"""Attention heads of the reference, which its weights do not tell."""

COUNTER = "num_batches_tracked"
"""What batch norms count their batches in; nothing reads it."""


class CheckpointError(InputError):
    """A file that is not a checkpoint of the authors' network, or does not fit the labels."""


def convert_checkpoint(
    checkpoint: str | Path,
    labels: Sequence[str],
    output_dir: str | Path,
    *,
    label_embeddings: LabelEmbeddings | Tensor | None = None,
    late_fusion: str = "max",
    image_size: int = 256,
) -> Path:
    """Write the authors' checkpoint as a model folder that ``from_pretrained`` reads.

    The folder appears whole or not at all. The processor that is saved beside the model reproduces
    how the reference saw its data, which is not how new models see theirs.

    Args:
        checkpoint: ``pytorch_model.bin`` (unpickled with ``weights_only=True``) or safetensors.
        labels: Label names in the order of the checkpoint's columns.
        output_dir: A folder that does not exist yet, or is empty.
        label_embeddings: Text embeddings of the labels, ``(labels, text width)``; needed where the
            checkpoint has a knowledge head, whose texts are not part of it. `LabelEmbeddings` tell
            their encoder too, which the model then knows for its own.
        late_fusion: How scans are pooled where the checkpoint has no fusion module: ``max``,
            ``mean`` or ``random``.
        image_size: Height and width that the checkpoint was trained with, in pixels.

    Returns:
        ``output_dir``.

    Raises:
        CheckpointError: If the file cannot be read as tensors, lacks a tensor that a forward pass
            reads, has one that is not the reference's, or does not fit the labels; the message
            lists the tensors.
        LabelEmbeddingsError: If ``label_embeddings`` lack one of the labels.
        FileExistsError: If ``output_dir`` has something in it.
    """
    output_dir = Path(output_dir)
    if output_dir.exists() and (not output_dir.is_dir() or any(output_dir.iterdir())):
        raise FileExistsError(f"{output_dir}: exists already; name a new or empty folder")
    state_dict = read_state_dict(Path(checkpoint))
    model = model_from_reference(
        state_dict,
        labels,
        label_embeddings=label_embeddings,
        late_fusion=late_fusion,
        image_size=image_size,
    )
    target = output_dir.resolve()  # "." could not be renamed to
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        model.save_pretrained(unfinished)
        reference_processor(model.config).save_pretrained(unfinished)
        unfinished.chmod(0o755)
        for file in unfinished.iterdir():
            file.chmod(0o644)  # safetensors keeps its files to their owner
        unfinished.replace(target)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
    return output_dir


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """Read tensors by name, without running any code that the file may carry.

    Raises:
        CheckpointError: If it is neither safetensors nor a pickle of plain tensors.
        FileNotFoundError: If there is no such file.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except (
        SafetensorError,
        pickle.UnpicklingError,
        OSError,
        RuntimeError,
        ValueError,
        EOFError,
    ):
        # What torch says of such files would advise to unpickle them all the same.
        raise CheckpointError(
            f"{path}: not a checkpoint of tensors: truncated, of another format, or holding code, "
            "which is not run"
        ) from None
    for nesting in ("state_dict", "model"):
        if isinstance(content, Mapping) and isinstance(content.get(nesting), Mapping):
            content = content[nesting]
    if not isinstance(content, Mapping) or not all(
        isinstance(value, Tensor) for value in content.values()
    ):
        raise CheckpointError(f"{path}: expected a mapping of tensors by name")
    return {str(key).removeprefix("module."): value for key, value in content.items()}


def model_from_reference(
    state_dict: Mapping[str, Tensor],
    labels: Sequence[str],
    *,
    label_embeddings: LabelEmbeddings | Tensor | None = None,
    late_fusion: str = "max",
    image_size: int = 256,
) -> RadDiagForImageClassification:
    """Build the model of an authors' state dict; see `convert_checkpoint` for the arguments.

    Raises:
        CheckpointError: As `convert_checkpoint`.
    """
    live = _live_tensors(state_dict)
    config = _infer_config(live, labels, late_fusion, image_size)
    weights = {
        str(translate_key(key)): _translate_value(key, value)
        for key, value in live.items()
        if not key.endswith(COUNTER)
    }
    if config.classifier_type == "knowledge":
        if isinstance(label_embeddings, LabelEmbeddings):
            config.text_encoder_fingerprint = label_embeddings.fingerprint
            label_embeddings = label_embeddings.encode(labels)
        weights["classifier.label_embeddings"] = _checked_embeddings(label_embeddings, config)

    model = RadDiagForImageClassification(config)
    _load_whole(model, weights)
    logger.info("kept %d tensors, dropped %d dead ones", len(live), len(state_dict) - len(live))
    return model.eval()


def _live_tensors(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors that a forward pass of the reference reads."""
    live = {key: value for key, value in state_dict.items() if not DEAD.match(key)}
    if "fcke.weight" in live:  # the linear head is still there, but nothing reads it
        live = {key: value for key, value in live.items() if not re.match(r"fc2?\.", key)}
    foreign = sorted(key for key in live if translate_key(key) is None)
    if foreign:
        raise CheckpointError(f"not tensors of the authors' network: {_some(foreign)}")
    return live


def _load_whole(model: RadDiagForImageClassification, weights: Mapping[str, Tensor]) -> None:
    """Load weights that are all there and of the right shapes; counters are not needed."""
    expected = {key: tuple(value.shape) for key, value in model.state_dict().items()}
    counters = {key for key in expected if key.endswith(COUNTER)}
    missing = sorted(expected.keys() - weights.keys() - counters)
    if missing:
        raise CheckpointError(f"tensors are missing: {_some(missing)}")
    wrong = sorted(
        f"{key} is {tuple(value.shape)}, expected {expected.get(key)}"
        for key, value in weights.items()
        if tuple(value.shape) != expected.get(key)
    )
    if wrong:
        raise CheckpointError(f"tensors of the wrong shape: {_some(wrong)}")
    model.load_state_dict(weights, strict=False)  # all but the counters is there


def reference_processor(config: RadDiagConfig) -> RadDiagImageProcessor:
    """Return an image processor that handles data as the authors' checkpoint was trained on it.

    Early-fusion checkpoints saw all scans of a study scaled together, padding included, and the
    three equal channels of a picture as three slices; late-fusion ones saw each scan by itself.
    """
    early = config.fusion_type == "transformer"
    return RadDiagImageProcessor(
        image_size=config.image_size,
        max_slices=config.max_slices,
        antialias=False,
        rescale_range="padded_study" if early else "scan",
        grey_picture_slices=3 if early else 1,
    )


def _infer_config(
    live: Mapping[str, Tensor], labels: Sequence[str], late_fusion: str, image_size: int
) -> RadDiagConfig:
    """Read the network's shape off its tensors."""
    _check_axes(live)
    resnet_depth = _resnet_depth(live)
    knowledge = "fcke.weight" in live
    early = any(key.startswith("vitFuse.") for key in live)
    hidden_size = live["attention1D.cls_token"].shape[-1]
    _check_label_count(live, labels)
    shape = {
        "resnet_depth": resnet_depth,
        "resnet_width": live["resnet2D.conv1.weight"].shape[0],
        "num_channels": live["resnet2D.conv1.weight"].shape[1],
        "max_slices": live["attention1D.pos_emb"].shape[-2] - 1,
        "hidden_size": hidden_size,
        "intermediate_size": hidden_size,
        "num_hidden_layers": _count_layers(live, _layers_of("attention1D")),
        "num_attention_heads": SLICE_HEADS,
        "image_size": image_size,
        "fusion_type": "transformer" if early else late_fusion,
        "classifier_type": "knowledge" if knowledge else "linear",
        "normalize_attention_input": False,
        "id2label": dict(enumerate(labels)),
        "label2id": {label: index for index, label in enumerate(labels)},
        "label_set_fingerprint": LabelSet(tuple(labels)).fingerprint,
    }
    if early:
        shape |= {
            "num_fusion_layers": _count_layers(live, _layers_of("vitFuse")),
            "num_fusion_heads": FUSION_HEADS,
        }
        if "vitFuse.mod_embed" in live:
            shape["num_modality_slots"] = len(live["vitFuse.mod_embed"])
    if knowledge:
        shape["label_embedding_size"] = live["fcke.weight"].shape[1]
    try:
        return RadDiagConfig(**shape)
    except ValueError as error:
        raise CheckpointError(f"the tensors' shapes do not fit together: {error}") from None


def _check_axes(live: Mapping[str, Tensor]) -> None:
    """Refuse tensors of which the network's shape could not be read."""
    for key, axes in (("conv1.weight", 4), ("pos_emb", 2), ("cls_token", 3), ("mod_embed", 2)):
        for name, tensor in live.items():
            if name.endswith(f".{key}") and tensor.ndim != axes and "layer" not in name:
                raise CheckpointError(
                    f"tensors of the wrong shape: {name} is {tuple(tensor.shape)}, expected "
                    f"{axes} axes"
                )
    for key in ("resnet2D.conv1.weight", "attention1D.pos_emb", "attention1D.cls_token"):
        if key not in live:
            raise CheckpointError(f"tensors are missing: {key}")


def _resnet_depth(live: Mapping[str, Tensor]) -> int:
    stages = [_count_layers(live, rf"resnet2D\.layer{stage}\.(\d+)\.") for stage in (1, 2, 3, 4)]
    block = "bottleneck" if "resnet2D.layer1.0.conv3.weight" in live else "basic"
    depths = [
        d for d, (kind, layers) in RESNET_BLOCKS.items() if (kind, list(layers)) == (block, stages)
    ]
    if not depths:
        raise CheckpointError(f"no ResNet has {stages} {block} blocks in its stages")
    return depths[0]


def _check_label_count(live: Mapping[str, Tensor], labels: Sequence[str]) -> None:
    head = next((live[key] for key in ("fc.2.weight", "fc2.2.weight") if key in live), None)
    if head is not None and len(head) != len(labels):
        raise CheckpointError(
            f"the checkpoint scores {len(head)} labels, but {len(labels)} label names were given"
        )


def _layers_of(room: str) -> str:
    return rf"{room}\.transformer_encoder\.encoder\.layers\.(\d+)\."


def _count_layers(live: Mapping[str, Tensor], pattern: str) -> int:
    return len({match[1] for key in live if (match := re.match(pattern, key))})


def _translate_value(key: str, value: Tensor) -> Tensor:
    """Return a tensor as our modules hold it.

    The reference divides by the unbiased standard deviation, `torch.nn.LayerNorm` by the biased
    one; the factor between them is folded into the gain. The reference's epsilon of 1e-6, added
    outside the root, is below float32's resolution for tokens of unit spread.
    """
    if is_normalization_weight(key):
        return value * math.sqrt((len(value) - 1) / len(value))
    if key == "attention1D.pos_emb":
        return value.reshape(1, *value.shape[-2:])
    return value


def _checked_embeddings(label_embeddings: Tensor | None, config: RadDiagConfig) -> Tensor:
    expected = (config.num_labels, config.label_embedding_size)
    if label_embeddings is None:
        raise CheckpointError(
            "the checkpoint has a knowledge head: text embeddings of the labels are needed, an "
            f"array of shape {expected}"
        )
    if tuple(label_embeddings.shape) != expected:
        raise CheckpointError(
            f"label embeddings have shape {tuple(label_embeddings.shape)}, expected {expected}"
        )
    if not torch.isfinite(label_embeddings).all():
        raise CheckpointError("label embeddings are not all finite")
    return label_embeddings.to(torch.float32)


def _some(names: Sequence[str], most: int = 8) -> str:
    """Join names, cutting a list that nobody would read."""
    rest = len(names) - most
    return ", ".join(names[:most]) + (f" and {rest} more" if rest > 0 else "")
