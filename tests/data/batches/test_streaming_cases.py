import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from raddiag_hf.data.batches.streaming_cases import StreamingCases
from raddiag_hf.data.batches.streaming_order import StreamingOrder
from raddiag_hf.data.batches.training_cases import CasePacker
from raddiag_hf.model.image_processing_raddiag import RadDiagImageProcessor
from raddiag_hf.vocabulary import Split
from tests.fixtures.cases import LABELS, make_case, numbered, write_store

PROCESSOR = RadDiagImageProcessor(image_size=16, max_slices=4)
NUM_CASES = 75  # five shards, the last one of 11


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    items = {Split.TRAIN: numbered(range(NUM_CASES)), Split.TEST: numbered(range(80, 82))}
    return write_store(tmp_path_factory.mktemp("streaming") / "cases", items)


def stream(store, batch_size=4, **options):
    return StreamingCases(
        store, Split.TRAIN, CasePacker(store.features, PROCESSOR), batch_size, **options
    )


@pytest.fixture(scope="module")
def number_of(store):
    """Tells a packed case's number from its pixels."""
    packer = CasePacker(store.features, PROCESSOR)
    rows = store.iter_rows(Split.TRAIN, range(len(store.shards[Split.TRAIN])))
    return {packer(row)["pixel_values"][0].numpy().tobytes(): i for i, row in enumerate(rows)}


def numbers(batches, number_of):
    """The cases of each batch, by the first slice of each."""
    found = []
    for batch in batches:
        slices = batch["slice_counts"].tolist()
        firsts, scan, at = [], 0, 0
        for num_scans in batch["scan_counts"].tolist():
            firsts.append(number_of[batch["pixel_values"][at].numpy().tobytes()])
            at += sum(slices[scan : scan + num_scans])
            scan += num_scans
        found.append(firsts)
    return found


def assert_same_batches(batches, expected):
    assert len(batches) == len(expected)
    for batch, other in zip(batches, expected, strict=True):
        assert batch.keys() == other.keys()
        assert all(torch.equal(batch[key], other[key]) for key in batch)


def test_an_epoch_has_every_case_at_most_once_in_full_batches(store, number_of):
    batches = stream(store)
    epoch = numbers(batches, number_of)
    cases = [case for batch in epoch for case in batch]
    assert len(epoch) == len(batches) == NUM_CASES // 4
    assert len(set(cases)) == len(cases) == 4 * len(epoch)
    assert cases != sorted(cases)


def test_labels_belong_to_their_case(store, number_of):
    for batch in stream(store):
        for case, labels in zip(*numbers([batch], number_of), batch["labels"], strict=True):
            assert LABELS.decode(labels.numpy()) == make_case(case).labels["labels"]


def test_epochs_and_seeds_shuffle_differently_and_repeatably(store, number_of):
    batches = stream(store)
    first = numbers(batches, number_of)
    assert numbers(batches, number_of) == first
    batches.set_epoch(1)
    second = numbers(batches, number_of)
    assert second != first
    assert numbers(stream(store, seed=1), number_of) not in (first, second)


@pytest.mark.filterwarnings("ignore:This DataLoader will create 3 worker processes")
@pytest.mark.parametrize(("num_workers", "stop"), [(0, 1), (0, 7), (2, 7), (2, 16), (3, 9)])
def test_an_interrupted_epoch_goes_on_with_exactly_the_batches_left(store, num_workers, stop):
    options = {"num_workers": num_workers, "window_batches": 3, "seed": 5}
    undisturbed = stream(store, **options)
    undisturbed.set_epoch(2)
    expected = list(undisturbed)

    interrupted = stream(store, **options)
    interrupted.set_epoch(2)
    taken = []
    for batch in interrupted:
        taken.append(batch)
        if len(taken) == stop:
            state = json.loads(json.dumps(interrupted.state_dict()))
            break

    resumed = stream(store, **options)
    resumed.load_state_dict(state)
    resumed.set_epoch(2)
    assert_same_batches([*taken, *resumed], expected)
    resumed.set_epoch(3)
    assert len(list(resumed)) == len(resumed)


