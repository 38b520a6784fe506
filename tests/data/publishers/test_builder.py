import logging
import pickle

import pyarrow.parquet as pq
import pytest

from raddiag_hf.core.run_folder import RunFolderError
from raddiag_hf.data.publishers.loading import load_builder
from raddiag_hf.data.publishers.source import DataSourceError
from raddiag_hf.data.publishers.tables import read_table
from raddiag_hf.data.store.case import parse_age
from raddiag_hf.data.store.rejection import read_rejections
from raddiag_hf.data.store.storage_options import StorageOptions
from tests.fixtures.publisher_files import save_picture


@pytest.fixture
def images(tmp_path):
    """A data set in the layout of Brain-Tumor: ten training images and two test images a class."""
    for label in ("glioma", "meningioma", "notumor", "pituitary"):
        for number in range(10):
            save_picture(tmp_path / f"data/Training/{label}/Tr_{number}.jpg", brightness=number)
        for number in range(2):
            save_picture(tmp_path / f"data/Testing/{label}/Te_{number}.jpg", brightness=number)
    return tmp_path / "data"


def builder(images, **options):
    return load_builder(
        "brain_tumor", data_dir=images, cache_dir=images.parent / "cache", **options
    )


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_both_ways_of_building_give_the_same_rows(images, tmp_path):
    store = builder(images).write(tmp_path / "parquet")
    prepared = builder(images)
    prepared.download_and_prepare()
    for split, cases in prepared.as_dataset().items():
        rows = [row for shard in store.shards[split] for row in pq.read_table(shard).to_pylist()]
        assert repr(rows) == repr(cases.with_format(None).to_list())  # NaN is not equal to itself


def test_processes_and_the_place_of_the_data_do_not_change_a_byte(images, tmp_path):
    builder(images).write(tmp_path / "alone")
    moved = images.rename(tmp_path / "moved")
    builder(moved).write(tmp_path / "together", num_proc=2)
    assert contents(tmp_path / "alone") == contents(tmp_path / "together")


