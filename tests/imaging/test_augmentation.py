"""Augmented scans: changed as often and as much as asked, and never in what they are."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raddiag_hf.imaging.augmentation import ScanAugmentation

KINDS = ("noise", "contrast", "affine", "elastic")
NEVER = dict.fromkeys((f"{kind}_probability" for kind in KINDS), 0.0)


def always(*kinds, **strengths):
    return ScanAugmentation(**NEVER | {f"{kind}_probability": 1.0 for kind in kinds} | strengths)


def augment(augmentation, volume, seed=0):
    return augmentation(volume, np.random.default_rng(seed))


def blob(depth=1, side=64):
    """A bright, smooth disc amid every slice."""
    rows, columns = np.mgrid[:side, :side] - (side - 1) / 2
    disc = np.exp(-((rows**2 + columns**2) / (side / 8) ** 2)).astype(np.float32)
    return np.repeat(disc[None], depth, axis=0)


volumes = st.builds(
    lambda shape, low, width, seed: (
        low + width * np.random.default_rng(seed).random(shape, np.float32)
    ).astype(np.float32),
    st.tuples(st.integers(1, 3), st.integers(1, 33), st.integers(1, 33)),
    st.floats(-2000, 1000),
    st.sampled_from([1e-3, 1.0, 4000.0]),
    st.integers(0, 99),
)


@settings(max_examples=60)
@given(volume=volumes, kinds=st.sets(st.sampled_from(KINDS)), seed=st.integers(0, 99))
def test_shape_type_and_intensity_range_stay(volume, kinds, seed):
    before = volume.copy()
    changed = augment(always(*kinds), volume, seed)
    assert changed.shape == volume.shape
    assert changed.dtype == np.float32
    assert volume.min() <= changed.min()
    assert changed.max() <= volume.max()
    assert np.array_equal(volume, before)


@given(volume=volumes, seed=st.integers(0, 99))
def test_probability_zero_is_the_identity(volume, seed):
    assert np.array_equal(augment(ScanAugmentation(**NEVER), volume, seed), volume)


@pytest.mark.parametrize("kind", KINDS)
def test_the_generator_alone_decides(kind):
    volume = blob(2)
    first, again, other = (augment(always(kind), volume, seed) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert not np.array_equal(first, volume)


@pytest.mark.parametrize("kind", ["affine", "elastic"])
@pytest.mark.parametrize("seed", range(5))
def test_slices_move_alike_so_that_each_keeps_its_index(kind, seed):
    alike = augment(always(kind), blob(4), seed)
    assert all(np.array_equal(alike[0], other) for other in alike)
    one_bright = blob(4) * np.float32([0, 0, 1, 0])[:, None, None]
    assert np.flatnonzero(augment(always(kind), one_bright, seed).any((1, 2))).tolist() == [2]


def test_each_change_comes_as_often_as_asked():
    volume = blob(1, 8)
    for kind in KINDS:
        augmentation = ScanAugmentation(**NEVER | {f"{kind}_probability": 0.15})
        random = np.random.default_rng(3)
        changed = sum(augmentation(volume, random) is not volume for _ in range(600))
        assert 55 < changed < 125, kind  # four standard deviations


def test_about_half_of_all_scans_are_changed_as_in_the_paper():
    volume, random = blob(1, 8), np.random.default_rng(0)
    changed = sum(ScanAugmentation()(volume, random) is not volume for _ in range(600))
    assert abs(changed / 600 - (1 - 0.85**4)) < 0.085


def test_noise_is_no_stronger_than_asked_whatever_the_unit():
    volume = np.zeros((4, 32, 32), np.float32)
    volume[:, :2] = [[[-1000.0], [3000.0]]]
    volume[:, 2:] = 1000.0  # in the middle of the range, where nothing is cut off
    for seed in range(10):
        noise = augment(always("noise"), volume, seed)[:, 2:] - 1000
        assert 0 < noise.std() < 0.07 * 4000 * 1.1
        assert abs(noise.mean()) < 20


def test_contrast_keeps_the_range_and_the_order_of_intensities():
    volume = np.linspace(-1000, 3000, 256, dtype=np.float32).reshape(1, 16, 16)
    changed = augment(always("contrast"), volume)
    assert changed.min() == -1000
    assert changed.max() == pytest.approx(3000)
    assert (np.diff(changed.ravel()) >= 0).all()


def test_affine_moves_no_further_than_asked():
    offsets = []
    for seed in range(20):
        still = dict.fromkeys(("rotation_degrees", "scaling", "shear"), 0.0)
        moved = augment(always("affine", translation=0.1, **still), blob(), seed)[0]
        rows, columns = np.mgrid[:64, :64] - 31.5
        offsets.append([(axis * moved).sum() / moved.sum() for axis in (rows, columns)])
    assert 3 < np.abs(offsets).max() < 6.5  # pixels; a tenth of 64


def drawn(size):
    return [np.random.default_rng((0, number)) for number in range(size)]


@pytest.mark.parametrize("padding", ["lowest", "reflection"])
def test_what_moves_in_is_black_or_a_reflection(padding):
    """A film that fills its frame has no black, so that all black is padding."""
    film = np.random.default_rng(0).uniform(0.5, 1, (1, 48, 48)).astype(np.float32)
    film[0, 24, 24] = 0
    moving = ScanAugmentation(0, 0, 1, 0, translation=0.25, padding=padding)
    shares = [(moving(film, random) < 0.1).mean() for random in drawn(20)]
    assert (max(shares) > 0.05) == (padding == "lowest")


def test_mirrored_scans_are_as_frequent_as_asked():
    mirroring = ScanAugmentation(0, 0, 0, 0, flip_probability=0.5)
    volume = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    found = [mirroring(volume, random) for random in drawn(400)]
    mirrored = [np.array_equal(one, volume[..., ::-1]) for one in found]
    assert all(
        np.array_equal(one, volume)
        for one, is_one in zip(found, mirrored, strict=False)
        if not is_one
    )
    assert 0.4 < np.mean(mirrored) < 0.6


def test_no_scan_is_changed_beyond_recognition():
    """Everything at once leaves a scan nearer to itself than to a mirrored one."""
    volume = blob(2)
    volume[:, :, :20] *= 0.5
    volume[:, 40:, 40:] += 0.5
    for seed in range(10):
        changed = augment(always(*KINDS), volume, seed).ravel()
        itself = np.corrcoef(changed, volume.ravel())[0, 1]
        mirrored = np.corrcoef(changed, volume[:, ::-1, ::-1].ravel())[0, 1]
        assert itself > max(mirrored, 0.5)


def test_a_scan_of_one_intensity_stays():
    volume = np.full((3, 16, 16), 7, np.float32)
    assert np.array_equal(augment(always(*KINDS), volume), volume)


def test_a_range_beyond_float32_stays_finite():
    largest = np.finfo(np.float32).max
    volume = np.linspace(-1, 1, 256, dtype=np.float32).reshape(1, 16, 16) * largest
    assert np.isfinite(augment(always(*KINDS), volume)).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"noise_probability": 1.1}, "noise_probability is 1.1, expected 0 to 1"),
        ({"noise_std": -0.1}, "noise_std is -0.1"),
        ({"scaling": 1.0}, "scaling is 1.0"),
        ({"contrast_gamma": (1.5, 0.5)}, "contrast_gamma is"),
        ({"elastic_displacement": (0.01, 0.1)}, "a quarter of elastic_spacing, which is 0.125"),
    ],
)
def test_impossible_strengths_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        ScanAugmentation(**options)
