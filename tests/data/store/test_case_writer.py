import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from datasets import load_dataset

from raddiag_hf.core.run_folder import RunFolderError
from raddiag_hf.data.store import shard_writer
from raddiag_hf.data.store.case import decode_case
from raddiag_hf.data.store.case_store import CaseStore
from raddiag_hf.data.store.rejection import read_rejections
from raddiag_hf.data.store.storage_options import StorageOptions
from raddiag_hf.labels.label_set import LabelSet
from raddiag_hf.vocabulary import Split
from tests.fixtures.cases import LABELS, CaseMaker, make_case, numbered, write_store
from tests.fixtures.folders import contents


def test_plain_datasets_reads_it(tmp_path):
    write_store(tmp_path / "store", card_metadata={"license": "other"})
    loaded = load_dataset(str(tmp_path / "store"), cache_dir=str(tmp_path / "cache"))
    assert {split: len(cases) for split, cases in loaded.items()} == {"train": 40, "test": 6}
    case = decode_case(loaded["train"][7], loaded["train"].features)
    assert (case.scans[0].scan.volume == make_case(7).scans[0].scan.volume).all()
    assert case.labels == make_case(7).labels


@pytest.mark.parametrize("bad", [range(40, 46), range(1, 46), [*range(10), 41]])
def test_it_is_read_where_whole_shards_and_splits_were_rejected(bad, tmp_path):
    store = write_store(tmp_path / "store", build_case=CaseMaker(bad=frozenset(bad)))
    loaded = load_dataset(str(tmp_path / "store"), cache_dir=str(tmp_path / "cache"))
    expected = {"train": 40 - sum(n < 40 for n in bad), "test": 6 - sum(n >= 40 for n in bad)}
    expected = {split: count for split, count in expected.items() if count}
    assert {split: len(cases) for split, cases in loaded.items()} == expected
    assert store.shards.keys() == expected.keys()


@pytest.mark.parametrize("is_there", [True, False])
def test_a_link_to_a_folder_is_followed(tmp_path, is_there):
    if is_there:
        (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "disk")
    write_store(tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "disk" / "build.json").is_file()
    write_store(tmp_path / "link")  # complete: nothing is made again
    assert sorted(path.name for path in tmp_path.iterdir()) == ["disk", "link"]


def test_it_streams_in_order_from_several_shards(tmp_path):
    write_store(tmp_path / "store")
    stream = load_dataset(str(tmp_path / "store"), split="train", streaming=True)
    assert stream.num_shards == 3
    assert [row["case_id"] for row in stream] == [f"case-{number}" for number in range(40)]


def test_the_folder_has_the_layout_of_the_hub(tmp_path):
    write_store(tmp_path / "store", card_metadata={"license": "other"})
    assert sorted(contents(tmp_path / "store")) == [
        "README.md",
        "build.json",
        "data/test-00000-of-00001.parquet",
        "data/train-00000-of-00003.parquet",
        "data/train-00001-of-00003.parquet",
        "data/train-00002-of-00003.parquet",
        "label_sets/labels.json",
    ]
    card = (tmp_path / "store" / "README.md").read_text()
    assert card.startswith("---\nlicense: other\n")
    assert "configs:" not in card
    assert "---\n\n# R\n" in card
    assert "| train | 40 | 20 |" in card
    assert "`labels` (3)" in card
    assert card.count("not a medical device") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["store"]


def test_training_cases_are_counted_for_each_label(tmp_path):
    store = write_store(tmp_path / "store")
    assert store.label_sets["labels"].train_counts == (14, 13, 13)
    assert sum(store.label_sets["labels"].test_counts) == store.num_cases(Split.TEST)
    assert store.label_sets["labels"].codes == LABELS.codes


def test_processes_and_shards_do_not_change_a_byte(tmp_path):
    write_store(tmp_path / "alone")
    write_store(tmp_path / "together", num_proc=2)
    assert contents(tmp_path / "alone") == contents(tmp_path / "together")


