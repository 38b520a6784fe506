"""Low-rank adapters (LoRA) on encoder and fusion, by PEFT."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

from torch import nn

from raddiag_hf.checkpoints.adapters import ADAPTER_BASE, ADAPTER_BASE_FORMAT, BASE_DIGEST_KEY
from raddiag_hf.core.extras import require_extra
from raddiag_hf.model.backbone import BackboneEncoder
from raddiag_hf.model.modeling_raddiag import RadDiagForImageClassification
from raddiag_hf.model.weight_digests import write_weight_digests

if TYPE_CHECKING:
    from peft import PeftModel

ALPHA_PER_RANK = 2


def adapted_layers(model: RadDiagForImageClassification) -> list[str]:
    """Return the linear layers and convolutions of encoder and fusion, by name.

    Of a classifier of two layers, the first is among them. 3D convolutions of one voxel are not:
    PEFT (0.21) cannot merge them. Neither is what `learnt_layers` names, nor what a backbone has of
    convolutions beside linear layers (patch embeddings, depthwise ones).
    """
    kinds = (nn.Linear, nn.Conv2d, nn.Conv3d)
    learnt = tuple(f"{name}." for name in learnt_layers(model))
    encoder = model.raddiag.encoder
    skipped = _unadapted(encoder.backbone) if isinstance(encoder, BackboneEncoder) else set()
    layers = [
        f"raddiag.{name}"
        for name, module in model.raddiag.named_modules()
        if isinstance(module, kinds)
        and not (isinstance(module, nn.Conv3d) and module.kernel_size == (1, 1, 1))
        and not f"raddiag.{name}".startswith(learnt)
        and module not in skipped
    ]
    return [*layers, "classifier.fc1"] if model.config.classifier_type == "linear" else layers


def _unadapted(backbone: nn.Module) -> set[nn.Module]:
    """Return the layers of a backbone that take no adapter, or none that is of use."""
    modules = list(backbone.modules())
    convolutions = {one for one in modules if isinstance(one, nn.Conv2d | nn.Conv3d)}
    # Attention of torch's own reads the weights of its projection without calling it.
    uncalled = {
        part for one in modules if isinstance(one, nn.MultiheadAttention) for part in one.modules()
    }
    if any(isinstance(one, nn.Linear) for one in set(modules) - uncalled):
        return uncalled | convolutions
    return uncalled | {one for one in convolutions if getattr(one, "groups", 1) > 1}


def learnt_layers(model: RadDiagForImageClassification) -> list[str]:
    """Return the modules that are learnt and saved whole.

    The last layer of the classifier, and attention pooling, which is as small as its adapters
    would be and mostly new.
    """
    config = model.config
    classifier = "classifier.fc2" if config.classifier_type == "linear" else "classifier"
    slices = ["raddiag.encoder.slice_attention"] if config.slice_fusion == "attention" else []
    scans = ["raddiag.fusion"] if config.fusion_type == "attention" else []
    return [*slices, *scans, classifier]


def attach_adapters(model: RadDiagForImageClassification, rank: int) -> "PeftModel":
    """Return the model with fresh adapters, which change nothing until they are trained.

    Batch norms must stay frozen: their statistics are not saved with adapters.

    Raises:
        ExtraMissingError: If PEFT is not installed.
        ValueError: If the model trains its batch norms.
    """
    require_extra("peft", extra="peft", needed_by="method lora")
    from peft import LoraConfig, get_peft_model

    if not model.config.freeze_batch_norm:
        raise ValueError("freeze_batch_norm is False, but adapters do not save batch statistics")
    config = LoraConfig(
        r=rank,
        lora_alpha=ALPHA_PER_RANK * rank,
        target_modules=adapted_layers(model),
        modules_to_save=learnt_layers(model),
    )
    adapted = get_peft_model(model, config)
    config.base_model_name_or_path = None  # named when saved; PEFT would look it up on the Hub
    return adapted


def save_adapters(
    adapted: "PeftModel",
    folder: Path,
    base_model: str,
    base_revision: str | None,
    base_digest: str | None = None,
) -> None:
    """Write the adapters, and the configuration of the model that they make of their base.

    To use them with PEFT alone, load the base with this configuration::

        config = AutoConfig.from_pretrained(folder)
        base = AutoModelForImageClassification.from_pretrained(
            base_model, config=config, ignore_mismatched_sizes=True
        )
        model = PeftModel.from_pretrained(base, folder)

    Args:
        adapted: From `attach_adapters`.
        folder: Where to.
        base_model: Folder or Hub id that the base was read from.
        base_revision: Its commit on the Hub.
        base_digest: That of the base's weights, so that adapters are not merged into others.
    """
    config = adapted.peft_config["default"]
    config.base_model_name_or_path, config.revision = base_model, base_revision
    try:
        adapted.save_pretrained(folder, save_embedding_layers=False)
    finally:
        config.base_model_name_or_path = None
    (folder / "README.md").unlink(missing_ok=True)  # PEFT's card of blanks
    write_weight_digests(folder)
    adapted.get_base_model().config.save_pretrained(folder)
    if base_digest is not None:
        text = json.dumps({"format": ADAPTER_BASE_FORMAT, BASE_DIGEST_KEY: base_digest}) + "\n"
        (folder / ADAPTER_BASE).write_text(text, "utf-8")
