"""`raddiag diagnose --model` with the Hub id of the authors' repository, from a stand-in Hub.

The commands run in a process of their own, because the Hub's address counts only when it is set
before huggingface_hub is imported; in one process, because importing torch is what takes the time.
"""

import json
import os
import subprocess
import sys

from raddiag_hf.checkpoints.training_domain import TrainingDomain
from raddiag_hf.checkpoints.training_kinds import TrainingKind, TrainingKinds
from raddiag_hf.vocabulary import Anatomy, Modality
from tests.fixtures.hub_standin import HubStandIn
from tests.fixtures.saved_models import (
    AUTHORS_FOLDER,
    LABELS,
    authors_repository,
    save_tiny_model,
)

MODEL = "QiaoyuZheng/RP3D-DiagModel"
CHECKPOINT = f"{AUTHORS_FOLDER}/pytorch_model.bin"
RUN_IN_TURN = """
import contextlib, io, json, sys
from raddiag_hf.cli.main import main

for arguments in json.load(sys.stdin):
    with contextlib.redirect_stdout(io.StringIO()) as out:
        with contextlib.redirect_stderr(io.StringIO()) as err:
            code = main(arguments)
    print(json.dumps({"code": code, "out": out.getvalue(), "err": err.getvalue()}))
"""


def diagnose(hub, cache, scan, *options, token=None):
    """Diagnose one scan with each of the options in turn, with one cache for all."""
    process = subprocess.run(
        [sys.executable, "-c", RUN_IN_TURN],
        input=json.dumps([["diagnose", str(scan), "--json", *each] for each in options]),
        env=os.environ | hub.environment(cache, token) | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    return [json.loads(line) for line in process.stdout.splitlines()]


def test_a_saved_model_brings_what_it_was_trained_on(scan_folder, tmp_path):
    folder = save_tiny_model(tmp_path / "ours")
    TrainingDomain(
        TrainingKinds((TrainingKind(Modality.XRAY, Anatomy.CHEST, scans=9, cases=9),))
    ).save(folder)
    with HubStandIn() as hub:
        hub.add("model", "owner/ours", {one.name: one.read_bytes() for one in folder.iterdir()})
        told, refused = diagnose(
            hub,
            tmp_path / "cache",
            scan_folder / "ct.dcm",
            ["--model", "owner/ours"],
            ["--model", "owner/ours", "--strict"],
        )
    assert json.loads(told["out"])["domain"]["trained_on"] == "X-ray, Chest (9)"
    assert (refused["code"], refused["out"]) == (2, "")
    assert "never saw in training" in refused["err"]


def test_the_authors_model_is_fetched_converted_and_cached(scan_folder, tmp_path):
    nameless = {key: value for key, value in authors_repository().items() if "label" not in key}
    with HubStandIn(tokens={"hf_alice": "alice"}) as hub:
        repository = hub.add("model", MODEL, authors_repository())
        hub.add("model", "owner/nameless", nameless)
        hub.add("model", "owner/gated", authors_repository(), gated=True)
        first, second, without_labels, gated = diagnose(
            hub,
            tmp_path / "cache",
            scan_folder / "ct.dcm",
            ["--model", MODEL],
            ["--model", f"{MODEL}:{AUTHORS_FOLDER}"],
            ["--model", "owner/nameless"],
            ["--model", "owner/gated"],
            token="hf_alice",
        )
        downloads = hub.downloads()

    assert sorted(downloads) == sorted([CHECKPOINT, "disorder_label_dict.json"])
    assert (first["code"], second["code"]) == (0, 0)
    record = json.loads(first["out"])
    assert {finding["label"] for finding in record["findings"]} == set(LABELS)
    assert record["provenance"]["model_id"] == MODEL
    assert record["provenance"]["model_revision"] == repository.references["main"]
    assert json.loads(second["out"])["findings"] == record["findings"]

    assert (without_labels["code"], without_labels["out"]) == (2, "")
    assert "github.com/qiaoyu-zheng/RP3D-Diag" in without_labels["err"]
    assert (gated["code"], gated["out"]) == (2, "")
    assert gated["err"].startswith("raddiag: owner/gated: access is restricted")
    for answer in (without_labels, gated):
        assert answer["err"].count("\n") == 1
        assert "hf_alice" not in answer["err"]
