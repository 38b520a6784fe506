"""Every table and figure on a miniature of RP3D-DiagDS, and one that is killed half-way."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from raddiag_hf.cli.main import main
from raddiag_hf.reproduce.grids import all_grids
from tests.fixtures.rp3d_miniature import build_rp3d_miniature
from tests.fixtures.text_encoders import tiny_text_encoder

pytestmark = pytest.mark.slow
QUICK = ("training.use_cpu=true", "training.disable_tqdm=true")


@pytest.fixture(scope="module")
def miniature(tmp_path_factory):
    return build_rp3d_miniature(tmp_path_factory.mktemp("rp3d"))


def arguments(name, cases, output, *more):
    return [
        *(
            "reproduce",
            name,
            *QUICK,
            *map(str, more),
            "--data",
            str(cases),
            "--output",
            str(output),
        ),
        *("--scale", "miniature", "--resamples", "10", "--num-workers", "0"),
    ]


def test_everything_runs(miniature, tmp_path):
    tiny_text_encoder().save_pretrained(tmp_path / "encoder")
    output = tmp_path / "out"
    more = ["training.max_steps=2", "--text-encoder", tmp_path / "encoder"]
    assert main(arguments("all", miniature, output, *more)) == 0
    for grid in all_grids():
        cells = json.loads((output / f"{grid.name}.json").read_text())["cells"]
        for row in grid.rows:
            of_row = [cell for cell in cells if tuple(cell["words"]) == row.words]
            assert any(cell["ours"] is not None for cell in of_row), (grid.name, row.words)
        if "figure" in grid.name:
            assert (output / f"{grid.name}.png").stat().st_size > 4000
    assert len(list((output / "trainings").iterdir())) == 22


def test_a_killed_run_ends_with_the_same_numbers(miniature, tmp_path):
    name = "supplementary-table2"
    more = ["training.save_strategy=steps", "training.save_steps=3", "training.eval_steps=3"]
    more += ["training.max_steps=30"]
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert main(arguments(name, miniature, whole, *more)) == 0
    resumable = arguments(name, miniature, killed, *more)
    process = subprocess.Popen(
        [sys.executable, "-m", "raddiag_hf.cli.main", *resumable],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 120
    while not list(killed.glob("trainings/*/checkpoint-*")) and time.monotonic() < deadline:
        assert process.poll() is None, "the command ended before it was killed"
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not list(killed.glob("trainings/*/model")), "the command ended before it was killed"
    assert main(resumable) == 0
    tables = [json.loads((one / f"{name}.json").read_text())["cells"] for one in (whole, killed)]
    assert tables[0] == tables[1]
