"""Score-CAM: masks, weights, what is normalised over what, and what it costs."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from raddiag_hf.inference.explain.saliency import (
    ScoreCamSettings,
    group_channels,
    normalize_maps,
    score_cam,
)
from raddiag_hf.model.transformer import TokenEncoding
from tests.fixtures.models import packed_batch, tiny_model

ENCODERS = ["resnet_vit", "resnet", "vit", "backbone"]
ALL_CHANNELS = 10_000


def explain(model, batch, scan=0, label=1, **settings):
    """The map of one scan of a one-case batch."""
    with torch.inference_mode():
        encoded = model.encode_scans(batch["pixel_values"], batch["slice_counts"])
    given = ScoreCamSettings(**settings)
    return score_cam(model, batch, encoded.scan_embeddings, scan, label, given)


def spearman(first, second):
    ranks = [np.argsort(np.argsort(values.ravel())) for values in (first, second)]
    return np.corrcoef(ranks)[0, 1]


def test_the_map_is_that_of_whole_forward_passes_channel_by_channel():
    """Against the definition, written out: every channel, one whole forward pass each."""
    model, batch = tiny_model(), packed_batch([[2, 1]])
    kept = []
    stage = model.raddiag.encoder.resnet.layer2
    hook = stage.register_forward_hook(lambda *args: kept.append(args[2]))
    pixels = batch["pixel_values"].clone()
    score = lambda: model(**batch).logits[0, 3].item()  # noqa: E731
    with torch.no_grad():
        score()
        hook.remove()
        maps = kept[0][:2].transpose(0, 1)  # (channels, slices, h, w) of the first scan
        batch["pixel_values"] = pixels.clone()
        batch["pixel_values"][:2] = 0
        black = score()
        expected = torch.zeros(maps.shape[1:])
        for channel in maps:
            if channel.max() == channel.min():
                continue
            mask = (channel - channel.min()) / (channel.max() - channel.min())
            mask = F.interpolate(mask[:, None], (32, 32), mode="bilinear", align_corners=False)
            batch["pixel_values"] = pixels.clone()
            batch["pixel_values"][:2] *= mask
            expected += (score() - black) * channel
    expected = expected.relu()
    batch["pixel_values"] = pixels
    found = explain(
        model, batch, label=3, max_masks=ALL_CHANNELS, layer="layer2", weighting="increase"
    )
    torch.testing.assert_close(
        torch.from_numpy(found.values), expected / expected.max(), atol=2e-3, rtol=1e-3
    )


@pytest.mark.parametrize("encoder_type", ENCODERS)
@pytest.mark.parametrize("counts", [[5, 3], [1, 4]], ids=["volume", "picture"])
def test_every_encoder_gives_a_map_of_its_scan(encoder_type, counts):
    saliency = explain(tiny_model(encoder_type=encoder_type), packed_batch([counts]))
    assert len(saliency.values) == counts[0]
    assert saliency.values.dtype == np.float32
    assert saliency.values.min() >= 0
    assert saliency.values.max() == pytest.approx(1)


@pytest.mark.parametrize("encoder_type", ENCODERS)
def test_batched_equals_one_by_one(encoder_type):
    model, batch = tiny_model(encoder_type=encoder_type), packed_batch([[4, 2]])
    one_by_one = explain(model, batch, slices_at_once=1)
    together = explain(model, batch, slices_at_once=1000)
    np.testing.assert_allclose(one_by_one.values, together.values, atol=1e-3)


def test_no_more_slices_go_through_the_encoder_at_once_than_allowed():
    model, batch = tiny_model(), packed_batch([[7, 3]])
    sizes = []
    encoded = model.encode_scans(batch["pixel_values"], batch["slice_counts"]).scan_embeddings
    conv1 = model.raddiag.encoder.resnet.conv1
    conv1.register_forward_pre_hook(lambda _, inputs: sizes.append(len(inputs[0])))
    settings = ScoreCamSettings(max_masks=5, slices_at_once=3)
    saliency = score_cam(model, batch, encoded, 0, 1, settings)
    assert max(sizes) == 3
    assert sum(sizes) == 7 * (1 + 2 + saliency.num_masks), "other scans are not encoded again"


@pytest.mark.parametrize("encoder_type", ENCODERS)
def test_a_model_made_fast_is_explained_alike(encoder_type):
    batch = packed_batch([[4, 1]])
    plain = explain(tiny_model(encoder_type=encoder_type), batch, max_masks=ALL_CHANNELS)
    fast = tiny_model(encoder_type=encoder_type).optimize_for_inference()
    found = explain(fast, batch, max_masks=ALL_CHANNELS)
    np.testing.assert_allclose(found.values, plain.values, atol=5e-3)
    half = tiny_model(encoder_type=encoder_type).optimize_for_inference(torch.bfloat16)
    batch["pixel_values"] = batch["pixel_values"].bfloat16()
    assert np.isfinite(explain(half, batch).values).all()


def test_the_models_chunk_size_holds_where_none_is_named():
    model = tiny_model(encoder_chunk_size=2)
    assert ScoreCamSettings().chunk_size(model) == 2
    assert ScoreCamSettings(slices_at_once=5).chunk_size(model) == 5
    assert ScoreCamSettings().chunk_size(tiny_model()) == 8


def test_the_order_of_scans_does_not_matter():
    model, batch = tiny_model(), packed_batch([[3, 5]])
    swapped = {
        "pixel_values": torch.cat([batch["pixel_values"][3:], batch["pixel_values"][:3]]),
        "slice_counts": batch["slice_counts"].flip(0),
        "scan_counts": batch["scan_counts"],
        "modality_slots": batch["modality_slots"].flip(0),
    }
    first, second = explain(model, batch, scan=0), explain(model, swapped, scan=1)
    np.testing.assert_allclose(first.values, second.values, atol=1e-3)
    assert first.gain == pytest.approx(second.gain, abs=1e-4)


@pytest.mark.parametrize("encoder_type", ENCODERS)
def test_random_weights_give_another_map(encoder_type):
    """The sanity check of Adebayo et al. 2018: a map must depend on what the network learnt."""
    batch = packed_batch([[4, 2]])
    batch["pixel_values"] = F.avg_pool2d(batch["pixel_values"], 5, 1, 2)
    maps = []
    for seed in (0, 0, 1, 2):
        layer = {"vit": "tokens", "backbone": "features"}.get(encoder_type, "layer2")
        model = tiny_model(seed, encoder_type=encoder_type)
        maps.append(explain(model, batch, layer=layer, max_masks=ALL_CHANNELS).values)
    assert spearman(maps[0], maps[1]) == pytest.approx(1)
    assert max(abs(spearman(maps[0], other)) for other in maps[2:]) < 0.6


def test_random_weights_behind_the_maps_give_another_map():
    """With the same activation maps, too: their weights come from the rest of the network."""
    batch = packed_batch([[4, 2]])
    settings = {"layer": "layer2", "max_masks": ALL_CHANNELS}
    trained, randomised = tiny_model(0), tiny_model(0)
    torch.manual_seed(5)
    for module in (randomised.raddiag.encoder.resnet.layer3, randomised.classifier):
        for weight in module.parameters():
            weight.data.normal_(0, 0.2)
    maps = [explain(model, batch, **settings).values for model in (trained, randomised)]
    assert spearman(*maps) < 0.8


class TileNetwork(nn.Module):
    """A slice encoder whose channels each see one 4 x 4 tile, and answer its brightness."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 1, 1, bias=False)
        self.conv1.weight.data.fill_(1)
        self.layer1 = nn.AvgPool2d(4)
        self.layer2 = nn.Identity()  # becomes one channel per tile

    def forward(self, slices):
        tiles = self.layer1(self.conv1(slices)).flatten(1)  # (slices, 64)
        self.layer2(torch.diag_embed(tiles).view(len(slices), 64, 8, 8))
        return tiles


