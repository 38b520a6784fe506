import csv
from collections import defaultdict

import pytest

from raddiag_hf.data.publishers.loading import load_builder, load_dataset
from raddiag_hf.data.publishers.source import DataSourceError
from raddiag_hf.vocabulary import Modality, Plane
from tests.fixtures.publisher_files import save_picture, write_csv

COLUMNS = (
    "patientid",
    "offset",
    "sex",
    "age",
    "finding",
    "view",
    "modality",
    "folder",
    "filename",
)
ROWS = [
    ("2", "3", "M", "65", "COVID-19, ARDS", "PA", "X-ray", "images", "later.png"),
    ("2", "0", "M", "65", "Pneumonia/Viral/COVID-19", "Axial", "CT", "images", "first.jpg"),
    ("4", "", "", "", "No Finding", "L", "X-ray", "images", "4.png"),
    ("5", "1", "F", "30", "COVID-19", "Axial", "CT", "volumes", "5.nii.gz"),
]


@pytest.fixture
def covid_chestxray(tmp_path):
    """Two patients with pictures, one of them with X-ray and CT, and one with a CT volume only."""
    folder = tmp_path / "data"
    for name in ("later.png", "first.jpg", "4.png"):
        save_picture(folder / "images" / name)
    write_table(folder, ROWS)
    return folder


def write_table(folder, rows):
    write_csv(folder / "metadata.csv", [dict(zip(COLUMNS, row, strict=True)) for row in rows])


def list_cases(folder, tmp_path):
    builder = load_builder("covid_chestxray", data_dir=folder, cache_dir=tmp_path / "cache")
    return builder.list_cases()


def test_a_case_is_a_patient_with_all_images_in_order_of_time(covid_chestxray, tmp_path):
    patient, other = list_cases(covid_chestxray, tmp_path)
    assert [scan.scan_id for scan in patient.scans] == ["first.jpg", "later.png"]
    assert [scan.modality for scan in patient.scans] == [Modality.CT, Modality.XRAY]
    assert [scan.plane for scan in patient.scans] == [Plane.AXIAL, Plane.FRONTAL]
    assert patient.labels["labels"] == ("COVID-19", "ARDS")
    assert (other.labels["labels"], other.age, other.sex) == (("No Finding",), None, None)


def test_an_unknown_finding_is_named(covid_chestxray, tmp_path):
    write_table(covid_chestxray, [(*ROWS[0][:4], "todo", *ROWS[0][5:])])
    with pytest.raises(DataSourceError, match=r"finding of later.png: .* found 'todo'"):
        list_cases(covid_chestxray, tmp_path)


def test_a_row_that_is_there_twice_is_named(covid_chestxray, tmp_path):
    write_table(covid_chestxray, [*ROWS, ROWS[0]])
    builder = load_builder(
        "covid_chestxray", data_dir=covid_chestxray, cache_dir=tmp_path / "cache"
    )
    message = r"scan 'later\.png' of case 'covid-chestxray-2': expected once, found 2 times"
    with pytest.raises(DataSourceError, match=message):
        builder.verify()


@pytest.mark.slow
def test_every_real_patient_arrives_with_all_images(shared_dir, tmp_path):
    data = shared_dir / "data" / "covid_chestxray"
    cases = load_dataset("covid_chestxray", data_dir=data, cache_dir=tmp_path)
    names = cases["train"].features["labels"].feature.int2str
    found = {
        row["patient_id"]: (set(names(row["labels"])), len(row["scans"]))
        for split in cases.values()
        for row in split
    }
    labels, scans = defaultdict(set), defaultdict(int)
    with (data / "metadata.csv").open() as file:
        for row in csv.DictReader(file):
            patient = f"covid-chestxray-{row['patientid']}"
            labels[patient] |= set(row["finding"].split(", "))
            scans[patient] += 1
    assert (len(scans), sum(scans.values())) == (88, 167)
    assert found == {patient: (labels[patient], scans[patient]) for patient in scans}