def test_row_groups_are_small_and_pixels_are_not_compressed_twice(tmp_path):
    store = write_store(tmp_path / "store")
    shard = pq.ParquetFile(store.shards[Split.TRAIN][0]).metadata
    assert shard.row_group(0).num_rows == 16
    columns = [shard.row_group(0).column(index) for index in range(shard.num_columns)]
    compression = {column.path_in_schema: column.compression for column in columns}
    assert compression["scans.list.element.volume.data"] == "UNCOMPRESSED"
    assert compression["case_id"] == "ZSTD"


def test_large_cases_make_smaller_row_groups(tmp_path, monkeypatch):
    monkeypatch.setattr(shard_writer, "ROW_GROUP_BYTES", 5_000)
    store = write_store(tmp_path / "store")
    groups = pq.ParquetFile(store.shards[Split.TRAIN][0]).metadata
    assert groups.num_row_groups > 4
    assert groups.num_rows == 16


def test_a_case_that_arrow_cannot_hold_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(shard_writer, "LARGEST_CASE_BYTES", 1_000)
    with pytest.raises(ValueError, match=r"case 'case-1': takes .*max_slices"):
        write_store(tmp_path / "store")


def test_storage_options_reach_the_shards(tmp_path):
    store = write_store(tmp_path / "store", storage=StorageOptions(max_side=8, max_slices=2))
    (batch,) = store.iter_batches(Split.TEST, with_pixels=False)
    shapes = [scan["volume"]["shape"] for scan in batch.to_pylist()[0]["scans"]]
    assert shapes == [[2, 8, 8]] * len(shapes)


def test_what_was_rejected_is_listed_and_the_rest_goes_on(tmp_path):
    maker = CaseMaker(bad=frozenset({3, 20, 44}))
    store = write_store(tmp_path / "store", build_case=maker, num_proc=2)
    assert store.num_cases(Split.TRAIN) == 38
    rejected = read_rejections(tmp_path / "store" / "rejected.csv")
    assert sorted(one.case_id for one in rejected) == ["case-20", "case-3", "case-44"]
    assert (rejected[0].reason, rejected[0].found) == ("corrupt", "ends too early")


def test_nothing_appears_when_every_case_is_rejected(tmp_path):
    items = {Split.TRAIN: numbered(range(2))}
    with pytest.raises(ValueError, match=r"2 inputs were rejected: 0\.dcm: corrupt: ends too"):
        write_store(tmp_path / "store", items, build_case=CaseMaker(bad=frozenset({0, 1})))
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize("num_proc", [1, 2])
def test_an_error_ends_the_run_and_the_next_one_resumes(tmp_path, num_proc):
    write_store(tmp_path / "undisturbed")
    failing = CaseMaker(fatal=frozenset({39}))
    with pytest.raises(OSError, match="lost case 39"):
        write_store(tmp_path / "store", build_case=failing, num_proc=num_proc)
    assert not (tmp_path / "store").exists()
    kept = list((tmp_path / ".store.incomplete" / "content" / "data").iterdir())
    assert kept
    assert all(re.fullmatch(r"(train|test)-.*\.parquet", path.name) for path in kept)
    finished = {path.name: path.stat().st_mtime_ns for path in kept}

    write_store(tmp_path / "store")
    assert contents(tmp_path / "store") == contents(tmp_path / "undisturbed")
    for name, modified in finished.items():
        assert (tmp_path / "store" / "data" / name).stat().st_mtime_ns == modified
    assert not (tmp_path / ".store.incomplete").exists()


KILLED_RUN = """
import sys, time
from pathlib import Path
from tests.fixtures.cases import CaseMaker, write_store

class SlowMaker(CaseMaker):
    def __call__(self, number):
        time.sleep(0.2)
        return super().__call__(number)

write_store(Path(sys.argv[1]), build_case=SlowMaker(frozenset({3, 20})), num_proc=2)
"""


