import fsspec
import pytest

from raddiag_hf.data.store.case_store import CaseStorageError, CaseStore, shard_name
from raddiag_hf.labels.label_set import LabelSet
from raddiag_hf.vocabulary import Split
from tests.fixtures.cases import LABELS, numbered, write_store


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "store"
    write_store(folder)
    return folder


@pytest.fixture
def copy(folder, tmp_path):
    """A copy of the data set that a test may damage."""
    fsspec.filesystem("file").put(f"{folder}/", f"{tmp_path}/store", recursive=True)
    return tmp_path / "store"


def test_shards_are_named_as_the_hub_expects():
    assert shard_name(Split.TRAIN, 3, 12) == "train-00003-of-00012.parquet"


def test_it_knows_its_cases_and_labels(folder):
    store = CaseStore.open(folder)
    assert {split: store.num_cases(split) for split in store.shards} == {"train": 40, "test": 6}
    assert store.label_sets["labels"].names == LABELS.names
    assert store.features["labels"].feature.names == list(LABELS.names)


@pytest.mark.parametrize("with_pixels", [True, False])
def test_pixels_are_read_only_when_asked_for(folder, with_pixels):
    batches = list(CaseStore.open(folder).iter_batches(Split.TEST, with_pixels))
    rows = [row for batch in batches for row in batch.to_pylist()]
    assert [row["case_id"] for row in rows] == [f"case-{number}" for number in range(40, 46)]
    assert ("data" in rows[0]["scans"][0]["volume"]) is with_pixels
    assert rows[0]["scans"][0]["volume"]["shape"] == [3, 16, 12]


def test_it_opens_any_file_system(folder):
    memory = fsspec.filesystem("memory")
    memory.put(f"{folder}/", "/copied", recursive=True)
    store = CaseStore.open("memory://copied")
    assert store.num_cases(Split.TRAIN) == 40
    assert next(store.iter_batches(Split.TRAIN, with_pixels=True)).num_rows == 16


def test_a_missing_shard_is_noticed(copy):
    (copy / "data" / "train-00001-of-00003.parquet").unlink()
    with pytest.raises(FileNotFoundError, match="split train has 2 of 3 shards"):
        CaseStore.open(copy)


def test_a_split_that_is_missing_whole_is_noticed(copy):
    (copy / "data" / "test-00000-of-00001.parquet").unlink()
    with pytest.raises(FileNotFoundError, match="split test has 0 of 1 shards"):
        CaseStore.open(copy)


def test_a_folder_may_have_brackets_in_its_name(tmp_path):
    write_store(tmp_path / "o[1]", {Split.TRAIN: numbered(range(2))})
    assert CaseStore.open(tmp_path / "o[1]").num_cases(Split.TRAIN) == 2


@pytest.mark.parametrize("start", [0, 5_000, -8], ids=["cut off", "pixels", "footer"])
def test_a_damaged_shard_is_named(copy, start):
    shard = copy / "data" / "test-00000-of-00001.parquet"
    content = bytearray(shard.read_bytes())
    content[start : start + 4 or None] = b"\xff\xff\xff\xff"
    shard.write_bytes(content if start else content[:100])
    store = CaseStore.open(copy)
    with pytest.raises(CaseStorageError, match=r"test-00000-of-00001\.parquet: is damaged: "):
        list(store.iter_batches(Split.TEST, with_pixels=True))


def test_a_foreign_file_among_the_shards_is_refused(copy):
    (copy / "data" / "cases.parquet").write_bytes(b"")
    with pytest.raises(ValueError, match=r"cases\.parquet: expected a name like"):
        CaseStore.open(copy)


def test_a_label_set_that_does_not_belong_to_the_shards_is_refused(copy):
    LabelSet(LABELS.names[::-1]).save(copy / "label_sets" / "labels.json")
    with pytest.raises(ValueError, match=r"differ from the case columns.*\['labels'\]"):
        CaseStore.open(copy)


def test_a_damaged_label_set_is_named(copy):
    (copy / "label_sets" / "labels.json").write_text("{}")
    with pytest.raises(ValueError, match=r"labels\.json: is not a label set"):
        CaseStore.open(copy)


def test_a_folder_of_something_else_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"has no data/\*\.parquet"):
        CaseStore.open(tmp_path)


def test_shards_without_label_sets_are_refused(copy):
    (copy / "label_sets" / "labels.json").unlink()
    with pytest.raises(FileNotFoundError, match="label_sets"):
        CaseStore.open(copy)
