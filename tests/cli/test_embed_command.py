"""`raddiag embed`: tables of a model's and of a backbone's embeddings, and what is refused."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest
from sklearn.linear_model import LogisticRegression
from transformers import Dinov2Config, Dinov2Model

from raddiag_hf.evaluation.embed_cases import METADATA_KEY
from tests.fixtures.finetuning import write_visible_store
from tests.fixtures.saved_models import save_tiny_model


@pytest.fixture(scope="module")
def cases(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "cases"
    write_visible_store(folder, train=10, validation=3, test=4)
    return folder


def test_a_model_embeds_and_the_same_command_again_changes_nothing(run, cases, tmp_path):
    model, output = save_tiny_model(tmp_path / "model"), tmp_path / "out"
    command = ("embed", "-m", model, "-d", cases, "-o", output, "--device", "cpu", "--workers", "0")
    code, _, err = run(*command)
    assert code == 0, err
    written = {path: path.stat().st_mtime_ns for path in output.glob("*.parquet")}
    assert {path.name for path in written} == {"cases.parquet", "scans.parquet", "slices.parquet"}
    assert f"{output}/cases.parquet" in err
    assert run(*command)[0] == 0
    assert {path: path.stat().st_mtime_ns for path in output.glob("*.parquet")} == written


def test_a_backbone_averages_slices_and_scikit_learn_probes_its_cases(run, cases, tmp_path):
    small = Dinov2Config(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, image_size=28, patch_size=14
    )
    Dinov2Model(small).save_pretrained(tmp_path / "backbone")
    output = tmp_path / "out"
    options = ("--device", "cpu", "--workers", "0")
    code, _, err = run(
        "embed", "-m", f"backbone:{tmp_path / 'backbone'}", "-d", cases, "-o", output, *options
    )
    assert code == 0, err
    scans, slices = (pq.read_table(output / f"{one}.parquet") for one in ("scans", "slices"))
    first = scans.to_pylist()[0]
    of_scan = [
        row["embedding"]
        for row in slices.to_pylist()
        if (row["case_id"], row["scan"]) == (first["case_id"], first["scan"])
    ]
    np.testing.assert_allclose(first["embedding"], np.mean(of_scan, 0), atol=1e-4)
    table = pq.read_table(output / "cases.parquet")
    assert json.loads(table.schema.metadata[METADATA_KEY.encode()])["level"] == "case"
    train = [row for row in table.to_pylist() if row["split"] == "train"]
    x, y = [row["embedding"] for row in train], [row["labels"][0] for row in train]
    assert LogisticRegression().fit(x, y).predict(x).shape == (10,)


def test_slices_of_an_encoder_of_whole_scans_are_refused(run, cases, tmp_path):
    model = save_tiny_model(tmp_path / "model", encoder_type="resnet")
    code, _, err = run(
        "embed", "-m", model, "-d", cases, "-o", tmp_path / "out", "--level", "slice"
    )
    assert code == 2
    assert "level is slice, but the encoder" in err
    assert not (tmp_path / "out").exists()