def test_a_finished_build_is_not_repeated_and_another_is_refused(images, tmp_path):
    builder(images).write(tmp_path / "out")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*")}
    builder(images).write(tmp_path / "out")
    assert before == {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*")}
    (images / "Training" / "glioma" / "Tr_0.jpg").unlink()
    with pytest.raises(RunFolderError, match="holds a run that differs in source"):
        builder(images).write(tmp_path / "out")


def test_an_image_that_has_changed_since_makes_another_data_set(images, tmp_path):
    builder(images).write(tmp_path / "out")
    save_picture(images / "Training" / "glioma" / "Tr_0.jpg", brightness=99)
    with pytest.raises(RunFolderError, match="holds a run that differs"):
        builder(images).write(tmp_path / "out")


def test_two_images_of_one_name_are_refused_rather_than_one_of_them_lost(images, tmp_path):
    save_picture(images / "Training" / "glioma" / "Tr_0.png")
    with pytest.raises(DataSourceError, match=r"expected once, found twice: .*Tr_0\.jpg and .*png"):
        builder(images).write(tmp_path / "out")


def test_the_card_says_licence_and_access(images, tmp_path):
    builder(images).write(tmp_path / "out")
    card = (tmp_path / "out" / "README.md").read_text()
    assert "license: unknown" in card
    assert "Download it from Kaggle" in card


@pytest.mark.parametrize("num_proc", [1, 2])
def test_an_unreadable_image_ends_a_strict_build_and_is_named(images, tmp_path, num_proc):
    (images / "Training" / "glioma" / "Tr_3.jpg").write_bytes(b"\xff\xd8\xff no picture")
    with pytest.raises(DataSourceError, match=r"Tr_3.jpg: expected a readable scan, found"):
        builder(images).write(tmp_path / "out", num_proc=num_proc)


def test_otherwise_it_is_set_aside_with_the_reason(images, tmp_path):
    (images / "Training" / "glioma" / "Tr_3.jpg").write_bytes(b"\xff\xd8\xff no picture")
    store = builder(images, strict=False).write(tmp_path / "out")
    (rejection,) = read_rejections(tmp_path / "out" / "rejected.csv")
    assert (rejection.case_id, rejection.reason) == ("training-glioma-Tr_3", "corrupt")
    assert sum(store.num_cases(split) for split in store.shards) == 47


def test_scans_are_reduced_where_storage_says_so(images, tmp_path):
    builder(images, storage=StorageOptions(max_side=4)).write(tmp_path / "out")
    row = pq.read_table(next((tmp_path / "out" / "data").iterdir())).to_pylist()[0]
    assert row["scans"][0]["volume"]["shape"] == [1, 4, 4]


def test_a_count_below_the_published_one_is_logged(images, caplog):
    with caplog.at_level(logging.WARNING):
        assert builder(images).verify()["cases"] == 48
    assert "48 of 7023 published cases" in caplog.text


def test_without_data_the_way_to_get_them_is_said(tmp_path):
    pocus = load_builder("pocus", cache_dir=tmp_path)
    with pytest.raises(DataSourceError, match=r"expected a folder, found none\. Clone"):
        pocus.verify()


def test_the_error_survives_the_way_from_a_worker_process():
    error = pickle.loads(pickle.dumps(DataSourceError("a.csv", "age", "a number", "x")))
    assert str(error) == "a.csv: age: expected a number, found x"
    assert (error.field, error.found) == ("age", "x")


@pytest.mark.parametrize(
    ("text", "years"),
    [
        ("58", 58.0),
        ("058Y", 58.0),
        ("006M", 0.5),
        ("13 years", 13.0),
        ("6 months", 0.5),
        ("73 years old", 73.0),
        ("12 hours", 12 / 24 / 365.25),
        ("2 fortnights", None),
        ("411", None),
        ("nd", None),
        ("", None),
    ],
)
def test_ages_are_years_in_any_spelling(text, years):
    assert parse_age(text) == years


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("1,x.png", "row 2: age: expected a value, found the end of the row"),
        ("1,x.png,3,4", "row 2: expected as many values as columns, found more"),
        ("1, ,3", "row 2: file: expected a value, found nothing"),
    ],
)
def test_a_row_that_cannot_be_trusted_is_named(tmp_path, row, message):
    (tmp_path / "table.csv").write_text(f"id,file,age\n0,w.png,\n{row}\n")
    with pytest.raises(DataSourceError, match=message):
        read_table(tmp_path / "table.csv", ["id", "file"], filled=["file"])


def test_values_without_a_column_may_be_missing_or_empty(tmp_path):
    (tmp_path / "table.csv").write_text("id,\n0\n1,,\n")
    assert [row["id"] for row in read_table(tmp_path / "table.csv", ["id"])] == ["0", "1"]


@pytest.mark.parametrize("strict", [True, False])
def test_a_folder_in_place_of_an_image_is_not_read(images, tmp_path, strict):
    path = images / "Training" / "glioma" / "Tr_3.jpg"
    path.rename(tmp_path / "image.jpg")
    path.mkdir()
    (tmp_path / "image.jpg").rename(path / "image.jpg")
    if strict:
        with pytest.raises(DataSourceError, match=r"1 missing, the first is .*Tr_3\.jpg"):
            builder(images).verify()
    else:
        store = builder(images, strict=False).write(tmp_path / "out")
        assert sum(store.num_cases(split) for split in store.shards) == 47


def test_what_file_managers_leave_is_no_image(images):
    for name in (".DS_Store", "._Tr_0.jpg", "Thumbs.db", "desktop.ini"):
        (images / "Training" / "glioma" / name).write_bytes(b"")
    assert builder(images).verify()["cases"] == 48
    (images / "Training" / "glioma" / "LICENSE").write_bytes(b"")
    with pytest.raises(DataSourceError, match="LICENSE: expected a JPEG or PNG image, found none"):
        builder(images).verify()


@pytest.mark.parametrize("content", [b"", b"a,b\n", b"\xff\xfe\x00a"])
def test_a_table_without_rows_or_in_no_text_is_refused(tmp_path, content):
    (tmp_path / "table.csv").write_bytes(content)
    with pytest.raises(DataSourceError, match=r"table\.csv"):
        read_table(tmp_path / "table.csv", ["a"])
