import numpy as np
import pytest
from datasets import Dataset, load_dataset

from raddiag_hf.data.store.case_metadata import read_metadata
from raddiag_hf.data.store.scan_record import MODALITIES
from raddiag_hf.vocabulary import Modality, Split
from tests.fixtures.cases import make_case, numbered, write_store


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    items = {Split.TRAIN: numbered(range(20)), Split.TEST: numbered(range(20, 23))}
    return write_store(tmp_path_factory.mktemp("data") / "store", items)


@pytest.fixture(params=["store", "loaded", "streamed"])
def data(request, store, tmp_path_factory):
    """The same cases by each of the ways in which they can be given."""
    if request.param == "store":
        return store
    cache = str(tmp_path_factory.mktemp("cache"))
    return load_dataset(store.location, cache_dir=cache, streaming=request.param == "streamed")


def test_everything_but_the_pixels_is_there_from_every_source(data):
    metadata = read_metadata(data)
    cases = [make_case(number) for number in range(23)]
    assert metadata.case_ids == tuple(case.case_id for case in cases)
    assert metadata.patient_ids == tuple(case.patient_id for case in cases)
    assert metadata.splits == ("train",) * 20 + ("test",) * 3
    assert metadata.in_split("test").sum() == 3
    assert metadata.label_names["labels"] == ("Normal", "Pneumothorax", "Hip fracture")
    assert metadata.labels["labels"].indices.tolist() == [number % 3 for number in range(23)]
    scans = [(row, one.scan) for row, case in enumerate(cases) for one in case.scans]
    assert metadata.scan_cases.tolist() == [row for row, _ in scans]
    assert metadata.scan_depths.tolist() == [scan.volume.shape[0] for _, scan in scans]
    assert [MODALITIES[one] for one in metadata.scan_modalities] == [
        scan.modality for _, scan in scans
    ]


def test_a_shuffled_selection_keeps_rows_and_scans_together(store, tmp_path):
    loaded = load_dataset(store.location, split="train", cache_dir=str(tmp_path))
    metadata = read_metadata({"train": loaded.shuffle(seed=1).select(range(8))})
    assert len(metadata) == 8
    numbers = [int(case_id.removeprefix("case-")) for case_id in metadata.case_ids]
    assert np.bincount(metadata.scan_cases).tolist() == [1 + number % 3 for number in numbers]
    first_scans = np.searchsorted(metadata.scan_cases, np.arange(8))
    assert {MODALITIES[one] for one in metadata.scan_modalities[first_scans]} == {Modality.CT}


def test_other_data_sets_are_refused():
    with pytest.raises(ValueError, match=r"no column \['anatomy', 'patient_id', 'scans'\]"):
        read_metadata({"train": Dataset.from_dict({"case_id": ["a"]})})
    with pytest.raises(ValueError, match="has no split"):
        read_metadata({})
