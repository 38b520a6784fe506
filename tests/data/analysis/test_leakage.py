import json
from dataclasses import replace

import numpy as np
import pytest
from datasets import load_dataset

from raddiag_hf.data.analysis.leakage import ScanPlace, find_leakage
from raddiag_hf.data.store.case_writer import BuiltCase
from raddiag_hf.data.store.scan_record import CaseScan
from raddiag_hf.vocabulary import Split
from tests.fixtures.cases import CaseMaker, make_case, make_scan, write_store


class GivenCases:
    """Hands out the given cases by number."""

    def __init__(self, *cases):
        self.cases = cases

    def __call__(self, number):
        return BuiltCase(self.cases[number])


def case_of(number, volume):
    scan = replace(make_scan(), volume=np.asarray(volume, np.float32), scan_id=f"scan-{number}")
    return make_case(number, patient_id=f"patient-{number}", scans=(CaseScan(scan),))


def store_of(folder, train, test):
    """A data set of one training and one test volume."""
    cases = GivenCases(case_of(0, train), case_of(1, test))
    return write_store(folder, {Split.TRAIN: {"0": 0}, Split.TEST: {"1": 1}}, build_case=cases)


def random_volume(seed, depth=4):
    return np.random.default_rng(seed).integers(0, 200, (depth, 16, 16)).astype(np.float32)


def test_splits_that_share_nothing_are_clean(tmp_path):
    report = find_leakage(write_store(tmp_path / "store"))
    assert report.is_clean
    assert report.scans == sum(1 + number % 3 for number in range(46))


def test_shared_patients_are_named_with_their_splits(tmp_path):
    items = {Split.TRAIN: {"0": 0, "2": 2}, Split.TEST: {"1": 1}}
    report = find_leakage(write_store(tmp_path / "store", items))
    assert report.shared_patients == {"patient-0": ("test", "train")}
    assert not report.is_clean


def test_an_identical_scan_is_found_with_all_its_slices(tmp_path):
    report = find_leakage(store_of(tmp_path / "store", random_volume(0), random_volume(0)))
    (shared,) = report.shared_images
    assert shared.slices == 4
    assert shared.places == (
        ScanPlace("train", "case-0", "scan-0"),
        ScanPlace("test", "case-1", "scan-1"),
    )


def test_one_common_slice_is_found(tmp_path):
    train, test = random_volume(0), random_volume(1)
    test[3] = train[1]
    (shared,) = find_leakage(store_of(tmp_path / "store", train, test)).shared_images
    assert shared.slices == 1


def test_a_slice_that_was_shifted_in_brightness_and_stored_wider_is_found(tmp_path):
    train, test = random_volume(0), random_volume(1)
    test[0] = train[0] + 300
    test[1] *= 100
    (shared,) = find_leakage(store_of(tmp_path / "store", train, test)).shared_images
    assert shared.slices == 1


def test_blank_slices_and_other_shapes_are_no_leak(tmp_path):
    train, test = random_volume(0), random_volume(1)
    train[0] = test[0] = 0
    test[1] = train[1].T
    assert find_leakage(store_of(tmp_path / "store", train, test)).is_clean
    flat = train.reshape(4, 8, 32)
    assert find_leakage(store_of(tmp_path / "flat", train[1:], flat[1:])).is_clean


def test_copies_within_one_split_are_no_leak(tmp_path):
    cases = GivenCases(case_of(0, random_volume(0)), case_of(1, random_volume(0)))
    store = write_store(tmp_path / "store", {Split.TRAIN: {"0": 0, "1": 1}}, build_case=cases)
    assert find_leakage(store).is_clean


@pytest.mark.parametrize("streaming", [False, True])
def test_loaded_data_sets_give_the_same_report(tmp_path, streaming):
    store = store_of(tmp_path / "store", random_volume(0), random_volume(0))
    loaded = load_dataset(store.location, cache_dir=str(tmp_path / "cache"), streaming=streaming)
    assert find_leakage(loaded) == find_leakage(store, num_threads=1)


def test_damaged_pixels_are_named(tmp_path, monkeypatch):
    store = write_store(tmp_path / "store", {Split.TRAIN: {"0": 0}}, build_case=CaseMaker())
    monkeypatch.setattr("raddiag_hf.data.store.volume_codec.MAX_DECODED_BYTES", 10)
    with pytest.raises(ValueError, match="case 'case-0': scan 'scan-0'"):
        find_leakage(store)


def test_the_report_is_json(tmp_path):
    report = find_leakage(store_of(tmp_path / "store", random_volume(0), random_volume(0)))
    content = json.loads(report.to_json())
    assert content["shared_images"][0]["places"][1]["split"] == "test"
