"""`raddiag dataset push`, and reading and streaming what it pushed.

In a process of its own, because the Hub's address counts only when it is set before
huggingface_hub is imported.
"""

import json
import os
import subprocess
import sys

from tests.fixtures.cases import write_store
from tests.fixtures.hub_standin import HubStandIn

PUSH_AND_READ = """
import contextlib, io, json, sys
from datasets import load_dataset
from raddiag_hf.cli.main import main

for arguments in json.loads(sys.argv[1]):
    with contextlib.redirect_stdout(io.StringIO()) as out:
        with contextlib.redirect_stderr(io.StringIO()) as err:
            code = main(["dataset", "push", *arguments])
    print("ANSWER", json.dumps({"code": code, "out": out.getvalue(), "err": err.getvalue()}))
options = {"split": "train", "token": "hf_alice", "cache_dir": sys.argv[2]}
for streaming in (False, True):
    cases = load_dataset("alice/cases", streaming=streaming, **options)
    names = cases.features["labels"].feature.names
    print("ANSWER", json.dumps([[row["case_id"] for row in cases], names]))

from torch.utils.data import DataLoader
from raddiag_hf.data.batches.collate import collate_cases
from raddiag_hf.data.batches.training_cases import CasePacker
from raddiag_hf.model.image_processing_raddiag import RadDiagImageProcessor

packer = CasePacker(cases.features, RadDiagImageProcessor(image_size=16))
packed = cases.map(packer, remove_columns=cases.column_names)
batches = DataLoader(packed, 8, collate_fn=collate_cases, num_workers=2)
print("ANSWER", json.dumps(sum(len(batch["labels"]) for batch in batches)))
"""


def test_what_was_pushed_is_what_datasets_reads(tmp_path):
    folder = tmp_path / "cases"
    write_store(folder)
    (folder / "rejected.csv").write_text("case_id,path,reason,found\n")
    missing = str(tmp_path / "missing")
    commands = [
        [str(folder), "--repo", "alice/cases", "--token", "hf_wrong"],
        [str(folder), "--repo", "bob/cases"],
        [str(folder), "--repo", "cases"],
        [missing, "--repo", "alice/cases"],
        [str(folder), "--repo", "alice/cases", "--private"],
        [str(folder), "--repo", "alice/cases", "--json"],
    ]
    with HubStandIn(tokens={"hf_alice": "alice"}) as hub:
        run = subprocess.run(
            [sys.executable, "-c", PUSH_AND_READ, json.dumps(commands), str(tmp_path / "cache")],
            env=os.environ | hub.environment(tmp_path / "hub", "hf_alice"),
            capture_output=True,
            text=True,
            check=False,
        )
        assert run.returncode == 0, run.stderr
        assert hub.repositories["dataset", "alice/cases"].private
    answers = [
        json.loads(line.removeprefix("ANSWER "))
        for line in run.stdout.splitlines()
        if line.startswith("ANSWER ")
    ]
    refusals, (pushed, again), read = answers[:4], answers[4:6], answers[6:8]
    for refusal, message in zip(
        refusals,
        (
            "raddiag: alice/cases: the Hub refused the token; sign in again",
            "raddiag: bob/cases: this token may not write there; it needs the role `write`",
            "raddiag: 'cases' is no name of a repository, expected namespace/name",
            f"raddiag: {missing}",
        ),
        strict=True,
    ):
        assert (refusal["code"], refusal["out"]) == (2, "")
        assert refusal["err"].startswith(message)
        assert refusal["err"].count("\n") == 1
    assert pushed["code"] == 0
    assert pushed["out"] == f"{hub.url}/datasets/alice/cases: 6 files, private\n"
    assert "left out: build.json\nleft out: rejected.csv\n" in pushed["err"]
    assert json.loads(again["out"])["left_out"] == ["build.json", "rejected.csv"]
    expected = [f"case-{number}" for number in range(40)]
    assert answers[8] == 40
    assert read == [[expected, ["Normal", "Pneumothorax", "Hip fracture"]]] * 2
    assert "hf_alice" not in run.stdout + run.stderr
    assert "hf_wrong" not in run.stdout + run.stderr
