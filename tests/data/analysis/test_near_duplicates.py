"""Nearly equal pictures of several patients stay in one split."""

import numpy as np
import pytest
from PIL import Image

from raddiag_hf.data.analysis.near_duplicates import (
    HASH_SIDE,
    difference_hash,
    group_patients,
    near_pairs,
)
from raddiag_hf.data.hospital.case import HospitalCase
from raddiag_hf.data.hospital.import_settings import ImportSettings
from raddiag_hf.data.hospital.importing import import_hospital_data
from raddiag_hf.data.hospital.pseudonyms import Pseudonyms
from raddiag_hf.data.store.case_metadata import read_metadata
from raddiag_hf.vocabulary import Split

COPIES = 10


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Ten smooth pictures, and of each a copy that was scaled and saved as JPEG."""
    folder = tmp_path_factory.mktemp("pictures")
    generator = np.random.default_rng(0)
    paths = []
    for number in range(COPIES):
        coarse = Image.fromarray(generator.integers(0, 255, (12, 12)).astype(np.uint8))
        picture = coarse.resize((96, 80), Image.Resampling.BICUBIC)
        picture.save(folder / f"{number}.png")
        picture.resize((70, 64)).save(folder / f"{number}-copy.jpg", quality=60)
        paths += [folder / f"{number}.png", folder / f"{number}-copy.jpg"]
    return paths


def test_a_scaled_and_compressed_copy_is_found_and_another_picture_is_not(pictures):
    hashes = np.stack([difference_hash(path) for path in pictures])
    expected = [[2 * number, 2 * number + 1] for number in range(COPIES)]
    assert near_pairs(hashes).tolist() == expected


def test_pairs_are_those_of_every_two_compared():
    hashes = np.random.default_rng(1).random((1500, HASH_SIDE**2)) < 0.5
    hashes[1400] = hashes[3]
    hashes[1401] = hashes[3]
    hashes[1401, :21] = ~hashes[1401, :21]
    assert near_pairs(hashes, 20).tolist() == [[3, 1400]]
    assert near_pairs(hashes, 21).tolist() == [[3, 1400], [3, 1401], [1400, 1401]]


def test_groups_are_named_and_counted(pictures, tmp_path):
    Image.new("L", (32, 32)).save(tmp_path / "black.png")
    Image.new("L", (32, 32)).save(tmp_path / "black2.png")
    files = [[pictures[0]], [pictures[1]], [pictures[2]], [tmp_path / "black.png"]]
    files += [[tmp_path / "black2.png"], [tmp_path / "scan.dcm"]]
    found = group_patients(list("abcdef"), files, [None] * 6)
    assert found.names == ("a", "a", "c", "d", "e", "f")  # pictures without contrast say nothing
    assert (found.num_pictures, found.num_near, found.num_groups) == (3, 2, 1)
    assert found.describe().startswith("2 of 3 pictures have a near-duplicate of another patient")


def test_what_publishers_put_into_two_splits_stays_there_and_is_counted(pictures):
    published = [Split.TRAIN, Split.TEST, None, None]
    files = [[path] for path in pictures[:4]]
    found = group_patients(list("abcd"), files, published)
    assert found.names == ("a", "b", "c", "c")
    assert (found.num_groups, found.num_torn) == (1, 1)
    assert "1 more lie in several published splits" in found.describe()


@pytest.mark.parametrize(("bits", "torn"), [(None, True), (20, False)])
def test_an_import_splits_copies_together_if_asked_to(pictures, tmp_path, bits, torn):
    rows = [f"case-{n},patient-{n},{path},X-ray,Mass" for n, path in enumerate(pictures)]
    manifest = tmp_path / "manifest.csv"
    manifest.write_text("\n".join(["case_id,patient_id,path,modality,labels", *rows]) + "\n")
    pseudonyms = Pseudonyms(bytes(32))
    result = import_hospital_data(
        manifest, tmp_path / "cases", pseudonyms, ImportSettings(near_duplicates=bits)
    )
    metadata = read_metadata(result.store)
    split_of = dict(zip(metadata.patient_ids, metadata.splits, strict=True))
    assert len(split_of) == 2 * COPIES  # patients stay who they are
    assert set(metadata.splits) == {*Split}
    assert (result.near_duplicates is None) == (bits is None)
    if bits is not None:
        assert result.near_duplicates.num_groups == COPIES
    of_patient = [
        split_of[pseudonyms.of_patient(HospitalCase(f"case-{n}", f"patient-{n}", ()))]
        for n in range(2 * COPIES)
    ]
    pairs = zip(of_patient[::2], of_patient[1::2], strict=True)
    assert any(one != other for one, other in pairs) == torn
