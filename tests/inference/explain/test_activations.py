"""Which layer is looked at."""

import pytest

from raddiag_hf.inference.explain.activations import default_layer
from tests.fixtures.models import tiny_model


@pytest.mark.parametrize(
    ("encoder_type", "image_size", "num_slices", "layer"),
    [
        ("resnet_vit", 256, 24, "layer4"),
        ("resnet_vit", 128, 24, "layer3"),
        ("resnet_vit", 48, 6, "layer1"),
        ("resnet_vit", 16, 6, "layer1"),
        ("resnet", 256, 1, "layer4"),
        ("resnet", 256, 24, "layer2"),
        ("vit", 32, 24, "tokens"),
        ("backbone", 32, 24, "features"),
    ],
)
def test_the_deepest_layer_that_tells_places_apart_is_looked_at(
    encoder_type, image_size, num_slices, layer
):
    model = tiny_model(encoder_type=encoder_type, image_size=image_size)
    assert default_layer(model, num_slices) == layer
