"""Figures of grids: files where the paper has a figure, of models that tables share."""

from pathlib import Path

import pytest

from raddiag_hf.evaluation.evaluation_settings import LateFusion, PredictionSettings
from raddiag_hf.evaluation.prediction_table import PredictionTable
from raddiag_hf.metrics.bootstrap_settings import BootstrapSettings
from raddiag_hf.reproduce.grids import NOT_MIXED, Grid, GridRow, Training
from raddiag_hf.reproduce.reproduce_settings import ReproduceSettings
from raddiag_hf.reproduce.reproduction import reproduce_grid
from raddiag_hf.reproduce.saliency_examples import choose_examples
from raddiag_hf.reproduce.scales import ScaleName

HEADINGS = ("Labels", "FM", "KE")
FUSED = GridRow(("Disorders", "✓", "✗"), Training("fused", "disorders", "resnet34-vit6"))
LATE = GridRow(
    ("Disorders", "✗", "✗"),
    Training("late", "disorders", "resnet34-vit6", {"fusion_type": "max"}, NOT_MIXED),
    fusion=LateFusion.MAX,
)
QUICK = ["training.max_steps=2", "training.use_cpu=true", "training.disable_tqdm=true"]


@pytest.fixture(scope="module")
def output(tmp_path_factory):
    return tmp_path_factory.mktemp("figures")


@pytest.mark.parametrize(
    ("grid", "expected"),
    [
        (Grid("figure3", "", HEADINGS, (LATE, FUSED)), ["figure3.png", "figure3.pdf"]),
        (
            Grid("figure5", "", HEADINGS, (FUSED,), ("all", "Chest", "Spine"), (), True, True),
            ["figure5.png", "figure5.pdf"],
        ),
        (
            Grid("figure4", "", HEADINGS, (FUSED,), draws_evaluations=True),
            ["figure4.png", "figure4.pdf", "figure4-saliency/1.png"],
        ),
        (
            Grid("supplementary-figure1", "", HEADINGS, (LATE, FUSED)),
            ["supplementary-figure1.png", "supplementary-figure1.pdf"],
        ),
    ],
    ids=lambda value: value.name if isinstance(value, Grid) else "",
)
def test_a_figure_is_drawn(grid, expected, output, rp3d_like):
    settings = ReproduceSettings(
        output=output,
        scale=ScaleName.MINIATURE,
        bootstrap=BootstrapSettings(resamples=10),
        prediction=PredictionSettings(num_workers=0),
    )
    made = reproduce_grid(grid, str(rp3d_like), settings, overrides=QUICK)
    figures = [path for path in made.files if path.suffix in (".png", ".pdf")]
    assert [str(path.relative_to(output)) for path in figures[: len(expected)]] == expected
    assert all(path.stat().st_size > 4000 for path in figures)
    assert len(list((output / "trainings").iterdir())) <= 2
    if grid.of_normal:
        cells = {(cell.group, cell.metric): cell for cell in made.table.cells}
        assert cells["all", "auc"].ours == cells["Chest", "auc"].ours  # the only region
        assert cells["all", "auc"].low is not None
        assert cells["Spine", "auc"].ours is None


def test_examples_are_the_surest_of_each_kind_and_never_normal(output):
    (file,) = Path(output).glob("evaluations/fused*/predictions.parquet")
    table = PredictionTable.read(file)
    chosen = choose_examples(table)
    rows = [table.case_ids.index(case) for case, _ in chosen]
    kinds = [(table.modalities[row], table.anatomies[row]) for row in rows]
    assert len(set(kinds)) == len(kinds) == 2  # cases of one scan are normal
    logits = []
    for row, (_, label) in zip(rows, chosen, strict=True):
        assert label != "Normal"
        assert table.labels[row, table.label2id[label]]
        logits.append(table.logits[row, table.label2id[label]])
    assert logits == sorted(logits, reverse=True)
