import shutil

import pytest

from raddiag_hf.data.publishers.loading import load_builder, load_dataset
from raddiag_hf.data.publishers.source import DataSourceError
from raddiag_hf.vocabulary import Split
from tests.fixtures.publisher_files import save_picture

CLASSES = ("glioma", "meningioma", "notumor", "pituitary")


@pytest.fixture
def brain_tumor(tmp_path):
    """Three training images and one test image of each class."""
    folder = tmp_path / "data"
    for label in CLASSES:
        for number in range(3):
            save_picture(folder / "Training" / label / f"Tr-{label[:2]}_{number:04d}.jpg")
        save_picture(folder / "Testing" / label / f"Te-{label[:2]}_0000.jpg")
    return folder


def builder(folder, tmp_path, **options):
    return load_builder("brain_tumor", data_dir=folder, cache_dir=tmp_path / "cache", **options)


def test_the_folders_give_label_and_test_split(brain_tumor, tmp_path):
    cases = builder(brain_tumor, tmp_path).list_cases()
    assert len(cases) == 16
    assert {case.labels["labels"][0] for case in cases} == set(CLASSES)
    assert all((case.split is Split.TEST) == ("testing" in case.case_id) for case in cases)


def test_folder_names_of_other_versions_are_known(brain_tumor, tmp_path):
    for part in ("Training", "Testing"):
        (brain_tumor / part / "notumor").rename(brain_tumor / part / "no_tumor")
        (brain_tumor / part / "glioma").rename(brain_tumor / part / "glioma_tumor")
    assert builder(brain_tumor, tmp_path).verify()["cases"] == 16


def test_a_missing_class_is_named(brain_tumor, tmp_path):
    shutil.rmtree(brain_tumor / "Testing" / "pituitary")
    with pytest.raises(DataSourceError, match=r"Testing/pituitary: expected a folder of images"):
        builder(brain_tumor, tmp_path).verify()


def test_a_part_is_not_the_complete_data_set(brain_tumor, tmp_path):
    with pytest.raises(DataSourceError, match="cases: expected 7023, found 16"):
        builder(brain_tumor, tmp_path, complete=True).verify()


def test_every_real_image_arrives_grey(shared_dir, tmp_path):
    data = shared_dir / "data" / "brain_tumor"
    cases = load_dataset("brain_tumor", data_dir=data, cache_dir=tmp_path)
    assert sum(len(split) for split in cases.values()) == 800
    assert len(cases["test"]) == len(list(data.glob("Testing/*/*.jpg")))
    assert all(
        scan["volume"]["source_shape"][0] == 1
        for scans in cases["test"].select_columns("scans")["scans"]
        for scan in scans
    )
