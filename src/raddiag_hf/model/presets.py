"""Presets: the networks that the paper names, and a small one, as fields of a configuration."""

from typing import Any


def _transformer_preset(layers: int, hidden_size: int) -> dict[str, Any]:
    heads = hidden_size // 64
    return {
        "hidden_size": hidden_size,
        "intermediate_size": hidden_size,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
    }


PRESETS: dict[str, dict[str, Any]] = {
    "raddiag": {},
    "small": {
        "image_size": 96,
        "num_channels": 1,
        "resnet_depth": 10,
        "resnet_width": 24,
        "num_attention_heads": 4,
        "hidden_size": 192,
        "intermediate_size": 192,
        "initializer_range": 0.07,  # about hidden_size ** -0.5
        "slice_fusion": "attention",
        "fusion_type": "attention",
        "classifier_type": "probe",
    },
    **{
        f"vit{layers}-mlp{mlp}": {
            "encoder_type": "vit",
            "patch_mlp_layers": mlp,
            **_transformer_preset(layers, 768),
        }
        for layers in (6, 12)
        for mlp in (2, 4)
    },
    **{
        f"resnet{stem}-resnet{trunk}": {
            "encoder_type": "resnet",
            "stem_depth": stem,
            "resnet_depth": trunk,
            **_transformer_preset(1, 512),
        }
        for stem in (18, 34)
        for trunk in (18, 34)
    },
    **{
        f"resnet{depth}-vit{layers}": {
            "encoder_type": "resnet_vit",
            "resnet_depth": depth,
            **_transformer_preset(layers, hidden_size),
        }
        for depth, hidden_size in ((34, 512), (50, 2048))
        for layers in (6, 12)
    },
}
"""The published network, every row of the paper's Table 1, and ``small``, which is ours
(`benchmarks/real_data.py`), as differences from the defaults."""
