"""A grid from cases to a table: done once, shared, resumed, beside the paper's numbers."""

import csv
import json

import pytest

from raddiag_hf.core.errors import InputError
from raddiag_hf.evaluation.evaluation_settings import LateFusion, PredictionSettings
from raddiag_hf.metrics.bootstrap_settings import BootstrapSettings
from raddiag_hf.reproduce.grids import NOT_MIXED, Grid, GridRow, Training
from raddiag_hf.reproduce.reproduce_settings import ReproduceSettings
from raddiag_hf.reproduce.reproduction import reproduce_grid
from raddiag_hf.reproduce.scales import ScaleName

LATE = Training("late", "disorders", "resnet34-vit6", {"fusion_type": "max"}, NOT_MIXED)
READER = Training("reader", "disorders", reads_labels=True)
GRID = Grid(
    "poolings",
    "Poolings of single scans",
    ("Mode",),
    (
        GridRow(("Max",), LATE, {"all": (91.0, 10, 20, 30, 40, 50, 60)}, LateFusion.MAX),
        GridRow(("Mean",), LATE, {}, LateFusion.MEAN, against=("Max",)),
    ),
)
QUICK = ["training.max_steps=2", "training.use_cpu=true", "training.disable_tqdm=true"]


def settings(output, **options):
    return ReproduceSettings(
        output=output,
        scale=ScaleName.MINIATURE,
        bootstrap=BootstrapSettings(resamples=20),
        prediction=PredictionSettings(num_workers=0),
        **options,
    )


def state_of(folder):
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {path: path.stat().st_mtime_ns for path in files if path.parent != folder}


@pytest.fixture(scope="module")
def made(rp3d_like, tmp_path_factory):
    """Both rows, each of two seeds."""
    output = tmp_path_factory.mktemp("out") / "reproduction"
    return reproduce_grid(GRID, str(rp3d_like), settings(output, seeds=2), overrides=QUICK)


def test_rows_share_a_training_and_stand_beside_the_paper(made):
    output = made.files[0].parent
    assert len(list((output / "trainings").iterdir())) == 2  # seeds
    assert len(list((output / "evaluations").iterdir())) == 4
    text = (output / "poolings.md").read_text()
    assert "| Max | paper | 91.00 | 10.00 |" in text
    assert "| Mean | paper |" not in text
    assert "Not the paper's schedule: scale miniature" in text
    assert "means over 2 seeds" in text
    record = json.loads((output / "poolings.json").read_text())
    assert record["compared_with"] == {"Mean": "Max"}
    cells = {(*cell["words"], cell["metric"]): cell for cell in record["cells"]}
    best, other = cells["Max", "auc"], cells["Mean", "auc"]
    assert best["low"] <= best["ours"] <= best["high"]
    assert other["difference"] == pytest.approx(other["ours"] - best["ours"], abs=1e-3)
    assert best["difference"] is None
    lines = list(csv.DictReader((output / "poolings.csv").open()))
    assert len(lines) == len(record["cells"]) == 14
    assert float(lines[0]["ours"]) == best["ours"]


def test_what_is_finished_stays_and_what_is_gone_is_made_again(made, rp3d_like):
    output = made.files[0].parent
    before = state_of(output)
    table = made.table.to_markdown()
    again = reproduce_grid(GRID, str(rp3d_like), settings(output, seeds=2), overrides=QUICK)
    assert again.table.to_markdown() == table
    assert state_of(output) == before
    gone = made.table.runs["Mean",][0] / "metrics.json"
    gone.unlink()
    again = reproduce_grid(GRID, str(rp3d_like), settings(output, seeds=2), overrides=QUICK)
    assert again.table.to_markdown() == table
    changed = {path for path, time in state_of(output).items() if before.get(path) != time}
    assert {path.parent for path in changed} == {gone.parent}


def test_knowledge_needs_a_text_encoder(tmp_path):
    grid = Grid("one", "One", ("",), (GridRow(("",), READER),))
    with pytest.raises(InputError, match="one has models with knowledge enhancement: name the"):
        reproduce_grid(grid, "nowhere", settings(tmp_path / "out"))
    assert not (tmp_path / "out").exists()