def test_resuming_reads_at_most_one_window_again(store, monkeypatch):
    batches = stream(store, window_batches=2)
    batches.load_state_dict(batches.state_dict() | {"num_done": 11})
    starts = []
    read_rows = type(store).iter_rows
    monkeypatch.setattr(
        type(store),
        "iter_rows",
        lambda self, split, shards, start: (
            starts.append(start) or read_rows(self, split, shards, start)
        ),
    )
    assert len(list(batches)) == len(batches) - 11
    assert starts == [10 * 4]


def test_a_finished_epoch_has_nothing_left(store):
    batches = stream(store)
    list(batches)
    resumed = stream(store)
    resumed.load_state_dict(batches.state_dict())
    assert list(resumed) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_workers": 2}, "num_workers was 0 and is 2"),
        ({"seed": 1, "batch_size": 2}, "seed was 0 and is 1, batch_size was 4 and is 2"),
        ({"num_ranks": 2}, "num_ranks was 1 and is 2"),
    ],
)
def test_a_state_of_another_stream_is_refused(store, change, message):
    state = stream(store).state_dict()
    with pytest.raises(ValueError, match=message):
        stream(store, **change).load_state_dict(state)


def test_a_state_of_other_data_is_refused(store):
    state = stream(store).state_dict()
    state["stream"]["shard_rows"] = [75]
    with pytest.raises(ValueError, match="its shards hold other numbers of cases"):
        stream(store).load_state_dict(state)


def test_ranks_have_equally_many_batches_of_different_cases(store, number_of):
    epochs = [numbers(stream(store, rank=rank, num_ranks=2), number_of) for rank in (0, 1)]
    assert len(epochs[0]) == len(epochs[1])
    sets = [{case for batch in epoch for case in batch} for epoch in epochs]
    assert not sets[0] & sets[1]


def test_batches_of_a_window_have_about_equal_work(store):
    work = [int(batch["slice_counts"].sum()) for batch in stream(store, window_batches=15)][:15]
    assert np.std(work) < 1.5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 100}, "75 cases in 5 shards do not give a batch of 100"),
        ({"num_ranks": 6}, "do not give a batch of 4 to each of 6 ranks with 1 workers"),
        ({"rank": 2, "num_ranks": 2}, "rank is 2 of 2"),
        ({"seed": -1}, "seed is -1"),
    ],
)
def test_what_cannot_be_streamed_is_refused(store, options, message):
    with pytest.raises(ValueError, match=message):
        stream(store, **options)


def test_a_split_that_is_not_there_is_named(store):
    with pytest.raises(ValueError, match="has no split validation"):
        StreamingCases(store, Split.VALIDATION, CasePacker(store.features, PROCESSOR), 2)


@given(
    st.lists(st.integers(1, 40), min_size=1, max_size=12),
    st.integers(1, 4),
    st.integers(1, 3),
    st.integers(1, 4),
    st.data(),
)
def test_every_batch_comes_once_wherever_an_epoch_is_cut(rows, size, ranks, lanes, data):
    try:
        order = StreamingOrder(tuple(rows), size, ranks, lanes)
    except ValueError:
        return
    shards = [shard for rank in range(ranks) for lane in range(lanes)
              for shard in order.shards(rank, lane)]  # fmt: skip
    assert sorted(shards) == list(range(len(rows)))
    for rank in range(ranks):
        turns = order.turns(rank)
        assert len(turns) == order.num_batches
        done = data.draw(st.integers(0, len(turns)))
        next_lane, left = order.share(rank, done)
        rest = []
        for turn in range(max(len(one) for one in left)):
            for lane in [*range(next_lane, lanes), *range(next_lane)]:
                if turn < len(left[lane]):
                    rest.append(lane)
        assert rest == turns[done:]
