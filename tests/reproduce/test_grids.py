"""The paper's tables as plain data: complete, and what they share is one training."""

import pytest

from raddiag_hf.core.errors import InputError
from raddiag_hf.reproduce.grids import BANDS, all_grids, find_grid
from raddiag_hf.reproduce.published import METRICS


@pytest.mark.parametrize("grid", all_grids(), ids=lambda grid: grid.name)
def test_every_row_of_a_table_has_the_papers_numbers(grid):
    assert len({row.words for row in grid.rows}) == len(grid.rows)
    for row in grid.rows:
        assert len(row.words) == len(grid.headings)
        if "table" in grid.name:
            assert tuple(row.published) == grid.groups
        for numbers in row.published.values():
            assert len(numbers) == len(METRICS)
            assert all(number is None or 0 < number < 100 for number in numbers)
        if row.against is not None:
            assert grid.row(row.against) != row


def test_numbers_stand_where_the_paper_has_them():
    row = find_grid("table1").row(("ResNet-ViT", "ResNet-50", "6-layer ViT"))
    assert (row.training.preset, row.published["all"][0]) == ("resnet50-vit6", 89.53)
    row = find_grid("table1").row(("ViT", "4-layer MLP", "12-layer ViT"))
    assert (row.training.preset, row.published["all"][-1]) == ("vit12-mlp4", 49.52)
    row = find_grid("table2").row(("ICD-10-CM", "✓", "✓"))
    assert tuple(row.published) == BANDS
    assert row.published["tail"][:2] == (88.11, 5.57)
    assert row.training.reads_labels


def test_what_tables_share_is_trained_once():
    encoders, modules = find_grid("table1"), find_grid("table2")
    baseline = encoders.row(("ResNet", "ResNet-18", "ResNet-34")).training
    assert find_grid("supplementary-table3").row(("16",)).training == baseline
    assert find_grid("supplementary-table4").row(("NO", "ResNet")).training == baseline
    assert find_grid("supplementary-table4").row(("YES", "ResNet")).training != baseline
    late = modules.row(("Disorders", "✗", "✗")).training
    assert find_grid("supplementary-table2").trainings == (late,)
    assert find_grid("figure3").trainings == modules.trainings
    every = {training.name for grid in all_grids() for training in grid.trainings}
    assert len(every) == 12 + 6 + 2 + 2


def test_other_names_are_refused():
    with pytest.raises(InputError, match="no 'table9' to reproduce; expected one of table1, "):
        find_grid("table9")
