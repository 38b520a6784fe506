"""Head, body and tail."""

import numpy as np
import pytest

from raddiag_hf.labels.bands import BandRule, CountedCases, band_columns


def test_limits_are_those_of_the_paper() -> None:
    groups = band_columns([500, 100, 99, 30, 29, 0])
    assert {name: columns.tolist() for name, columns in groups.items()} == {
        "head": [0, 1],
        "body": [2, 3],
        "tail": [4, 5],
    }


def test_every_label_is_in_one_band() -> None:
    counts = np.random.default_rng(0).integers(0, 200, 1000)
    members = np.concatenate(list(band_columns(counts).values()))
    np.testing.assert_array_equal(np.sort(members), np.arange(1000))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"counts": [1.5, 2.0]}, "one integer per label"),
        ({"counts": [[1, 2]]}, "one integer per label"),
        ({"counts": [1], "head_from": 5, "tail_below": 9}, "more than head_from 5"),
    ],
)
def test_contradictions_are_refused(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        band_columns(**arguments)  # type: ignore[arg-type]


def test_bands_are_told_by_their_bounds() -> None:
    assert list(BandRule().bounds().values()) == [
        "100 training cases or more",
        "30 to 99",
        "fewer than 30",
    ]


def test_bands_say_which_cases_were_counted() -> None:
    whole = BandRule(CountedCases.WHOLE, head_from=50, tail_below=10)
    assert whole.describe() == (
        "Head labels have 50 cases of the whole data set or more, medium ones 10 to 49, tail ones "
        "fewer than 10."
    )
    assert "100 training cases or more" in BandRule().describe()
