"""`raddiag diagnose --model` with the Hub id of the authors' repository, from a stand-in Hub."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fixtures.hub_standin import HubStandIn
from tests.fixtures.saved_models import AUTHORS_FOLDER, LABELS, authors_repository

SCRIPT = Path(sys.executable).with_name("raddiag")
MODEL = "QiaoyuZheng/RP3D-DiagModel"
CHECKPOINT = f"{AUTHORS_FOLDER}/pytorch_model.bin"


@pytest.fixture
def hub():
    with HubStandIn() as running:
        yield running


@pytest.fixture
def diagnose(hub, scan_folder, tmp_path):
    """Run the installed command against the stand-in, with one cache for the whole test."""

    def run():
        return subprocess.run(
            [SCRIPT, "diagnose", scan_folder / "ct.dcm", "--json", "--model", MODEL],
            env=os.environ | hub.environment(tmp_path / "cache") | {"OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def test_the_authors_model_is_fetched_converted_and_cached(hub, diagnose):
    repository = hub.add("model", MODEL, authors_repository())
    first = diagnose()
    assert first.returncode == 0, first.stderr
    record = json.loads(first.stdout)
    assert {finding["label"] for finding in record["findings"]} == set(LABELS)
    assert record["provenance"]["model_id"] == MODEL
    assert record["provenance"]["model_revision"] == repository.references["main"]
    assert sorted(hub.downloads()) == sorted([CHECKPOINT, "disorder_label_dict.json"])

    second = diagnose()
    assert second.returncode == 0, second.stderr
    assert json.loads(second.stdout)["findings"] == record["findings"]
    assert len(hub.downloads()) == 2


@pytest.mark.slow
def test_without_label_names_nothing_is_downloaded(hub, diagnose):
    files = authors_repository()
    del files["disorder_label_dict.json"]
    hub.add("model", MODEL, files)
    refused = diagnose()
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "github.com/qiaoyu-zheng/RP3D-Diag" in refused.stderr
    assert refused.stderr.count("\n") == 1
    assert hub.downloads() == []
