"""Hours and memory of grids, without data and with."""

from dataclasses import replace

import pytest

from raddiag_hf.reproduce.grid_plan import Loading, plan_grids
from raddiag_hf.reproduce.grids import find_grid
from raddiag_hf.reproduce.scales import SCALES, ScaleName
from raddiag_hf.training.plan.step_speed import find_device

POOLINGS, MODULES = find_grid("supplementary-table2"), find_grid("table2")
LATE_ONLY = replace(MODULES, rows=MODULES.rows[:1])


def plan(device, number=1, grids=(POOLINGS,), scale=ScaleName.PAPER, **options):
    loading = Loading(seconds=1e-3)
    return plan_grids(grids, SCALES[scale], find_device(device), number, loading=loading, **options)


def test_the_papers_cases_on_eight_cards_and_on_one():
    (many,), (one,) = plan("h100", 8, grids=(POOLINGS, LATE_ONLY)), plan("rtx4090")
    assert many.evaluations == 3  # poolings; that of table 2 is one of them
    assert many.plan.num_steps == one.plan.num_steps == 29_536 // 8 * 100
    assert len(one.plan.worst_slices) == 4
    assert sum(one.plan.worst_slices) == 128
    assert one.plan.chosen.total < 24e9
    assert 1 < many.hours < 30 < one.hours < 300
    record = one.to_dict()
    assert record["worst_slices"] == 128
    assert record["memory"]["total"] == one.plan.chosen.total


def test_seeds_take_their_time_and_cases_may_be_named(rp3d_like):
    given = {"dataset": str(rp3d_like), "scale": ScaleName.MINIATURE}
    (once,), (twice,) = plan("l4", **given), plan("l4", **given, seeds=2)
    assert once.plan.num_steps == 2 * 2  # 16 cases, two epochs
    assert twice.hours == pytest.approx(2 * once.hours)
    assert once.hours < 0.1


def test_what_does_not_fit_has_no_hours():
    card = replace(find_device("l4"), memory=10**9)
    (found,) = plan_grids([POOLINGS], SCALES[ScaleName.PAPER], card, loading=Loading(1e-3))
    assert (found.hours, found.to_dict()["memory"]) == (None, None)
