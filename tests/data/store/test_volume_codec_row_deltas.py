import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from raddiag_hf.data.store.volume_codec import BLOCK_ROWS, row_deltas, undo_row_deltas

heights = st.one_of(st.integers(1, 2 * BLOCK_ROWS + 2), st.just(5 * BLOCK_ROWS))
stacks = st.tuples(st.integers(1, 3), heights, st.integers(1, 4)).flatmap(
    lambda shape: st.sampled_from((np.uint8, np.uint16)).flatmap(lambda one: arrays(one, shape))
)


@given(stacks)
def test_undoing_gives_the_values_back(values):
    before = values.copy()
    deltas = row_deltas(values)
    np.testing.assert_array_equal(values, before)
    undo_row_deltas(deltas)
    np.testing.assert_array_equal(deltas, before)


def test_equal_rows_become_zeros_but_for_the_first():
    deltas = row_deltas(np.full((2, 3 * BLOCK_ROWS + 5, 4), 7, np.uint8))
    assert (deltas[:, 0] == 7).all()
    assert (deltas[:, 1:] == 0).all()


def test_a_row_builds_on_the_row_above_within_a_block():
    values = np.arange(BLOCK_ROWS, dtype=np.uint16).reshape(1, -1, 1) ** 2
    odd_numbers = 2 * np.arange(1, BLOCK_ROWS) - 1
    np.testing.assert_array_equal(row_deltas(values)[0, 1:, 0], odd_numbers)


def test_darker_rows_wrap_round():
    assert row_deltas(np.array([[[5], [3]]], np.uint8)).ravel().tolist() == [5, 254]
