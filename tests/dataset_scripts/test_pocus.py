import csv
from collections import defaultdict

import pytest

from raddiag_hf.data.publishers.loading import load_builder, load_dataset
from raddiag_hf.data.publishers.source import DataSourceError
from raddiag_hf.vocabulary import Modality
from tests.fixtures.publisher_files import save_picture, write_csv

COLUMNS = [
    "Filename",
    "Label",
    "InThisRepo",
    "Probe",
    "Gender",
    "Age",
    "Patient ID / Name",
]
CLIPS = [
    # file name, label, in the repository, probe, sex, age, patient
    ("Cov-a", "COVID-19", "Yes", "Convex", "m", "41", "1"),
    ("Reg-a.mp4", "regular", "Yes", "convex", "m", "41", "1"),
    ("Vir-b", "Viral pneumonia", "Yes", "convex", "w", "nd", "2"),
    ("Pneu-c", "Bacterial pneumonia", "Yes", "convex", "", "", ""),
    ("Cov-elsewhere", "COVID-19", "No", "convex", "m", "50", "9"),
]


@pytest.fixture
def pocus(tmp_path):
    """Four clips of three patients, one of whom is healthy in one clip and not in the other."""
    folder = tmp_path / "data"
    frames = folder / "image_dataset"
    for number in (0, 2, 10):
        save_picture(frames / "covid" / f"Cov-a.gif_frame{number}.jpg", brightness=20 * number)
    save_picture(frames / "regular" / "Reg-a.mp4_frame0.jpg")
    save_picture(frames / "pneumonia" / "Vir-b.avi_frame3.jpg")
    save_picture(frames / "pneumonia" / "Pneu-c.png")
    write_table(folder, CLIPS)
    return folder


def write_table(folder, clips):
    rows = [dict(zip(COLUMNS, clip, strict=True)) for clip in clips]
    write_csv(folder / "dataset_metadata.csv", rows)


def sources(folder, tmp_path):
    listed = load_builder("pocus", data_dir=folder, cache_dir=tmp_path / "cache").list_cases()
    return {source.case_id: source for source in listed}


def test_a_case_is_a_patient_with_the_labels_of_all_clips(pocus, tmp_path):
    cases = sources(pocus, tmp_path)
    assert {case_id: case.labels["labels"] for case_id, case in cases.items()} == {
        "pocus-1": ("COVID-19", "regular"),
        "pocus-2": ("pneumonia",),
        "pocus-unknown-Pneu-c": ("pneumonia",),
    }
    assert (cases["pocus-1"].age, cases["pocus-1"].sex) == (41, "Male")
    assert (cases["pocus-2"].age, cases["pocus-2"].sex) == (None, "Female")


def test_the_frames_of_a_clip_are_slices_in_order_of_their_numbers(pocus, tmp_path):
    clip = sources(pocus, tmp_path)["pocus-1"].scans[0]
    numbers = [path.stem.rpartition("_frame")[2] for path in clip.paths]
    assert (clip.scan_id, clip.modality, numbers) == (
        "Cov-a",
        Modality.ULTRASOUND,
        ["0", "2", "10"],
    )


def test_a_label_that_nobody_knows_is_named(pocus, tmp_path):
    write_table(pocus, [("Cov-a", "Covid?", "Yes", "", "", "", "1")])
    with pytest.raises(
        DataSourceError, match=r"Label of Cov-a: expected one of .* found 'Covid\?'"
    ):
        sources(pocus, tmp_path)


def test_frames_in_the_folder_of_another_class_are_refused(pocus, tmp_path):
    frame = pocus / "image_dataset" / "covid" / "Cov-a.gif_frame0.jpg"
    frame.rename(pocus / "image_dataset" / "regular" / "Cov-b.gif_frame0.jpg")
    write_table(pocus, [*CLIPS, ("Cov-b", "COVID-19", "Yes", "", "", "", "1")])
    with pytest.raises(DataSourceError, match="folder: expected that of COVID-19, found regular"):
        sources(pocus, tmp_path)


@pytest.mark.slow
def test_every_real_clip_arrives(shared_dir, tmp_path):
    cases = load_dataset("pocus", data_dir=shared_dir / "data" / "pocus", cache_dir=tmp_path)
    rows = [row for split in cases.values() for row in split]
    scans = [scan for row in rows for scan in row["scans"]]
    assert (len(rows), len(scans)) == (59, 91)
    assert sum(scan["volume"]["shape"][0] for scan in scans) == 578
    labels = defaultdict(set)
    with (shared_dir / "data" / "pocus" / "dataset_metadata.csv").open() as file:
        for row in csv.DictReader(file):
            label = row["Label"].replace("Bacterial ", "")
            labels["pocus-" + row["Patient ID / Name"]].add(label)
    names = cases["train"].features["labels"].feature.int2str
    assert {row["patient_id"]: set(names(row["labels"])) for row in rows} == labels
    patients = [set(split["patient_id"]) for split in cases.values()]
    assert sum(map(len, patients)) == len(set.union(*patients)) == 59
