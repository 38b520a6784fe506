"""From a map's grid to the scan as read, and which slices to show."""

import numpy as np
import pytest

from raddiag_hf.inference.explain.saliency_grid import (
    choose_key_slices,
    saliency_peak,
    saliency_profile,
    saliency_slice,
    saliency_slices,
)


def hot(shape, place):
    values = np.zeros(shape, dtype=np.float32)
    values[place] = 1
    return values


def test_slices_between_two_seen_ones_take_from_both():
    values = hot((4, 2, 2), (1,))  # slice 1 of 4 encoded ones: slice 2 of 8 as read
    heights = [plane.max() for plane in saliency_slices(values, (8, 4, 4))]
    assert heights == pytest.approx([0, 0.5, 1, 0.5, 0, 0, 0, 0])


def test_slices_behind_the_last_seen_one_take_its_map():
    heights = [plane.max() for plane in saliency_slices(hot((2, 1, 1), (1,)), (5, 1, 1))]
    assert heights == pytest.approx([0, 0.5, 1, 1, 1])


def test_the_map_lies_over_the_slice_as_pixels_lie_over_pixels():
    plane = saliency_slice(hot((1, 4, 4), (0, 3, 0)), (1, 40, 80), 0)
    assert plane.shape == (40, 80)
    assert plane[39, 0] == 1
    assert plane[:28].max() < 0.3


def test_a_picture_that_became_equal_slices_gets_one_map():
    values = np.stack([np.full((2, 2), height, np.float32) for height in (0.2, 0.4, 0.6)])
    np.testing.assert_allclose(saliency_slice(values, (1, 3, 3), 0), 0.4, atol=1e-6)


def test_the_peak_is_counted_in_the_scan_as_read():
    index, row, column = saliency_peak(hot((4, 8, 8), (2, 6, 1)), (16, 80, 160))
    assert index == 8
    assert 60 <= row < 70
    assert 20 <= column < 40


def test_an_empty_map_has_no_peak():
    assert saliency_peak(np.zeros((3, 4, 4), np.float32), (3, 8, 8)) is None


def test_the_profile_is_the_height_of_the_map():
    assert saliency_profile(hot((3, 2, 2), (1, 0, 1))) == (0, 1, 0)


@pytest.mark.parametrize(
    ("profile", "attention", "chosen"),
    [
        ((1.0,), (1.0,), (0,)),
        ((0.1, 0.2, 1.0, 0.2, 0.1, 0.1), None, (2,)),
        ((0.1, 0.2, 1.0, 0.2, 0.1, 0.1), (0, 0, 0, 0, 0, 1), (2, 5)),
        ((0.1, 0.2, 1.0, 0.2, 0.1, 0.1), (0, 0, 0, 1, 0, 0), (2,)),  # beside the first
        ((0.9, 0, 1, 0, 0.8, 0, 0.7), None, (2, 0, 4)),
        ((0.3, 0, 1, 0, 0.4), None, (2,)),  # other peaks are low
        ((0.0, 0.0, 0.0), (0.2, 0.1, 0.7), (0, 2)),
    ],
)
def test_key_slices_are_few_apart_and_the_most_telling_first(profile, attention, chosen):
    assert choose_key_slices(profile, attention) == chosen
