"""Pictures of slices: window, proportions, order."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from raddiag_hf.imaging.scan import Scan
from raddiag_hf.reports.pictures import (
    STRIP_TILES,
    filmstrip,
    intensity_window,
    slice_picture,
)
from raddiag_hf.vocabulary import Modality


def decode(uri):
    header, _, content = uri.partition(",")
    assert header == "data:image/webp;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(content))).convert("L"), dtype=int)


def scan_of(volume, **fields):
    return Scan(np.asarray(volume, np.float32), Modality.CT, **fields)


def test_outliers_do_not_darken_the_rest():
    volume = np.linspace(0, 100, 100 * 100).reshape(1, 100, 100)
    volume[0, 0, 0] = 1e6
    low, high = intensity_window(scan_of(volume))
    assert (low, high) == pytest.approx((1, 99), abs=0.1)


def test_the_window_spans_black_to_white():
    picture = decode(slice_picture(scan_of([np.tile(np.arange(64.0), (64, 1))]), 0, 64))
    assert picture[:, 0].max() < 10
    assert picture[:, -1].min() > 245


def test_one_bright_spot_on_black_is_seen():
    volume = np.zeros((1, 64, 64))
    volume[0, 30:33, 30:33] = 1
    assert decode(slice_picture(scan_of(volume), 0, 64)).max() > 200


@pytest.mark.parametrize("value", [0.0, -1000.0, 7.0])
def test_a_constant_scan_is_black(value):
    assert decode(slice_picture(scan_of(np.full((1, 8, 8), value)), 0, 32)).max() < 5


@pytest.mark.parametrize(
    ("spacing", "shape"),
    [
        ((5.0, 2.0, 1.0), (100, 50)),
        ((5.0, 1.0, 1.0), (100, 100)),
        ((float("nan"),) * 3, (100, 100)),
        ((5.0, 0.0, 1.0), (100, 100)),
    ],
)
def test_proportions_follow_known_spacing(spacing, shape):
    scan = scan_of(np.random.default_rng(0).random((1, 40, 40)), spacing_mm=spacing)
    assert decode(slice_picture(scan, 0, 100)).shape == shape


@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 1, 3000), (3, 2000, 1)])
def test_odd_shapes_are_drawn(shape):
    scan = scan_of(np.random.default_rng(0).random(shape))
    assert decode(slice_picture(scan, 0, 100)).max() >= 0
    assert decode(filmstrip(scan, shape[0], 20)[0]).shape[0] == 20


def test_the_strip_runs_from_first_to_last():
    brightness = np.arange(60.0)
    scan = scan_of(np.broadcast_to(brightness[:, None, None], (60, 16, 16)))
    uri, tiles = filmstrip(scan, encoded_slices=32, tile_pixels=32)
    assert tiles == STRIP_TILES
    means = decode(uri).reshape(32, tiles, 32).mean((0, 2))
    expected = (np.arange(tiles) + 0.5) / tiles * 255
    np.testing.assert_allclose(means, expected, atol=12)


def test_few_slices_make_a_short_strip():
    assert filmstrip(scan_of(np.random.default_rng(0).random((2, 16, 16))), 2)[1] == 2
