"""Augmented cases: another look, the same truth."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from datasets import Dataset
from hypothesis import given, settings
from hypothesis import strategies as st

from raddiag_hf import RadDiagImageProcessor
from raddiag_hf.data.batches.case_augmentation import UNKNOWN_ANATOMY, CaseAugmentation, mix_cases
from raddiag_hf.data.batches.collate import collate_cases
from raddiag_hf.data.batches.training_cases import CasePacker, TrainingCases
from raddiag_hf.data.store.case import case_features, encode_case
from raddiag_hf.data.store.scan_record import ANATOMIES
from raddiag_hf.imaging.augmentation import ScanAugmentation
from raddiag_hf.vocabulary import Anatomy
from tests.fixtures.cases import LABELS, make_case, make_scan

NOTHING = CaseAugmentation(None, 0.0, 0.0, 1, 0.0, shuffle_scans=False)
EVERYTHING = CaseAugmentation(ScanAugmentation(0.5, 0.5, 0.5, 0.5), 0.3, 0.6, 3, 0.3)
PROCESSOR = RadDiagImageProcessor(image_size=16, max_slices=2)
FEATURES = case_features(LABELS)
REGIONS = (Anatomy.CHEST, Anatomy.SPINE, Anatomy.BREAST, Anatomy.UNKNOWN)


@pytest.fixture(scope="module")
def split():
    rows = [
        encode_case(make_case(number, anatomy=REGIONS[number % 4]), FEATURES)
        for number in range(12)
    ]
    return Dataset.from_list(rows, features=FEATURES)


def training_cases(split, augmentation, processor=PROCESSOR, seed=0, epoch=0):
    cases = TrainingCases(split, CasePacker(FEATURES, processor), augmentation, seed)
    cases.set_epoch(epoch)
    return cases


def are_equal(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


def drawn(size, seed=0):
    return [np.random.default_rng((seed, number)) for number in range(size)]


def test_probability_zero_is_the_identity(split):
    plain = training_cases(split, None)
    assert all(are_equal(*pair) for pair in zip(plain, training_cases(split, NOTHING), strict=True))


def test_channels_of_ct_windows_move_together(split):
    """Turned by its own draw, each channel would show another patient."""
    windows = [[-1000, 1000], [-1000, 1000], [-1000, 3000]]  # two alike: they stay so
    processor = RadDiagImageProcessor(image_size=16, max_slices=2, ct_channel_windows=windows)
    moved = replace(
        NOTHING, scan_augmentation=ScanAugmentation(0, 0, 1, 1), key_slice_probability=1
    )
    plain = list(training_cases(split, None, processor))
    for before, after in zip(plain, training_cases(split, moved, processor), strict=True):
        pixels = after["pixel_values"]
        assert pixels.shape[1:] == (3, 16, 16)
        assert torch.equal(pixels[:, 0], pixels[:, 1])
        assert not torch.equal(pixels, before["pixel_values"])


def test_a_key_slice_alone_keeps_the_windows_of_its_scan():
    """A grey one is stretched by its own range; what a window shows is in Hounsfield units."""
    windows = [[-1000, 3000], [-1000, 1000]]
    processor = RadDiagImageProcessor(image_size=16, ct_channel_windows=windows)
    scans = [make_scan(0, modality=modality).volume for modality in ("CT", "MRI")]
    case = dict(processor(scans, ["CT", "MRI"], key_slices=[1, 1]))
    alone = replace(NOTHING, key_slice_probability=1)
    found = alone.augment_scans(case, processor, np.random.default_rng(0))
    assert found["slice_counts"].tolist() == [1, 1]
    ct, mri = found["pixel_values"]
    assert torch.equal(ct, case["pixel_values"][1])
    assert torch.equal(mri[0], mri[1])
    assert (mri.min(), mri.max()) == (0, 1)


def test_the_same_seed_epoch_and_index_give_the_same_case_in_any_order(split):
    forwards = list(training_cases(split, EVERYTHING, epoch=3))
    again = training_cases(split, EVERYTHING, epoch=3)
    backwards = [again[index] for index in reversed(range(len(again)))]
    assert all(are_equal(*pair) for pair in zip(forwards, reversed(backwards), strict=True))


@pytest.mark.parametrize("other", [{"seed": 1}, {"epoch": 4}])
def test_another_seed_or_epoch_gives_other_cases(split, other):
    pairs = zip(
        training_cases(split, EVERYTHING, epoch=3),
        training_cases(split, EVERYTHING, **{"epoch": 3} | other),
        strict=True,
    )
    assert sum(are_equal(*pair) for pair in pairs) <= 2


def test_a_repetition_of_a_case_looks_different_but_is_the_same_case(split):
    noisy = replace(NOTHING, scan_augmentation=ScanAugmentation(1, 0, 0, 0))
    cases = training_cases(split, noisy)
    first, repeated = cases[5], cases[5 + len(cases)]
    assert torch.equal(first["labels"], repeated["labels"])
    assert not torch.equal(first["pixel_values"], repeated["pixel_values"])


def test_workers_that_live_on_see_the_epoch_and_change_nothing(split):
    cases = training_cases(split, EVERYTHING)
    loader = torch.utils.data.DataLoader(
        cases, 3, num_workers=2, persistent_workers=True, collate_fn=collate_cases
    )
    for epoch in (0, 1):
        cases.set_epoch(epoch)
        expected = [collate_cases([cases[at + i] for i in range(3)]) for at in range(0, 12, 3)]
        assert all(are_equal(*pair) for pair in zip(loader, expected, strict=True))


@settings(max_examples=60, deadline=None)
@given(index=st.integers(0, 11), epoch=st.integers(0, 1000), repeated=st.sampled_from([1, 3]))
def test_an_augmented_case_is_a_packed_case(split, index, epoch, repeated):
    processor = RadDiagImageProcessor(image_size=16, max_slices=3, grey_picture_slices=repeated)
    case = training_cases(split, EVERYTHING, processor, epoch=epoch)[index]
    scans = len(case["slice_counts"])
    assert case["scan_counts"].tolist() == [scans]
    assert scans >= 1
    assert case["pixel_values"].shape == (int(case["slice_counts"].sum()), 1, 16, 16)
    assert case["pixel_values"].dtype == torch.float32
    assert case["pixel_values"].min() >= 0
    assert case["pixel_values"].max() <= 1
    assert (case["slice_counts"] >= 1).all()
    assert (case["key_slices"] >= -1).all()
    assert (case["key_slices"] < case["slice_counts"]).all()
    assert len(case["modality_slots"]) == len(case["key_slices"]) == scans
    is_normal = index % 3 == 0
    assert case["labels"][0, index % 3] == 1 or (is_normal and case["labels"].any())


def test_a_mixture_has_the_scans_and_the_labels_of_its_cases(split):
    always = replace(NOTHING, mixing_probability=1.0, max_mixed_cases=3)
    cases, plain = training_cases(split, always), training_cases(split, None)
    anatomies = np.array(split["anatomy"])
    for index, random in enumerate(drawn(12)):
        rows = [index, *always.draw_partners(index, anatomies, random)]
        expected = collate_cases([plain[row] for row in rows])
        mixed = mix_cases([plain[row] for row in rows])
        assert torch.equal(mixed["pixel_values"], expected["pixel_values"])
        assert torch.equal(mixed["labels"], expected["labels"].amax(0, keepdim=True))
        assert mixed["scan_counts"].tolist() == [expected["scan_counts"].sum()]
        assert torch.equal(mixed["modality_slots"], expected["modality_slots"])
    assert len({len(case["slice_counts"]) for case in cases}) > 2


@pytest.mark.parametrize(
    ("one", "other", "mixed"),
    [
        ([0, 0, 1], [0, torch.nan, torch.nan], [0, torch.nan, 1]),
        ([1, 0, 0], [0, torch.nan, 0], [torch.nan, torch.nan, 0]),
        ([1, 0, 0], [torch.nan, 0, 1], [0, 0, 1]),
        ([1, 0, 0], [torch.nan, 0, 0], [1, 0, 0]),
        ([0, 0, 0], [torch.nan, 0, 0], [torch.nan, 0, 0]),
    ],
)
def test_a_mixture_is_unknown_where_one_case_may_have_a_label(one, other, mixed):
    cases = [
        {"labels": torch.tensor([labels]), "scan_counts": torch.tensor([1])}
        for labels in (one, other)
    ]
    found = mix_cases(cases, normal_columns=(0,))["labels"]
    torch.testing.assert_close(found, torch.tensor([mixed]), equal_nan=True, check_dtype=False)


def test_a_mixture_of_a_normal_case_and_a_disease_is_not_normal(split):
    always = replace(NOTHING, mixing_probability=1.0, max_mixed_cases=2)
    seen = set()
    for epoch in range(4):
        for case in training_cases(split, always, epoch=epoch):
            normal, others = case["labels"][0, 0], case["labels"][0, 1:]
            assert not (normal and others.any())
            assert case["labels"].any()
            seen.add(bool(normal))
    assert seen == {True, False}


@given(
    anatomies=st.lists(st.integers(0, len(ANATOMIES) - 1), min_size=1, max_size=20),
    most=st.integers(1, 4),
    seed=st.integers(0, 99),
)
def test_mixed_cases_are_of_different_known_anatomies(anatomies, most, seed):
    anatomies = np.array(anatomies)
    mixing = replace(NOTHING, mixing_probability=1.0, max_mixed_cases=most)
    rows = [0, *mixing.draw_partners(0, anatomies, np.random.default_rng(seed))]
    known = set(anatomies.tolist()) - {UNKNOWN_ANATOMY}
    expected = 1 if anatomies[0] == UNKNOWN_ANATOMY else min(most, len(known))
    assert len(rows) == len(set(anatomies[rows].tolist())) == expected


def test_mixing_is_as_frequent_as_asked_and_partners_equally_likely():
    anatomies = np.array([0, 1, 1, 2, 0])
    mixing = replace(NOTHING, mixing_probability=0.3, max_mixed_cases=2)
    partners = [mixing.draw_partners(0, anatomies, random) for random in drawn(3000)]
    assert abs(np.mean([len(one) for one in partners]) - 0.3) < 0.035
    counts = np.bincount([row for one in partners for row in one], minlength=5)
    assert counts[0] == counts[4] == 0
    assert (abs(counts[1:4] / counts.sum() - 1 / 3) < 0.07).all()


@given(
    num_scans=st.integers(1, 9), dropped=st.floats(0, 1), shuffle=st.booleans(), seed=st.integers(0)
)
def test_at_least_one_scan_is_kept_and_none_twice(num_scans, dropped, shuffle, seed):
    chosen = replace(NOTHING, scan_drop_probability=dropped, shuffle_scans=shuffle)
    kept = chosen.draw_scans(num_scans, np.random.default_rng(seed))
    assert 1 <= len(kept) == len(set(kept))
    assert set(kept) <= set(range(num_scans))
    assert shuffle or kept == sorted(kept)
    assert dropped or len(kept) == num_scans


def test_scans_are_dropped_as_often_as_asked_and_land_anywhere():
    dropping = replace(NOTHING, scan_drop_probability=0.2)
    kept = [len(dropping.draw_scans(50, random)) for random in drawn(200)]
    assert abs(np.mean(kept) - 40) < 1
    shuffling = replace(NOTHING, shuffle_scans=True)
    firsts = np.bincount([shuffling.draw_scans(4, random)[0] for random in drawn(2000)])
    assert (abs(firsts / 2000 - 0.25) < 0.05).all()


@given(
    slices=st.lists(st.integers(1, 32), min_size=1, max_size=40),
    most=st.integers(1, 8),
    budget=st.integers(32, 300),
    used=st.integers(0, 300),
    seed=st.integers(0, 999),
)
def test_scans_and_slices_have_a_bound(slices, most, budget, used, seed):
    bounded = replace(NOTHING, max_scans=most, slice_budget=budget)
    random = np.random.default_rng(seed)
    drawn = bounded.draw_scans(len(slices), random)
    assert 1 <= len(drawn) == len(set(drawn)) <= most
    kept = bounded.fit_budget([slices[scan] for scan in drawn], used, random)
    total = sum(slices[drawn[place]] for place in kept)
    assert kept == sorted(set(kept))
    assert used + total <= max(budget, used)
    assert kept or used
    others = [slices[drawn[place]] for place in set(range(len(drawn))) - set(kept)]
    assert all(used + total + one > budget for one in others), "whatever fits is kept"


def test_no_mixture_is_larger_than_the_budget_and_none_has_labels_without_scans(split):
    many = replace(NOTHING, mixing_probability=1.0, max_mixed_cases=3)
    for budget in (2, 4, 6):
        cases = training_cases(split, replace(many, slice_budget=budget))
        sizes = [len(case["pixel_values"]) for case in cases]
        assert max(sizes) == budget
        assert min(len(case["slice_counts"]) for case in cases) == 1
        for case in cases:
            assert case["labels"].sum() <= len(case["slice_counts"])


def test_each_scan_of_a_large_case_has_its_turn():
    bounded = replace(NOTHING, max_scans=4)
    counts = np.bincount([scan for random in drawn(500) for scan in bounded.draw_scans(20, random)])
    assert abs(counts / 500 - 4 / 20).max() < 0.07


def packed(depth, key, processor, modality="CT"):
    volume = (
        np.random.default_rng(depth).normal(size=(depth, 16, 16))
        + 10 * np.arange(depth)[:, None, None]
    )
    images = volume[0] if depth == 1 else volume
    return processor([images], [modality], key_slices=[key], labels=[[1.0]])


def test_a_scan_is_replaced_by_its_key_slice_as_a_picture():
    processor = RadDiagImageProcessor(image_size=16, max_slices=8)
    always = replace(NOTHING, key_slice_probability=1.0)
    scan = packed(6, 4, processor)
    random = np.random.default_rng(0)
    alone = always.augment_scans(scan, processor, random)
    key_slice = scan["pixel_values"][4]
    low, high = key_slice.min(), key_slice.max()
    assert torch.allclose(alone["pixel_values"][0], (key_slice - low) / (high - low))
    assert alone["slice_counts"].tolist() == [1]
    assert alone["key_slices"].tolist() == [0]
    for unknown_or_picture in (packed(6, -1, processor), packed(1, 0, processor)):
        same = always.augment_scans(unknown_or_picture, processor, random)
        assert are_equal(same, dict(unknown_or_picture))


def test_key_slices_replace_scans_as_often_as_asked():
    processor = RadDiagImageProcessor(image_size=4, max_slices=4)
    scan = packed(3, 1, processor)
    sometimes = replace(NOTHING, key_slice_probability=0.25)
    counts = [
        sometimes.augment_scans(scan, processor, random)["slice_counts"].item()
        for random in drawn(1500)
    ]
    assert set(counts) == {1, 3}
    assert abs(counts.count(1) / 1500 - 0.25) < 0.05


def test_a_picture_of_three_equal_slices_stays_one():
    processor = RadDiagImageProcessor(image_size=16, max_slices=8, grey_picture_slices=3)
    noisy = replace(
        NOTHING, scan_augmentation=ScanAugmentation(1, 0, 0, 0), key_slice_probability=1
    )
    for scan in (packed(1, 0, processor), packed(6, 4, processor)):
        picture = noisy.augment_scans(scan, processor, np.random.default_rng(0))
        assert picture["slice_counts"].tolist() == [3]
        assert (picture["pixel_values"] == picture["pixel_values"][:1]).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mixing_probability": -0.1}, "mixing_probability is -0.1, expected 0 to 1"),
        ({"max_mixed_cases": 0}, "max_mixed_cases is 0, expected at least 1"),
        ({"slice_budget": 0}, "slice_budget is 0, expected at least 1"),
    ],
)
def test_impossible_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        CaseAugmentation(**options)


def test_a_negative_seed_is_refused(split):
    with pytest.raises(ValueError, match="seed is -1"):
        training_cases(split, None, seed=-1)


def packed_scan(depth, key):
    """A scan whose slices can be told apart by their one intensity."""
    slices = torch.linspace(0.1, 0.9, depth)[:, None, None, None].expand(-1, 1, 4, 4)
    return {
        "pixel_values": slices,
        "slice_counts": torch.tensor([depth]),
        "scan_counts": torch.tensor([1]),
        "modality_slots": torch.tensor([1]),
        "key_slices": torch.tensor([key]),
        "labels": torch.zeros(1, 2),
    }


@given(depth=st.integers(1, 40), key=st.integers(-1, 39), seed=st.integers(0, 99))
def test_a_share_of_the_slices_is_one_of_each_section_in_order(depth, key, seed):
    key = min(key, depth - 1)
    quarter = replace(NOTHING, slice_share=0.25)
    case = packed_scan(depth, key)
    found = quarter.augment_scans(case, PROCESSOR, np.random.default_rng(seed))
    kept = found["pixel_values"][:, 0, 0, 0]
    assert len(kept) == int(found["slice_counts"]) == min(depth, max(2, round(depth / 4)))
    assert (kept.diff() > 0).all()
    shown = int(found["key_slices"])
    if key < 0:
        assert shown == -1
    else:
        distances = (kept - case["pixel_values"][key, 0, 0, 0]).abs()
        torch.testing.assert_close(distances[shown], distances.min())


def test_kept_cases_are_augmented_as_decoded_ones_are(split):
    augmentation = replace(NOTHING, scan_augmentation=ScanAugmentation(flip_probability=0.5))
    decoded = training_cases(split, augmentation)
    kept = training_cases(split, augmentation)
    told = []
    kept.keep_in_memory(lambda *step: told.append(step))
    assert told[-1] == ("Reading cases", 12, 12)
    assert all(are_equal(kept[index], decoded[index]) for index in (0, 5, 17))


def test_cases_whose_scans_are_chosen_cannot_be_kept_packed(split):
    with pytest.raises(ValueError, match="dropped, shuffled or mixed"):
        training_cases(split, EVERYTHING).keep_in_memory()
