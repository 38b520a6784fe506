"""Weights with torchvision's names: each tensor lands where it belongs, or is named."""

import logging

import pytest
import torch
from safetensors.torch import save_file

from raddiag_hf import RadDiagForImageClassification
from raddiag_hf.checkpoints.convert import CheckpointError
from raddiag_hf.checkpoints.torchvision_weights import MODULES, torchvision_tensors
from raddiag_hf.core.model_source import ModelSourceError
from tests.fixtures.models import packed_batch, tiny_config, tiny_model

NUMBERS = {name: number for number, name in MODULES.items()}


@pytest.fixture
def source():
    """A ResNet by its own names, with a classifier behind it."""
    weights = dict(tiny_model(seed=1).raddiag.encoder.resnet.state_dict())
    return weights | {"fc.weight": torch.zeros(7, 32), "fc.bias": torch.zeros(7)}


def written(tensors, path):
    if path.suffix == ".safetensors":
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)
    else:
        torch.save(tensors, path)
    return str(path)


def numbered(tensors):
    """As a torchvision ResNet without its classifier, saved as a sequence."""
    parts = (name.partition(".") for name in tensors if not name.startswith("fc."))
    return {
        f"backbone.{NUMBERS[first]}.{rest}": tensors[f"{first}.{rest}"] for first, _, rest in parts
    }


@pytest.mark.parametrize("file", ["resnet.pth", "resnet.safetensors", "pytorch_model.bin"])
@pytest.mark.parametrize(
    "rename",
    [
        dict,
        lambda tensors: {f"module.{name}": tensor for name, tensor in tensors.items()},
        lambda tensors: {f"module.backbone.{name}": tensor for name, tensor in tensors.items()},
        lambda tensors: {
            name if name.startswith("fc.") else f"encoder.{name}": tensor
            for name, tensor in tensors.items()
        },
        numbered,
    ],
    ids=["plain", "module", "nested", "classifier beside", "numbered"],
)
@torch.no_grad()
def test_the_resnet_answers_as_its_source(source, file, rename, tmp_path):
    address = written(rename(source), tmp_path / file)
    model, pixels = tiny_model(seed=2), packed_batch([[2]])["pixel_values"]
    before = model.state_dict()
    untouched = {name: one.clone() for name, one in before.items() if ".resnet." not in name}
    model.load_state_dict(torchvision_tensors(model, address), strict=False)
    expected = tiny_model(seed=1).encode_slices(pixels)
    assert torch.equal(model.encode_slices(pixels), expected)
    after = model.state_dict()
    assert all(torch.equal(after[name], one) for name, one in untouched.items())


@torch.no_grad()
def test_one_channel_answers_as_three(source, tmp_path):
    address = written(source, tmp_path / "resnet.pth")
    model, pixels = tiny_model(seed=2, num_channels=1), packed_batch([[2]])["pixel_values"]
    model.load_state_dict(torchvision_tensors(model, address), strict=False)
    expected = tiny_model(seed=1).encode_slices(pixels)
    torch.testing.assert_close(model.encode_slices(pixels), expected, atol=1e-5, rtol=1e-4)


def test_the_classifier_is_left_out_and_named(source, tmp_path, caplog):
    with caplog.at_level(logging.INFO):
        torchvision_tensors(tiny_model(), written(source, tmp_path / "resnet.pth"))
    assert "the classifier is left out: fc.bias, fc.weight" in caplog.text


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"layer2.0.conv1.weight": None}, r"1 tensors are missing, .*layer2\.0\.conv1\.weight"),
        ({"layer4.1.conv1.weight": torch.zeros(1)}, r"deeper: layer4\.1\.conv1\.weight"),
        ({"bn1.weight": torch.zeros(3)}, r"bn1\.weight has shape \(3,\), expected \(4,\)"),
        ({"decoder.weight": torch.zeros(3)}, r"decoder\.weight is no tensor of a torchvision"),
        ({"conv1.weight": None}, r"has no conv1\.weight, .* --start backbone:ID"),
    ],
)
def test_what_does_not_fit_is_named(source, change, message, tmp_path):
    tensors = {name: one for name, one in (source | change).items() if one is not None}
    with pytest.raises(ModelSourceError, match=message):
        torchvision_tensors(tiny_model(), written(tensors, tmp_path / "resnet.pth"))


@torch.no_grad()
def test_stem_and_trunk_take_what_fits(source, tmp_path, caplog):
    address = written(source, tmp_path / "resnet.pth")
    model = tiny_model(seed=2, encoder_type="resnet")
    taken = torchvision_tensors(model, address)
    assert torch.equal(taken["raddiag.encoder.stem_2d.0.weight"], source["conv1.weight"])
    assert torch.equal(
        taken["raddiag.encoder.trunk.1.0.conv2.weight"], source["layer4.0.conv2.weight"]
    )
    assert not [name for name in taken if "stem_3d" in name]
    deeper = tiny_model(seed=2, encoder_type="resnet", stem_depth=18)
    taken = torchvision_tensors(deeper, address)
    assert {name.split(".")[2] for name in taken} == {"trunk"}
    assert "a part of the encoder stays as it is" in caplog.text


@pytest.mark.parametrize("encoder_type", ["vit", "backbone"])
def test_other_encoders_take_none(source, encoder_type, tmp_path):
    address = written(source, tmp_path / "resnet.pth")
    with pytest.raises(ModelSourceError, match=f"encoder_type is '{encoder_type}'"):
        torchvision_tensors(tiny_model(encoder_type=encoder_type), address)


def test_shapes_are_compared_without_a_network_in_memory(source, tmp_path):
    address = written(source, tmp_path / "resnet.pth")
    with torch.device("meta"):
        fitting = RadDiagForImageClassification(tiny_config())
        other = RadDiagForImageClassification(tiny_config(resnet_width=8, hidden_size=64))
    assert torchvision_tensors(fitting, address)
    with pytest.raises(ModelSourceError, match="does not fit the model's ResNet"):
        torchvision_tensors(other, address)


def test_a_folder_has_one_file_or_it_is_named(source, tmp_path):
    written(source, tmp_path / "a.pth")
    assert torchvision_tensors(tiny_model(), str(tmp_path))
    written(source, tmp_path / "b.safetensors")
    with pytest.raises(ModelSourceError, match=r"found a\.pth, b\.safetensors; name it as .*:FILE"):
        torchvision_tensors(tiny_model(), str(tmp_path))
    assert torchvision_tensors(tiny_model(), f"{tmp_path}:b.safetensors")


def test_a_pickle_of_more_than_tensors_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match="holding code, which is not run"):
        torchvision_tensors(tiny_model(), written({"conv1.weight": print}, tmp_path / "bad.pth"))
