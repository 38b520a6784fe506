"""`raddiag evaluate --dataset NAMESPACE/NAME`, from a stand-in Hub.

In a process of its own, because the Hub's address counts only when it is set before
huggingface_hub is imported.
"""

import json
import os
import subprocess
import sys

import pytest

from tests.fixtures.evaluation_data import save_evaluation_model, write_evaluation_data
from tests.fixtures.hub_standin import HubStandIn

EVALUATE = """
import contextlib, io, json, sys
from raddiag_hf.cli.main import main

for arguments in json.loads(sys.argv[1]):
    with contextlib.redirect_stdout(io.StringIO()) as out:
        with contextlib.redirect_stderr(io.StringIO()) as err:
            code = main(["evaluate", *arguments])
    print("ANSWER", json.dumps({"code": code, "out": out.getvalue(), "err": err.getvalue()}))
"""


@pytest.mark.slow
def test_a_data_set_on_the_hub_is_evaluated_by_its_one_split(tmp_path):
    folder = write_evaluation_data(tmp_path / "cases")
    model = save_evaluation_model(tmp_path / "model")
    files = {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }

    def command(dataset):
        return [
            *("--model", str(model), "--dataset", dataset, "--output", str(tmp_path / "out")),
            *("--json", "--device", "cpu", "--resamples", "0", "--num-workers", "0"),
        ]

    commands = [command("alice/cases"), command("hf://datasets/alice/cases"), command("bob/cases")]
    with HubStandIn() as hub:
        hub.add("dataset", "alice/cases", files)
        run = subprocess.run(
            [sys.executable, "-c", EVALUATE, json.dumps(commands)],
            env=os.environ | hub.environment(tmp_path / "hub"),
            capture_output=True,
            text=True,
            check=False,
        )
        asked = {request.path for request in hub.requests}
    assert run.returncode == 0, run.stderr
    first, again, absent = (
        json.loads(line.removeprefix("ANSWER "))
        for line in run.stdout.splitlines()
        if line.startswith("ANSWER ")
    )
    assert (first["code"], again["code"]) == (0, 0), first["err"] + again["err"]
    assert json.loads(first["out"])["num_cases"] == 40
    assert json.loads(first["out"])["groups"] == json.loads(again["out"])["groups"]
    assert any("data/test-00000" in path for path in asked)
    assert not any("resolve" in path and "data/validation-00000" in path for path in asked)
    assert absent["code"] == 2
    assert "bob/cases" in absent["err"].splitlines()[-1]
    assert "Traceback" not in absent["err"]
