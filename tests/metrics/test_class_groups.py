"""Head, body and tail."""

import numpy as np
import pytest

from raddiag_hf.metrics import frequency_groups


def test_limits_are_those_of_the_paper() -> None:
    groups = frequency_groups([500, 100, 99, 30, 29, 0])
    assert {name: columns.tolist() for name, columns in groups.items()} == {
        "head": [0, 1],
        "body": [2, 3],
        "tail": [4, 5],
    }


def test_every_class_is_in_one_group() -> None:
    counts = np.random.default_rng(0).integers(0, 200, 1000)
    members = np.concatenate(list(frequency_groups(counts).values()))
    np.testing.assert_array_equal(np.sort(members), np.arange(1000))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"case_counts": [1.5, 2.0]}, "one integer per class"),
        ({"case_counts": [[1, 2]]}, "one integer per class"),
        ({"case_counts": [1], "head_cases": 5, "tail_cases": 9}, "more than head_cases 5"),
    ],
)
def test_contradictions_are_refused(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        frequency_groups(**arguments)  # type: ignore[arg-type]
