import numpy as np
import pytest
import torch

from raddiag_hf.data.store.scan_record import CaseScan, decode_scan, encode_scan, reduce_scan
from raddiag_hf.data.store.storage_options import StorageOptions
from raddiag_hf.imaging.scan import Scan
from raddiag_hf.model.image_processing_raddiag import RadDiagImageProcessor
from raddiag_hf.model.scan_resampling import resize_slices, sampled_slices
from raddiag_hf.vocabulary import Modality
from tests.fixtures.cases import make_scan


def test_a_small_scan_comes_back_as_it_is():
    scan = make_scan(shape=(3, 16, 12))
    assert reduce_scan(scan, key_slice=2, max_side=16, max_slices=3) == (scan, 2)
    assert reduce_scan(scan) == (scan, -1)


@pytest.mark.parametrize("shape", [(40, 90, 50), (9, 300, 40), (1, 80, 120), (70, 20, 20)])
def test_the_processor_makes_the_same_of_a_reduced_scan(shape):
    scan = make_scan(shape=shape)
    processor = RadDiagImageProcessor(image_size=64, max_slices=8)
    key_slice = shape[0] * 2 // 3
    reduced, reduced_key = reduce_scan(scan, key_slice, max_side=64, max_slices=8)
    assert reduced.volume.shape <= (8, 64, 64)

    whole = processor([scan.volume], ["CT"], key_slices=[key_slice])
    again = processor([reduced.volume], ["CT"], key_slices=[reduced_key])
    torch.testing.assert_close(again["pixel_values"], whole["pixel_values"], atol=1e-5, rtol=0)
    assert again["key_slices"].tolist() == whole["key_slices"].tolist()


@pytest.mark.parametrize(("bits", "steps"), [(16, 65535), (8, 255)])
@pytest.mark.parametrize("shape", [(40, 90, 70), (40, 90, 30)])
def test_quantisation_changes_what_the_model_sees_by_no_more_than_the_rule_says(bits, steps, shape):
    volume = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    processor = RadDiagImageProcessor(image_size=64, max_slices=8)
    storage = StorageOptions(bits, max_side=64, max_slices=8)
    stored = encode_scan(CaseScan(Scan(volume, Modality.MRI)), storage)

    whole = processor([volume], ["MRI"])["pixel_values"]
    seen = processor([decode_scan(with_class_ids(stored)).scan.volume], ["MRI"])["pixel_values"]
    change = float((seen - whole).abs().max())
    if shape[2] >= 64:  # the stored scan has the processor's size
        assert change <= 0.5 / steps + 1e-6
    else:
        resized = resize_slices(torch.from_numpy(volume)[sampled_slices(40, 8)], 64, True)
        span = float(resized.max() - resized.min())
        assert change <= 2 * stored["volume"]["max_error"] / span + 1e-6


def with_class_ids(stored):
    """A stored scan as a data set gives it back: classes as ids."""
    return stored | {"modality": 0, "anatomy": 0, "plane": 0}


def test_spacing_follows_the_voxels():
    scan = make_scan(shape=(20, 100, 50), spacing_mm=(2.0, 0.5, 0.5))
    reduced, _ = reduce_scan(scan, max_side=50, max_slices=10)
    assert reduced.volume.shape == (10, 50, 50)
    assert reduced.spacing_mm == (4.0, 1.0, 0.5)


def test_an_unknown_key_slice_stays_unknown():
    assert reduce_scan(make_scan(shape=(20, 8, 8)), -1, max_slices=4)[1] == -1
