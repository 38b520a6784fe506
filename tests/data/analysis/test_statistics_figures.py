from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from raddiag_hf.data.analysis.statistics import CaseGroup, CaseStatistics, LabelDistribution
from raddiag_hf.data.analysis.statistics_figures import (
    draw_anatomies,
    draw_case_sizes,
    draw_labels,
    draw_modalities,
    save_statistics_figures,
)

NOTHING = CaseGroup(0, {}, {})
STATISTICS = CaseStatistics(
    cases=130,
    patients=120,
    scans=300,
    slices=900,
    cases_per_split={"train": 130},
    abnormal=CaseGroup(100, {"CT": 80, "MRI": 40}, {"Chest": 100}),
    normal=CaseGroup(30, {"X-ray": 30}, {"Chest": 20, "Spine": 10}),
    unlabelled=NOTHING,
    scans_per_case={1: 100, 2: 29, 37: 1},
    modalities_per_case={1: 110, 2: 20},
    labels={
        "disorders": LabelDistribution(
            {f"Disorder {index}": max(0, 250 - index) for index in range(200)},
            {f"Disorder {index}": max(0, 150 - index) for index in range(200)},
            {"head": 51, "body": 70, "tail": 79},
        ),
        "labels": LabelDistribution(
            {"Mass": 150, "Normal": 40},
            {"Mass": 120, "Normal": 30},
            {"head": 1, "body": 1, "tail": 0},
        ),
    },
)


def texts(figure):
    figure.figure.draw_without_rendering()  # tick labels come into being
    return {text.get_text() for text in figure.findobj(lambda one: hasattr(one, "get_text"))}


def test_bars_carry_their_count_and_share():
    assert {"Abnormal: 100 cases", "Normal: 30 cases"} <= texts(draw_modalities(STATISTICS))
    assert {"CT", "80 (80.0%)", "40 (40.0%)", "30 (100.0%)"} <= texts(draw_modalities(STATISTICS))
    assert {"Spine", "10 (33.3%)"} <= texts(draw_anatomies(STATISTICS))


def test_only_kinds_of_cases_that_exist_have_a_panel():
    assert len(draw_modalities(STATISTICS).axes) == 2
    only_unlabelled = replace(
        STATISTICS, abnormal=NOTHING, normal=NOTHING, unlabelled=STATISTICS.normal
    )
    assert len(draw_modalities(only_unlabelled).axes) == 1


def test_cases_of_very_many_scans_share_the_last_bar():
    scans = draw_case_sizes(STATISTICS).axes[0]
    heights = [bar.get_height() for bar in scans.patches]
    assert (len(heights), heights[0], heights[1], heights[29]) == (30, 100, 29, 1)
    assert "30+" in texts(scans)


def test_images_and_modalities_per_case_are_drawn_to_one_scale():
    scans, modalities = draw_case_sizes(STATISTICS).axes
    assert scans.get_ylim() == modalities.get_ylim()
    assert scans.get_ylim()[1] > 110


def test_many_labels_are_a_ranked_curve_and_few_have_names():
    many, few = draw_labels(STATISTICS).axes
    assert many.get_yscale() == "log"
    assert many.get_xlim() == (0, 150)  # labels without a case have no place
    title = "200 labels (disorders), 50 without a training case"
    assert {title, "Head (100 training cases or more): 51", "Training cases"} <= texts(many)
    assert {"Mass", "Normal", "120", "2 labels"} <= texts(few)


def test_labels_without_a_case_are_counted_and_not_drawn():
    counts = {"COVID-19": 31, "ARDS": 2} | {f"Rare {number}": 0 for number in range(50)}
    distribution = LabelDistribution(counts, counts, {"head": 0, "body": 1, "tail": 51})
    (axes,) = draw_labels(replace(STATISTICS, labels={"labels": distribution})).axes
    assert {"COVID-19", "31", "ARDS", "2", "52 labels, 50 without a training case"} <= texts(axes)
    assert "Rare 0" not in texts(axes)


@pytest.mark.parametrize("num_labels", [3, 60])
def test_without_training_cases_labels_are_in_no_group(num_labels):
    counts = {f"Label {number}": 200 - number for number in range(num_labels)}
    distribution = LabelDistribution(counts, {}, {})
    (axes,) = draw_labels(replace(STATISTICS, labels={"labels": distribution})).axes
    assert axes.get_legend() is None
    assert axes.patches
    assert "Training cases" not in texts(axes)


def test_one_case_is_a_case():
    one = CaseGroup(1, {"CT": 1}, {"Chest": 1})
    assert "Normal: 1 case" in texts(draw_modalities(replace(STATISTICS, normal=one)))


@pytest.mark.parametrize("statistics", [STATISTICS, replace(STATISTICS, normal=NOTHING)])
def test_the_four_panels_are_saved_and_have_something_in_them(tmp_path, statistics):
    paths = save_statistics_figures(statistics, tmp_path / "figures")
    assert [path.name for path in paths] == [
        "modalities.png",
        "anatomies.png",
        "case_sizes.png",
        "labels.png",
    ]
    for path in paths:
        pixels = np.asarray(Image.open(path).convert("L"))
        assert 0.005 < (pixels < 250).mean() < 0.6, path.name