def test_a_killed_run_is_resumed_and_leaves_no_process(tmp_path):
    write_store(tmp_path / "undisturbed", build_case=CaseMaker(bad=frozenset({3, 20})))
    shards = tmp_path / ".store.incomplete" / "content" / "data"
    run = subprocess.Popen(
        [sys.executable, "-c", KILLED_RUN, str(tmp_path / "store")],
        cwd=Path(__file__).parents[3],
        start_new_session=True,
    )
    deadline = time.monotonic() + 60
    while not list(shards.glob("train-*.parquet")) and time.monotonic() < deadline:
        assert run.poll() is None, "the run ended before it was killed"
        time.sleep(0.02)
    run.send_signal(signal.SIGKILL)
    run.wait()
    assert list(shards.glob("train-*.parquet"))
    assert not (tmp_path / "store").exists()
    deadline = time.monotonic() + 10
    while processes_of_session(run.pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert processes_of_session(run.pid) == []

    write_store(tmp_path / "store", build_case=CaseMaker(bad=frozenset({3, 20})))
    assert contents(tmp_path / "store") == contents(tmp_path / "undisturbed")


def processes_of_session(session):
    """Processes that still run, from /proc; none where there is no /proc."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            is_dead = (entry / "stat").read_text().rpartition(")")[2].split()[0] == "Z"
            if os.getsid(int(entry.name)) == session and not is_dead:
                found.append(int(entry.name))
        except (ProcessLookupError, FileNotFoundError):
            pass
    return found


def test_a_complete_data_set_is_not_built_again(tmp_path):
    write_store(tmp_path / "store")
    before = contents(tmp_path / "store")
    everything = frozenset(range(46))
    write_store(tmp_path / "store", build_case=CaseMaker(fatal=everything))
    assert contents(tmp_path / "store") == before


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"items": {Split.TRAIN: numbered(range(3))}}, "splits"),
        ({"storage": StorageOptions(bits=8)}, "storage"),
        ({"source_fingerprint": "version 2"}, "source"),
        ({"label_sets": {"labels": LabelSet(LABELS.names[::-1])}}, "label_sets"),
    ],
)
def test_another_build_in_the_same_place_is_refused(tmp_path, change, named):
    write_store(tmp_path / "store")
    with pytest.raises(RunFolderError, match=f"differs in {named}"):
        write_store(tmp_path / "store", **change)
    with pytest.raises(OSError, match="lost case"):
        write_store(tmp_path / "unfinished", build_case=CaseMaker(fatal=frozenset({45})))
    with pytest.raises(RunFolderError, match=f"differs in {named}"):
        write_store(tmp_path / "unfinished", **change)


def test_what_has_lost_a_split_since_is_not_called_complete(tmp_path):
    write_store(tmp_path / "store")
    (tmp_path / "store" / "data" / "test-00000-of-00001.parquet").unlink()
    with pytest.raises(FileNotFoundError, match="split test has 0 of 1 shards"):
        write_store(tmp_path / "store")


def test_a_folder_with_other_files_is_left_alone(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(RunFolderError, match="is not empty and holds no run"):
        write_store(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_an_empty_folder_is_used(tmp_path):
    (tmp_path / "store").mkdir()
    assert write_store(tmp_path / "store").num_cases(Split.TEST) == 6


def test_the_current_folder_is_a_place_too(tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    write_store(Path())
    assert CaseStore.open(tmp_path / "here").num_cases(Split.TEST) == 6


def test_two_cases_of_one_id_are_refused(tmp_path):
    items = {Split.TRAIN: {"a": 1, "b": 1}}
    with pytest.raises(ValueError, match="2 cases have the id 'case-1'"):
        write_store(tmp_path / "store", items)


def test_a_patient_in_two_splits_is_warned_of(tmp_path, caplog):
    items = {Split.TRAIN: numbered([0]), Split.TEST: numbered([1])}
    write_store(tmp_path / "store", items)
    assert "1 patients are in more than one split" in caplog.text


def test_large_splits_have_shards_of_256_cases_and_small_ones_of_16(tmp_path):
    few = write_store(tmp_path / "few", {Split.TRAIN: numbered(range(33))})
    assert len(few.shards[Split.TRAIN]) == 3
    rejecting = CaseMaker(bad=frozenset(range(1, 6000)))
    many = write_store(
        tmp_path / "many", {Split.TRAIN: numbered(range(6000))}, build_case=rejecting
    )
    assert len(many.shards[Split.TRAIN]) == 24
    assert isinstance(many, CaseStore)
