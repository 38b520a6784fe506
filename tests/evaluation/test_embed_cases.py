"""Embeddings of a data set: whose they are, what the model says, and resuming."""

import json
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from sklearn.neighbors import KNeighborsClassifier

from raddiag_hf.checkpoints.loading import load_model
from raddiag_hf.core.errors import InputError
from raddiag_hf.core.run_folder import RunFolderError
from raddiag_hf.data.opening import open_cases
from raddiag_hf.data.store.case_writer import BuiltCase
from raddiag_hf.evaluation.embed_cases import METADATA_KEY, embed_cases
from raddiag_hf.evaluation.embedding_settings import EmbeddingSettings, Level
from raddiag_hf.vocabulary import Split
from tests.fixtures.cases import LABELS, make_case, numbered, write_store
from tests.fixtures.finetuning import write_visible_store
from tests.fixtures.saved_models import save_tiny_model


class Killed(BaseException):
    """The process ends here."""


def picture_case(number):
    case = make_case(number)
    scans = tuple(
        replace(one, scan=replace(one.scan, volume=one.scan.volume[:1]), key_slice=-1)
        for one in case.scans
    )
    return BuiltCase(replace(case, scans=scans))


HERE = EmbeddingSettings(num_workers=0)


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    folder = save_tiny_model(tmp_path_factory.mktemp("model") / "model")
    return load_model(str(folder), device="cpu")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "cases"
    write_visible_store(folder, train=10, validation=3, test=4)
    return open_cases(folder)


@pytest.fixture(scope="module")
def tables(loaded, data, tmp_path_factory):
    files = embed_cases(loaded, data, tmp_path_factory.mktemp("out") / "out", HERE)
    return {path.stem: pq.read_table(path) for path in files}


def partly_labelled_case(number):
    case = picture_case(number).case
    unknown = [(), ("Hip fracture",), LABELS.names][number]
    labels = () if number == 2 else case.labels["labels"]
    return BuiltCase(replace(case, labels={"labels": labels}, unknown_labels={"labels": unknown}))


def test_unknown_labels_of_a_case_stand_beside_its_labels(loaded, tables, tmp_path):
    write_store(
        tmp_path / "d",
        {Split.TRAIN: numbered(range(3))},
        build_case=partly_labelled_case,
        unknown_in=("labels",),
    )
    embed_cases(loaded, open_cases(tmp_path / "d"), tmp_path / "out", HERE)
    table = pq.read_table(tmp_path / "out" / "cases.parquet")
    assert table["labels"].to_pylist() == [["Normal"], ["Pneumothorax"], None]
    assert table["unknown_labels"].to_pylist() == [[], ["Hip fracture"], [*LABELS.names]]
    assert "unknown_labels" not in tables["cases"].column_names


def test_every_case_scan_and_slice_has_one_row(tables, data):
    known = [one.metadata for one in data.values()]
    assert tables["cases"]["case_id"].to_pylist() == [one for m in known for one in m.case_ids]
    assert len(tables["scans"]) == sum(len(one.scan_cases) for one in known)
    assert len(tables["slices"]) == sum(int(one.scan_depths.sum()) for one in known)
    assert set(tables["cases"]["split"].to_pylist()) == {"train", "validation", "test"}


def test_an_embedding_is_what_the_model_says_of_the_case(tables, data, loaded):
    case = data["test"].pack(loaded.processor)[2]
    names = ("pixel_values", "slice_counts", "scan_counts", "modality_slots")
    with torch.inference_mode():
        expected = loaded.model.base_model(**{name: case[name] for name in names})
    cases, scans = tables["cases"].to_pylist(), tables["scans"].to_pylist()
    case_id = data["test"].metadata.case_ids[2]
    (row,) = [one for one in cases if one["case_id"] == case_id]
    np.testing.assert_allclose(row["embedding"], expected.pooler_output[0], atol=1e-4)
    found = [one["embedding"] for one in scans if one["case_id"] == case_id]
    np.testing.assert_allclose(found, expected.scan_embeddings, atol=1e-4)


def test_the_files_say_what_made_them_and_carry_labels(tables, data):
    content = json.loads(tables["cases"].schema.metadata[METADATA_KEY.encode()])
    assert (content["format"], content["level"]) == (1, "case")
    assert content["data_fingerprint"] == data.fingerprint
    names, train = data.label_set.names, data["train"]
    expected = [[names[one] for one in np.flatnonzero(row)] for row in train.labels]
    assert tables["cases"]["labels"].to_pylist()[: len(train)] == expected


def test_neighbours_run_on_them(tables):
    rows = tables["cases"].to_pylist()
    x = np.array([row["embedding"] for row in rows])
    y = [row["labels"][0] for row in rows]
    assert KNeighborsClassifier(1).fit(x, y).score(x, y) == 1.0


def test_a_killed_run_resumes_and_another_is_refused(loaded, data, tmp_path, monkeypatch):
    monkeypatch.setattr("raddiag_hf.evaluation.embed_cases.BLOCK_CASES", 4)

    def kill(what, done, total):
        if done >= 8:
            raise Killed

    with pytest.raises(Killed):
        embed_cases(loaded, data, tmp_path / "out", HERE, kill)
    parts = sorted((tmp_path / "out" / ".work").glob("case-*.parquet"))
    written = {path: path.stat().st_mtime_ns for path in parts}
    assert len(written) == 2
    told = []
    files = embed_cases(loaded, data, tmp_path / "out", HERE, lambda *step: told.append(step))
    assert told[-1] == ("Embedding cases", 17, 17)
    assert len(pq.read_table(files[0])) == 17
    with pytest.raises(RunFolderError, match="differs in levels"):
        embed_cases(loaded, data, tmp_path / "out", EmbeddingSettings(level=("case",)))


def test_encoders_of_whole_scans_have_no_slices(data, tmp_path):
    folder = save_tiny_model(tmp_path / "model", encoder_type="resnet")
    loaded = load_model(str(folder), device="cpu")
    files = embed_cases(loaded, data, tmp_path / "out", HERE)
    assert [path.name for path in files] == ["cases.parquet", "scans.parquet"]
    with pytest.raises(InputError, match="level is slice, but the encoder"):
        embed_cases(loaded, data, tmp_path / "no", EmbeddingSettings(level=(Level.SLICE,)))


def test_pictures_that_are_read_as_three_slices_have_three_rows(data, loaded, tmp_path):
    """As the processor of the authors' early-fusion checkpoints reads them."""
    folder = save_tiny_model(tmp_path / "model")
    settings = json.loads((folder / "preprocessor_config.json").read_text())
    settings["grey_picture_slices"] = 3
    (folder / "preprocessor_config.json").write_text(json.dumps(settings))
    items = {"train": numbered(range(3))}
    write_store(tmp_path / "pictures", items, build_case=picture_case)
    pictures = open_cases(tmp_path / "pictures")
    loaded = load_model(str(folder), device="cpu")
    *_, slices = embed_cases(loaded, pictures, tmp_path / "out", HERE)
    table = pq.read_table(slices)
    assert len(table) == 3 * len(pictures["train"].metadata.scan_cases)
    assert set(table["slice"].to_pylist()) == {0}
