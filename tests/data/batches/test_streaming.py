"""What `datasets` streams is packed on the way, and an interrupted epoch is resumed."""

import pytest
import torch
from torch.utils.data import DataLoader

from raddiag_hf.data.batches.collate import collate_cases
from raddiag_hf.data.batches.training_cases import CasePacker
from raddiag_hf.data.publishers.loading import load_dataset
from raddiag_hf.model.image_processing_raddiag import RadDiagImageProcessor
from raddiag_hf.vocabulary import Split
from tests.fixtures.cases import numbered, write_store

PROCESSOR = RadDiagImageProcessor(image_size=16, max_slices=4)
NUM_CASES = 75  # five shards, the last one of 11


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("streaming") / "cases"
    write_store(folder, {Split.TRAIN: numbered(range(NUM_CASES))})
    return folder


@pytest.fixture(autouse=True)
def no_pause(monkeypatch):
    """`datasets` sleeps five seconds at the end of every shuffled stream of Parquet files."""
    monkeypatch.setattr("datasets.config.SLEEP_TIME_ON_THREADS_SHUTDOWN", 0)


def packed_stream(folder, epoch=0, buffer_size=8):
    stream = load_dataset(folder, split="train", streaming=True)
    packer = CasePacker(stream.features, PROCESSOR)
    shuffled = stream.shuffle(seed=3, buffer_size=buffer_size)
    packed = shuffled.map(packer, remove_columns=stream.column_names)
    packed.set_epoch(epoch)
    return packed


def test_a_stream_has_every_case_once_as_the_packer_makes_it(folder):
    rows = load_dataset(folder, split="train", streaming=True)
    packer = CasePacker(rows.features, PROCESSOR)
    expected = {packer(row)["pixel_values"].numpy().tobytes(): row for row in rows}
    found = list(packed_stream(folder))
    order = [expected[case["pixel_values"].numpy().tobytes()]["case_id"] for case in found]
    assert sorted(order) == sorted(row["case_id"] for row in expected.values())
    assert order != [row["case_id"] for row in expected.values()]
    for case in found:
        row = expected[case["pixel_values"].numpy().tobytes()]
        assert case["labels"].nonzero()[:, 1].tolist() == row["labels"]


def test_epochs_are_shuffled_differently_and_repeatably(folder):
    first, again, second = (
        [float(case["pixel_values"].sum()) for case in packed_stream(folder, epoch)]
        for epoch in (0, 0, 1)
    )
    assert first == again
    assert first != second
    assert sorted(first) == sorted(second)


@pytest.mark.parametrize("seen", [1, 20, 74])
def test_an_interrupted_epoch_is_resumed_without_what_was_in_the_buffer(folder, seen):
    for buffer_size in (1, 8):
        stream = packed_stream(folder, buffer_size=buffer_size)
        cases = iter(stream)
        for _ in range(seen):
            next(cases)
        state = stream.state_dict()
        resumed = packed_stream(folder, buffer_size=buffer_size)
        resumed.load_state_dict(state)
        left = [case["pixel_values"].numpy().tobytes() for case in cases]
        found = [case["pixel_values"].numpy().tobytes() for case in resumed]
        if buffer_size == 1:  # only shards are shuffled
            assert found == left
        assert len({*left} - {*found}) <= buffer_size


@pytest.mark.parametrize("num_workers", [0, 2])
def test_workers_share_the_shards(folder, num_workers):
    loader = DataLoader(packed_stream(folder), 4, collate_fn=collate_cases, num_workers=num_workers)
    sums = [float(case["pixel_values"].sum()) for case in packed_stream(folder)]
    batches = list(loader)
    assert sum(len(batch["labels"]) for batch in batches) == NUM_CASES
    torch.testing.assert_close(sum(float(one["pixel_values"].sum()) for one in batches), sum(sums))
