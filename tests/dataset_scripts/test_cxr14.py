import csv

import pytest

from raddiag_hf.data.publishers.loading import load_builder, load_dataset
from raddiag_hf.data.publishers.source import DataSourceError
from raddiag_hf.vocabulary import Plane, Split
from tests.fixtures.publisher_files import save_picture

HEADER = (
    "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
    "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y]\n"
)
ROWS = (
    "00000001_000.png,Cardiomegaly|Effusion,0,1,58,M,PA,2682,2749,0.143,0.143\n"
    "00000001_001.png,No Finding,1,1,58,M,AP,2682,2749,0.143,0.143\n"
    "00000002_000.png,Hernia,0,2,411,F,PA,2500,2048,0.171,0.171\n"
)


@pytest.fixture
def cxr14(tmp_path):
    """Three films of two patients, in two of the publisher's folders of images."""
    folder = tmp_path / "data"
    save_picture(folder / "images_001" / "images" / "00000001_000.png")
    save_picture(folder / "images_001" / "images" / "00000001_001.png")
    save_picture(folder / "images_002" / "images" / "00000002_000.png")
    (folder / "Data_Entry_2017_v2020.csv").write_text(HEADER + ROWS)
    return folder


def builder(folder, tmp_path, name=None, **options):
    return load_builder("cxr14", name, data_dir=folder, cache_dir=tmp_path / "cache", **options)


def test_a_case_is_a_film_with_its_own_labels(cxr14, tmp_path):
    first, second, third = builder(cxr14, tmp_path).list_cases()
    assert first.labels["labels"] == ("Cardiomegaly", "Effusion")
    assert second.labels["labels"] == ()
    assert first.patient_id == second.patient_id != third.patient_id
    assert (first.scans[0].plane, second.scans[0].sequence) == (Plane.FRONTAL, "AP")
    assert (first.age, third.age) == (58, None)


def test_means_over_the_labels_are_over_the_fourteen_findings(cxr14, tmp_path):
    names = builder(cxr14, tmp_path).label_sets()["labels"].names
    assert len(names) == 14
    assert "No Finding" not in names


def test_a_film_without_finding_is_labelled_so_where_that_is_asked_for(cxr14, tmp_path):
    asked = builder(cxr14, tmp_path, "with_no_finding")
    assert [case.labels["labels"] for case in asked.list_cases()] == [
        ("Cardiomegaly", "Effusion"),
        ("No Finding",),
        ("Hernia",),
    ]
    assert len(asked.label_sets()["labels"]) == 15


def test_images_are_found_in_any_of_the_publishers_folders(cxr14, tmp_path):
    assert builder(cxr14, tmp_path).verify()["files"] == 3


def test_the_published_test_list_is_the_test_split(cxr14, tmp_path):
    (cxr14 / "train_val_list.txt").write_text("00000001_000.png\n00000001_001.png\n")
    (cxr14 / "test_list.txt").write_text("00000002_000.png\n")
    splits = [case.split for case in builder(cxr14, tmp_path).list_cases()]
    assert splits == [None, None, Split.TEST]


def test_one_list_without_the_other_is_refused(cxr14, tmp_path):
    (cxr14 / "test_list.txt").write_text("00000002_000.png\n")
    with pytest.raises(DataSourceError, match=r"train_val_list.txt: expected a file, as there is"):
        builder(cxr14, tmp_path).list_cases()


def test_a_missing_image_is_named(cxr14, tmp_path):
    (cxr14 / "images_001" / "images" / "00000001_001.png").unlink()
    with pytest.raises(DataSourceError, match=r"all 3 .* found 1 missing, .*00000001_001\.png"):
        builder(cxr14, tmp_path).verify()


def test_a_missing_column_is_named(cxr14, tmp_path):
    header = HEADER.replace("Finding Labels", "Findings")
    (cxr14 / "Data_Entry_2017_v2020.csv").write_text(header + ROWS)
    with pytest.raises(DataSourceError, match="column 'Finding Labels': expected a column, found"):
        builder(cxr14, tmp_path).verify()


def test_a_finding_of_another_data_set_is_named(cxr14, tmp_path):
    (cxr14 / "Data_Entry_2017_v2020.csv").write_text(HEADER + ROWS.replace("Hernia", "Fracture"))
    with pytest.raises(DataSourceError, match=r"00000002_000.png: .* found 'Fracture'"):
        builder(cxr14, tmp_path).verify()


def test_every_real_film_arrives_with_its_labels(shared_dir, tmp_path):
    data = shared_dir / "data" / "cxr14"
    cases = load_dataset("cxr14", data_dir=data, cache_dir=tmp_path)
    names = cases["train"].features["labels"].feature.int2str
    found = {
        row["case_id"] + ".png": (set(names(row["labels"])), row["patient_id"], len(row["scans"]))
        for split in cases.values()
        for row in split
    }
    with (data / "Data_Entry_2017_v2020.csv").open() as file:
        expected = {
            row["Image Index"]: (
                set(row["Finding Labels"].split("|")) - {"No Finding"},
                f"cxr14-{row['Patient ID']}",
                1,
            )
            for row in csv.DictReader(file)
        }
    assert len(expected) == 586
    assert found == expected
