"""The image processor: what every scan becomes, by default and as the reference saw it."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from safetensors.numpy import load_file
from transformers import AutoImageProcessor

from raddiag_hf import RadDiagImageProcessor

SMALL = RadDiagImageProcessor(image_size=16, max_slices=8)
SCANS = hnp.arrays(
    st.sampled_from([np.uint8, np.int16, np.float32, np.float64, np.uint16]),
    st.one_of(
        st.tuples(st.integers(1, 24), st.integers(1, 24)),
        st.tuples(st.integers(1, 20), st.integers(1, 24), st.integers(5, 24)),
    ),
    elements={"allow_nan": False, "allow_infinity": False, "min_value": 0, "max_value": 200},
)


@settings(max_examples=60, deadline=None)
@given(scans=st.lists(SCANS, min_size=1, max_size=4))
def test_any_mix_of_scans_becomes_a_packed_batch(scans):
    batch = SMALL(scans, ["CT"] * len(scans))
    pixels = batch["pixel_values"]
    counts = batch["slice_counts"].tolist()
    assert pixels.shape == (sum(counts), 1, 16, 16)
    assert pixels.dtype == torch.float32
    for scan, count, stack in zip(scans, counts, pixels.split(counts), strict=True):
        assert 1 <= count <= 8
        assert stack.min() == 0
        assert stack.max() == pytest.approx(1, abs=1e-6) or stack.max() == 0
        if scan.min() == scan.max():
            assert stack.max() == 0
    assert batch["scan_counts"].tolist() == [len(scans)]


@settings(max_examples=25, deadline=None)
@given(
    scan=hnp.arrays(np.float32, (3, 9, 7), elements=st.floats(-100, 100, width=32)),
    scale=st.sampled_from([0.25, 2.0, 1024.0]),
    shift=st.integers(-1000, 1000),
)
def test_units_do_not_matter(scan, scale, shift):
    scan = np.round(scan)
    plain = SMALL([scan], ["MRI"])["pixel_values"]
    scaled = SMALL([scan * scale + shift], ["MRI"])["pixel_values"]
    torch.testing.assert_close(plain, scaled, atol=2e-3, rtol=0)


@pytest.mark.parametrize(
    "view", [lambda a: a[::-1, ::-1][::-1, ::-1], lambda a: a.astype(">i2"), torch.from_numpy]
)
def test_views_and_byte_orders_do_not_matter(view):
    scan = np.random.default_rng(0).integers(0, 999, (4, 9, 9)).astype(np.int16)
    plain = SMALL([scan], ["CT"])["pixel_values"]
    torch.testing.assert_close(SMALL([view(scan)], ["CT"])["pixel_values"], plain)


def test_a_constant_scan_is_all_zeros():
    for value in (0, -1000, 7.5, 0.1):
        batch = SMALL([np.full((4, 5, 6), value), np.full((1, 17), value)], ["CT", "X-ray"])
        assert batch["pixel_values"].abs().max() == 0


def test_a_range_beyond_float32_stays_finite():
    scan = np.array([[-3e38, 3e38], [0, 1]], np.float32)
    pixels = RadDiagImageProcessor(image_size=2)([scan], ["MRI"])["pixel_values"]
    torch.testing.assert_close(pixels[0, 0], torch.tensor([[0.0, 1.0], [0.5, 0.5]]))


@settings(max_examples=50, deadline=None)
@given(depth=st.integers(1, 400), key=st.integers(-1, 420))
def test_deep_scans_keep_spread_slices_and_their_key_slice(depth, key):
    scan = np.arange(depth, dtype=np.float32)[:, None, None] * np.ones((1, 2, 2), np.float32)
    processor = RadDiagImageProcessor(image_size=2, max_slices=32)
    batch = processor([scan], ["CT"], key_slices=[key])
    kept = (batch["pixel_values"][:, 0, 0, 0] * max(depth - 1, 1)).round()
    expected = [depth * i // 32 for i in range(32)] if depth > 32 else list(range(depth))
    if depth > 1:
        scale = expected[-1] / (depth - 1)  # the last kept slice is the brightest
        torch.testing.assert_close(
            (batch["pixel_values"][:, 0, 0, 0] * (depth - 1) * scale).round(),
            torch.tensor(expected, dtype=torch.float32),
        )
    mapped = batch["key_slices"].item()
    if 0 <= key < depth:
        assert abs(expected[mapped] - key) == min(abs(index - key) for index in expected)
    else:
        assert mapped == -1
    assert len(kept) == len(expected)


def test_slots_count_the_scans_of_a_modality_and_go_round():
    scans = [np.eye(4)] * 6
    modalities = ["CT", "X-ray", "CT", "CT", "CT", "Ultrasound"]
    assert SMALL(scans, modalities)["modality_slots"].tolist() == [1, 7, 2, 3, 1, 9]


def test_slots_start_again_with_each_study():
    batch = SMALL([np.eye(4)] * 3, ["CT", "CT", "CT"], studies=["day 1", "day 1", "day 9"])
    assert batch["modality_slots"].tolist() == [1, 2, 1]


def test_cases_are_packed_as_if_alone():
    first, second = [np.eye(4), np.random.default_rng(0).random((5, 8, 8))], [np.eye(9)]
    both = SMALL([first, second], [["X-ray", "CT"], ["MRI"]])
    alone = SMALL(first, ["X-ray", "CT"])
    assert both["scan_counts"].tolist() == [2, 1]
    assert torch.equal(both["pixel_values"][:6], alone["pixel_values"])
    assert torch.equal(both["pixel_values"][6:], SMALL(second, ["MRI"])["pixel_values"])


def test_labels_come_first():
    batch = SMALL([[np.eye(4)], [np.eye(4)]], [["CT"], ["CT"]], labels=[[0, 1], [1, 0]])
    assert next(iter(batch)) == "labels"
    assert batch["labels"].dtype == torch.float32


def test_a_grey_picture_of_three_channels_is_one_slice():
    picture = np.random.default_rng(0).random((16, 16)).astype(np.float32)
    three = np.stack([picture] * 3)
    assert torch.equal(
        SMALL([three], ["X-ray"])["pixel_values"], SMALL([picture], ["X-ray"])["pixel_values"]
    )
    as_reference = RadDiagImageProcessor(image_size=16, grey_picture_slices=3)
    for scan in (three, picture):
        assert as_reference([scan], ["X-ray"])["slice_counts"].tolist() == [3]
    assert as_reference([picture[None]], ["X-ray"])["slice_counts"].tolist() == [1]


def test_ct_windows_clip_ct_only():
    scan = np.array([[-1000.0, 0.0], [40.0, 80.0]])
    windowed = RadDiagImageProcessor(image_size=2, ct_window="brain")
    expected = torch.tensor([[0.0, 0.0], [0.5, 1.0]])
    torch.testing.assert_close(windowed([scan], ["CT"])["pixel_values"][0, 0], expected)
    same = RadDiagImageProcessor(image_size=2, ct_window=[0, 80])
    torch.testing.assert_close(same([scan], ["CT"])["pixel_values"][0, 0], expected)
    assert windowed([scan], ["MRI"])["pixel_values"][0, 0, 0, 1] > 0.9


def test_each_channel_shows_a_ct_in_its_own_window():
    hounsfield = np.array([[-1350.0, -600.0], [40.0, 2000.0]])
    windows = ["lung", "mediastinum", [-1000, 1000]]
    processor = RadDiagImageProcessor(image_size=2, ct_channel_windows=windows)
    batch = processor([np.stack([hounsfield, hounsfield - 100])], ["CT"])
    assert batch["pixel_values"].shape == (2, 3, 2, 2)
    expected = torch.tensor([
        [[0.0, 0.5], [1390 / 1500, 1.0]],  # -1350 to 150
        [[0.0, 0.0], [165 / 350, 1.0]],  # -125 to 225
        [[0.0, 0.2], [0.52, 1.0]],
    ])  # fmt: skip
    torch.testing.assert_close(batch["pixel_values"][0], expected)
    # the same HU are the same grey, whatever else is in the scan
    alone = processor([np.array([[-600.0, -600.0], [-600.0, -600.0]])], ["CT"])["pixel_values"]
    assert alone[0, :, 0, 0].tolist() == pytest.approx([0.5, 0.0, 0.2])


@pytest.mark.parametrize(("scan", "modality"), [("MRI", "MRI"), ("picture", "CT")])
def test_what_is_not_in_hounsfield_units_is_the_same_grey_in_all_channels(scan, modality):
    pixels = np.random.default_rng(0).random((3, 20, 20), np.float32) * 255
    pixels -= 300 if scan == "MRI" else 0
    windowed = RadDiagImageProcessor(image_size=16, ct_channel_windows=["lung", "bone", "liver"])
    hounsfield = np.linspace(-1000, 1000, 1200).reshape(3, 20, 20)
    found = windowed([pixels, hounsfield], [modality, "CT"])["pixel_values"]
    grey = SMALL([pixels], [modality])["pixel_values"]
    assert torch.equal(found[:3], grey.expand(-1, 3, -1, -1))
    assert not torch.equal(found[3:, 0], found[3:, 1])


def test_antialiasing_averages_what_plain_bilinear_skips():
    stripes = np.zeros((64, 64), np.float32)
    stripes[:, ::4] = 1
    stripes[0, 0] = 4  # keeps the range fixed
    smooth = RadDiagImageProcessor(image_size=8)([stripes], ["X-ray"])["pixel_values"]
    skipping = RadDiagImageProcessor(image_size=8, antialias=False)([stripes], ["X-ray"])
    assert smooth[0, 0, 4, 1:-1].std() < 0.01
    assert skipping["pixel_values"][0, 0, 4].max() == 0


def test_saved_options_come_back(tmp_path):
    processor = RadDiagImageProcessor(
        image_size=64, max_slices=12, antialias=False, rescale_range="padded_study",
        grey_picture_slices=3, ct_window=[-100, 300], modality_slots={"CT": [1], "MRI": [2, 3]},
    )  # fmt: skip
    processor.save_pretrained(tmp_path)
    loaded = AutoImageProcessor.from_pretrained(tmp_path)
    assert isinstance(loaded, RadDiagImageProcessor)
    assert loaded.to_dict() == processor.to_dict()
    overridden = AutoImageProcessor.from_pretrained(tmp_path, image_size=32)
    assert overridden.image_size == 32


def test_saved_channel_windows_come_back(tmp_path):
    windows = ("lung", (-100, 300), "bone")
    RadDiagImageProcessor(ct_channel_windows=windows).save_pretrained(tmp_path)
    loaded = AutoImageProcessor.from_pretrained(tmp_path)
    assert loaded.ct_channel_windows == ["lung", [-100, 300], "bone"]
    assert loaded.num_channels == 3


@pytest.mark.parametrize(
    ("scans", "modalities", "message"),
    [
        ([], [], "there is no scan"),
        ([[]], [[]], "case 0 has no scan"),
        ([np.eye(3)], ["PET/CT"], r"case 0, scan 0: modality is 'PET/CT', expected one of"),
        ([np.eye(3)], [], r"case 0 has 1 scans, but modalities is \[\]"),
        ([np.eye(3), np.eye(3)], "CT", "case 0 has 2 scans, but modalities is 'CT'"),
        ([[np.eye(3)]], [["CT"], ["CT"]], "modalities has 2 cases, images has 1"),
        ([np.zeros((2, 3, 4, 5))], ["CT"], r"has shape \(2, 3, 4, 5\), expected"),
        ([np.zeros((0, 3, 4))], ["CT"], r"has shape \(0, 3, 4\)"),
        ([np.array([[np.nan, 1]])], ["CT"], "case 0, scan 0: holds values that are not finite"),
        ([np.array([[np.inf, 1]])], ["CT"], "not finite"),
        ([np.array([[1e300, 1]])], ["CT"], "not finite"),
        ([np.zeros((40, 30, 3))], ["X-ray"], "a picture with its colours last"),
        ([np.eye(3, dtype=complex)], ["CT"], "is of type complex128, expected real numbers"),
        ([np.array([["a"]])], ["CT"], "expected real numbers"),
        ([np.eye(3)], None, "modalities is None"),
    ],
)
def test_what_is_not_a_case_is_refused_by_name(scans, modalities, message):
    with pytest.raises(ValueError, match=message):
        SMALL(scans, modalities)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"image_size": 0}, "expected at least 1"),
        ({"rescale_range": "case"}, "rescale_range is 'case'"),
        ({"grey_picture_slices": 2}, "expected 1 or 3"),
        ({"ct_window": "heart"}, "there is no CT window 'heart'"),
        ({"ct_window": [100, -100]}, "expected \\[lower_hu, upper_hu\\]"),
        ({"ct_channel_windows": ["lung", "heart"]}, "there is no CT window 'heart'"),
        ({"ct_channel_windows": [[0, 1, 2]]}, "ct_channel_windows is .* expected"),
        (
            {"ct_channel_windows": "lung"},
            "ct_channel_windows is 'lung', expected a window for each",
        ),
        ({"ct_channel_windows": []}, "expected a window for each channel"),
        ({"ct_channel_windows": ["lung"], "ct_window": "lung"}, "is given, too"),
        (
            {"ct_channel_windows": ["lung"], "rescale_range": "padded_study"},
            "rescale_range is 'padded_study'",
        ),
    ],
)
def test_options_out_of_range_are_refused(option, message):
    with pytest.raises(ValueError, match=message):
        RadDiagImageProcessor(**option)


EARLY_CASES = ["e_xray_grey3", "e_ct_neg_short", "e_ct_two_joint", "e_us_only"]


@pytest.mark.parametrize("case", EARLY_CASES)
def test_reference_options_give_what_the_early_fusion_reference_saw(case, shared_dir):
    arrays = load_file(shared_dir / "parity" / "data_fixtures.safetensors")
    facts = json.loads((shared_dir / "parity" / "data_fixtures.json").read_text())
    processor = RadDiagImageProcessor(
        image_size=16, max_slices=8, antialias=False,
        rescale_range="padded_study", grey_picture_slices=3,
    )  # fmt: skip
    scans, modalities, studies, keys = [], [], [], []
    described = facts[f"case/{case}"]
    for study, (modality, names) in enumerate(
        zip(described["modalities"], described["samples"], strict=True)
    ):
        for name in names:
            scans.append(np.moveaxis(arrays[f"npy/{name}"], -1, 0))  # depth is stored last
            modalities.append(modality)
            studies.append(study)
            keys.append(facts["npy_keys"][name])
    batch = processor(scans, modalities, studies=studies, key_slices=keys)
    images, marks = arrays[f"early/{case}/images"], arrays[f"early/{case}/marks"]
    start = 0
    for scan, count in enumerate(batch["slice_counts"].tolist()):
        assert count == marks[scan].sum()
        expected = np.moveaxis(images[scan, 0, :, :, :count], -1, 0)
        found = batch["pixel_values"][start : start + count, 0].numpy()
        np.testing.assert_allclose(found, expected, atol=1e-6)
        start += count
    assert (
        batch["modality_slots"].tolist() == arrays[f"early/{case}/mods"][: len(scans), 0].tolist()
    )
    assert batch["key_slices"].tolist() == arrays[f"early/{case}/keys"][: len(scans), 0].tolist()


@pytest.mark.parametrize("case", ["l_grey3", "l_deep"])
def test_plain_options_give_what_the_late_fusion_reference_saw(case, shared_dir):
    arrays = load_file(shared_dir / "parity" / "data_fixtures.safetensors")
    facts = json.loads((shared_dir / "parity" / "data_fixtures.json").read_text())
    described = facts[f"case/{case}"]
    scan = np.moveaxis(arrays[f"npy/{described['samples'][0][0]}"], -1, 0)
    processor = RadDiagImageProcessor(image_size=16, max_slices=8, antialias=False)
    batch = processor([scan], described["modalities"])
    count = batch["slice_counts"].item()
    assert count == arrays[f"late/{case}/marks"].sum()
    expected = np.moveaxis(arrays[f"late/{case}/images"][0, :, :, :count], -1, 0)
    np.testing.assert_allclose(batch["pixel_values"][:, 0].numpy(), expected, atol=1e-6)


@pytest.mark.parametrize("name", ["foo", "rescale_rnage"])
def test_an_option_that_there_is_not_is_refused(name):
    with pytest.raises(ValueError, match=f"there is no option '{name}'; expected one of antialias"):
        RadDiagImageProcessor(**{name: 1})


def test_what_other_versions_saved_beside_the_options_does_not_matter(tmp_path):
    RadDiagImageProcessor(image_size=64).save_pretrained(tmp_path)
    path = tmp_path / "preprocessor_config.json"
    others = {
        "processor_class": "RadDiagProcessor",
        "_processor_class": None,
        "do_resize": True,
        "of_another_version": 1,
    }
    path.write_text(json.dumps(json.loads(path.read_text()) | others))
    for loader in (AutoImageProcessor, RadDiagImageProcessor):
        loaded = loader.from_pretrained(tmp_path)
        assert loaded.image_size == 64
        assert not hasattr(loaded, "of_another_version")
    assert loader.from_pretrained(tmp_path, image_size=32).image_size == 32
