"""Learning rates by depth: layers near the image change less than those near the labels."""

import re
from typing import Any

from torch import nn

_LAYER = re.compile(r".*?(?:\.layer\d|\.trunk\.\d|\.layers\.\d+|^classifier)\b")
_UNDECAYED = ("cls_token", "position_embeddings", "modality_embeddings.weight", "_positions")


def parameter_groups(
    model: nn.Module, *, learning_rate: float, layer_decay: float, weight_decay: float
) -> list[dict[str, Any]]:
    """Return the trainable parameters of a RadDiag model as groups for an optimizer.

    A layer is a stage of a ResNet, a transformer layer or the classifier, in the order of the
    forward pass. What stands outside of any layer shares the rate of the layer before it; the
    stems come first. Norms, biases and learnt tokens have no weight decay.

    Args:
        model: Of any encoder family.
        learning_rate: Of the classifier.
        layer_decay: Each layer's rate is that of the next one times this; 1 for equal rates.
        weight_decay: Of all other weights.

    Source:
        Layer-wise decay as in Bao et al., BEiT, ICLR 2022, appendix.
    """
    depth_of: dict[str, int] = {}
    depth = 0
    seen: set[str] = set()
    for name, _ in model.named_parameters():
        layer = _LAYER.match(name)
        if layer is not None and layer[0] not in seen:
            seen.add(layer[0])
            depth = len(seen)
        depth_of[name] = depth
    groups: dict[tuple[int, bool], dict[str, Any]] = {}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        decays = parameter.ndim > 1 and not name.endswith(_UNDECAYED)
        group = groups.setdefault(
            (depth_of[name], decays),
            {
                "params": [],
                "lr": learning_rate * layer_decay ** (depth - depth_of[name]),
                "weight_decay": weight_decay if decays else 0.0,
            },
        )
        group["params"].append(parameter)
    return list(groups.values())