class BrightestSlice(nn.Module):
    """A scan's only feature: one tile, in the slice where that is brightest."""

    def __init__(self, target):
        super().__init__()
        self.target = target

    def forward(self, slices, is_real, output_attentions):
        tile = slices[:, :, self.target]
        return TokenEncoding(tile.amax(1, keepdim=True), tile, None)


def tile_model(target):
    """A network of which the only score is known: the brightness of one tile, summed over scans."""
    model = tiny_model()
    model.raddiag.encoder.resnet = TileNetwork()
    model.raddiag.encoder.slice_transformer = BrightestSlice(target)
    model.classify_scans = lambda embeddings, slots, counts: torch.stack(
        [case.sum(0) for case in embeddings.split(counts.tolist())]
    )
    return model


@pytest.mark.parametrize("weighting", ["contrast", "increase"])
def test_a_score_that_hangs_on_one_place_peaks_there(weighting):
    row, column, bright_slice = 5, 2, 3
    batch = packed_batch([[6, 2]])
    batch["pixel_values"] *= 0.1
    batch["pixel_values"][bright_slice, :, 20:24, 8:12] = 1
    model = tile_model(row * 8 + column)
    saliency = explain(
        model, batch, label=0, layer="layer2", max_masks=ALL_CHANNELS, weighting=weighting
    )
    peak = np.unravel_index(saliency.values.argmax(), saliency.values.shape)
    assert peak == (bright_slice, row, column)
    assert saliency.gain == pytest.approx(1, abs=1e-5)


def test_a_scan_without_any_contrast_has_an_empty_map():
    batch = packed_batch([[2, 2]])
    batch["pixel_values"][:2] = 0
    model = tile_model(7)
    saliency = explain(model, batch, label=0, layer="layer2")
    assert saliency.num_masks == 0
    assert not saliency.values.any()
    assert saliency.gain == 0


def test_progress_counts_masks():
    model, batch, heard = tiny_model(), packed_batch([[3]]), []
    embeddings = model.encode_scans(batch["pixel_values"], batch["slice_counts"]).scan_embeddings
    settings = ScoreCamSettings(max_masks=4, slices_at_once=6)
    score_cam(model, batch, embeddings, 0, 0, settings, lambda *step: heard.append(step))
    assert heard == [("Scoring masks", 2, 4), ("Scoring masks", 4, 4)]


@pytest.mark.parametrize(
    ("field", "value"), [("max_masks", 0), ("slices_at_once", -1), ("weighting", "softmax")]
)
def test_settings_out_of_range_are_refused(field, value):
    with pytest.raises(ValueError, match=field):
        ScoreCamSettings(**{field: value})


@pytest.mark.parametrize(
    ("encoder_type", "layer", "counts"),
    [("vit", "layer4", [2]), ("resnet", "layer4", [2]), ("resnet_vit", "tokens", [1])],
)
def test_a_layer_that_tells_no_slices_apart_is_refused(encoder_type, layer, counts):
    model = tiny_model(encoder_type=encoder_type)
    with pytest.raises(ValueError, match="layer is"):
        explain(model, packed_batch([counts]), layer=layer)


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
