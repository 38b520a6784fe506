"""Channels that light up together share a mask; which layer is looked at."""

import pytest
import torch

from raddiag_hf.inference.explain.saliency_activations import default_layer
from raddiag_hf.inference.explain.saliency_channels import group_channels, normalize_maps
from tests.fixtures.models import tiny_model


def random_maps(channels, seed=0):
    return torch.rand(channels, 3, 6, 5, generator=torch.Generator().manual_seed(seed))


def test_with_room_for_all_every_channel_is_a_group():
    maps = random_maps(10)
    grouped = group_channels(maps, 10)
    energy = maps.flatten(1).square().sum(1)
    torch.testing.assert_close(grouped, maps[energy.argsort(descending=True)])


def test_channels_that_light_up_in_the_same_places_are_one_group():
    patterns = random_maps(4).round()
    maps = torch.cat([patterns * strength for strength in (1.0, 2.0, 5.0)])
    grouped = group_channels(maps, 4)
    found = sorted(normalize_maps(grouped).flatten(1).tolist())
    torch.testing.assert_close(
        torch.tensor(found), torch.tensor(sorted(patterns.flatten(1).tolist()))
    )


def test_all_channels_take_part_and_the_grouping_is_the_same_every_time():
    maps = random_maps(200)
    grouped = group_channels(maps, 12)
    assert len(grouped) <= 12
    torch.testing.assert_close(grouped.sum(0), maps.sum(0))
    assert torch.equal(grouped, group_channels(maps, 12))


def test_channels_without_contrast_are_left_out():
    maps = random_maps(5)
    maps[2] = 0.7
    assert len(group_channels(maps, 100)) == 4
    assert len(group_channels(torch.zeros(3, 1, 4, 4), 100)) == 0


def test_maps_are_stretched_over_the_whole_scan_not_slice_by_slice():
    maps = torch.zeros(1, 2, 2, 2)
    maps[0, 0, 0, 0], maps[0, 1, 1, 1] = 4.0, 1.0
    stretched = normalize_maps(maps)
    assert stretched[0, 0, 0, 0] == 1
    assert stretched[0, 1, 1, 1] == 0.25


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
    ],
)
def test_the_deepest_layer_that_tells_places_apart_is_looked_at(
    encoder_type, image_size, num_slices, layer
):
    model = tiny_model(encoder_type=encoder_type, image_size=image_size)
    assert default_layer(model, num_slices) == layer
