"""Learning rates by depth."""

import pytest

from raddiag_hf.training.methods.weights import parameter_groups
from tests.fixtures.models import tiny_model


def rates(model, **options):
    """Name of each parameter -> learning rate and weight decay."""
    options = {"learning_rate": 1.0, "layer_decay": 0.5, "weight_decay": 0.1} | options
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    return {
        names[id(parameter)]: (group["lr"], group["weight_decay"])
        for group in parameter_groups(model, **options)
        for parameter in group["params"]
    }


@pytest.mark.parametrize("encoder_type", ["resnet_vit", "resnet", "vit"])
def test_every_parameter_is_in_one_group(encoder_type):
    model = tiny_model(encoder_type=encoder_type)
    found = rates(model)
    assert found.keys() == dict(model.named_parameters()).keys()
    groups = parameter_groups(model, learning_rate=1.0, layer_decay=0.5, weight_decay=0.1)
    assert sum(len(group["params"]) for group in groups) == len(found)


def test_rates_halve_from_the_classifier_to_the_pixels():
    found = rates(tiny_model())
    path = [
        "classifier.fc2.weight",
        "raddiag.fusion.scan_transformer.layers.1.fc1.weight",
        "raddiag.fusion.scan_transformer.layers.0.fc1.weight",
        "raddiag.encoder.slice_transformer.layers.0.fc1.weight",
        "raddiag.encoder.resnet.layer4.0.conv1.weight",
        "raddiag.encoder.resnet.layer3.0.conv1.weight",
        "raddiag.encoder.resnet.layer2.0.conv1.weight",
        "raddiag.encoder.resnet.layer1.0.conv1.weight",
        "raddiag.encoder.resnet.conv1.weight",
    ]
    assert [found[name][0] for name in path] == [0.5**depth for depth in range(9)]
    assert found["classifier.fc1.bias"][0] == 1.0


def test_norms_biases_and_learnt_tokens_do_not_decay():
    found = rates(tiny_model())
    decayed = {name for name, (_, decay) in found.items() if decay}
    assert "raddiag.encoder.resnet.conv1.weight" in decayed
    assert "classifier.fc2.weight" in decayed
    endings = (
        "bias",
        "norm.weight",
        "bn1.weight",
        "cls_token",
        "_embeddings",
        "_embeddings.weight",
    )
    assert not [name for name in decayed if name.endswith(endings)]


def test_frozen_parameters_are_left_out():
    model = tiny_model()
    model.raddiag.requires_grad_(False)
    assert all(name.startswith("classifier.") for name in rates(model))
