"""The table of predictions: what is written is read, and what is not such a table is refused."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raddiag_hf.evaluation.evaluation_settings import EvaluationInputError
from raddiag_hf.evaluation.prediction_table import PredictionTable, read_provenance


def make_table(num_cases=5, num_labels=4, seed=0, **fields) -> PredictionTable:
    random = np.random.default_rng(seed)
    return PredictionTable(
        **{
            "case_ids": tuple(f"case-{row}" for row in range(num_cases)),
            "patient_ids": tuple(f"patient-{row // 2}" for row in range(num_cases)),
            "anatomies": tuple(("Chest", None)[row % 2] for row in range(num_cases)),
            "modalities": tuple((("CT", "MRI"), ("X-ray",))[row % 2] for row in range(num_cases)),
            "labels": random.random((num_cases, num_labels)) < 0.3,
            "logits": random.normal(size=(num_cases, num_labels)).astype(np.float32),
            "label_names": tuple(f"label {column}" for column in range(num_labels)),
        }
        | fields
    )


@given(cases=st.integers(0, 9), labels=st.integers(1, 6), seed=st.integers(0, 99))
def test_what_is_written_is_read(tmp_path_factory, cases, labels, seed):
    table = make_table(cases, labels, seed)
    path = tmp_path_factory.mktemp("predictions") / "predictions.parquet"
    table.write(path)
    found = PredictionTable.read(path)
    for name in ("case_ids", "patient_ids", "anatomies", "modalities", "label_names"):
        assert getattr(found, name) == getattr(table, name)
    np.testing.assert_array_equal(found.labels, table.labels)
    np.testing.assert_array_equal(found.logits, table.logits)
    assert (found.logits.dtype, found.labels.dtype) == (np.float32, np.bool_)


@given(seed=st.integers(0, 99))
def test_unknown_labels_are_written_and_read(tmp_path_factory, seed):
    labels = make_table(seed=seed).labels
    unknown = (np.random.default_rng(seed).random(labels.shape) < 0.4) & ~labels
    table = make_table(seed=seed, unknown=unknown)
    path = tmp_path_factory.mktemp("predictions") / "predictions.parquet"
    table.write(path)
    listed = pq.read_table(path).column("unknown_labels").to_pylist()
    assert listed == [np.flatnonzero(row).tolist() for row in unknown]
    found = PredictionTable.read(path).select([3, 1])
    np.testing.assert_array_equal(found.unknown, unknown[[3, 1]])
    expected = np.where(unknown, np.nan, labels)[[3, 1]]
    np.testing.assert_array_equal(found.targets, expected)


def test_where_all_is_known_nothing_is_said_of_it(tmp_path):
    table = make_table()
    table.write(tmp_path / "predictions.parquet")
    assert "unknown_labels" not in pq.read_schema(tmp_path / "predictions.parquet").names
    found = PredictionTable.read(tmp_path / "predictions.parquet")
    assert found.unknown is None
    assert found.targets is found.labels


def test_a_label_that_is_there_and_unknown_is_refused():
    unknown = np.zeros((5, 4), bool)
    unknown[2, 1] = True
    with pytest.raises(EvaluationInputError, match="case 'case-2' has a label that is unknown too"):
        make_table(labels=unknown.copy(), unknown=unknown)


def test_a_file_of_several_row_groups_is_read_whole(tmp_path, monkeypatch):
    monkeypatch.setattr("raddiag_hf.evaluation.prediction_table._ROW_GROUP_CELLS", 8)
    table = make_table(num_cases=11)
    table.write(tmp_path / "predictions.parquet")
    assert pq.ParquetFile(tmp_path / "predictions.parquet").num_row_groups > 1
    found = PredictionTable.read(tmp_path / "predictions.parquet")
    np.testing.assert_array_equal(found.logits, table.logits)
    np.testing.assert_array_equal(found.labels, table.labels)


def test_the_provenance_is_read_without_the_table(tmp_path):
    table = make_table(provenance={"model": "owner/name"})
    table.write(tmp_path / "predictions.parquet")
    assert read_provenance(tmp_path / "predictions.parquet") == {"model": "owner/name"}
    assert PredictionTable.read(tmp_path / "predictions.parquet").provenance == table.provenance


def test_rows_are_selected_by_mask_or_number():
    table = make_table()
    mask = np.array([False, True, False, True, False])
    assert table.select(mask).case_ids == ("case-1", "case-3")
    backwards = table.select(np.array([3, 0]))
    assert backwards.anatomies == (None, "Chest")
    np.testing.assert_array_equal(backwards.logits, table.logits[[3, 0]])


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"patient_ids": ("one",)}, "patient_ids has 1 entries for 5 cases"),
        ({"labels": np.zeros((5, 4))}, "labels is float64 of shape"),
        ({"logits": np.zeros((5, 3), np.float32)}, r"shape \(5, 3\), expected float32"),
        ({"case_ids": ("a", "b", "c", "b", "d")}, "case 'b' occurs twice"),
        (
            {"logits": np.full((5, 4), np.nan, np.float32)},
            "'case-0' has a logit that is not finite",
        ),
    ],
)
def test_fields_that_do_not_fit_are_refused(fields, message):
    with pytest.raises(EvaluationInputError, match=message):
        make_table(**fields)


def test_files_that_are_no_predictions_are_refused(tmp_path):
    path = tmp_path / "predictions.parquet"
    path.write_bytes(b"not Parquet")
    with pytest.raises(EvaluationInputError, match=r"predictions.parquet: is not a table"):
        PredictionTable.read(path)
    pq.write_table(pa.table({"case_id": ["a"]}), path)
    with pytest.raises(EvaluationInputError, match="raddiag_predictions"):
        PredictionTable.read(path)
    content = {"format": 1, "label_names": ["a"], "provenance": {}}
    metadata = {"raddiag_predictions": json.dumps(content)}
    wrong = pa.table({"logits": [1.0], "labels": [[0]]}, metadata=metadata)
    pq.write_table(wrong, path)
    with pytest.raises(EvaluationInputError, match="a column is double"):
        PredictionTable.read(path)


def test_a_damaged_file_is_named(tmp_path):
    path = tmp_path / "predictions.parquet"
    make_table().write(path)
    content = bytearray(path.read_bytes())
    end = content.index(b"raddiag_predictions")
    content[4 : end // 2] = b"\xff" * (end // 2 - 4)
    path.write_bytes(content)
    with pytest.raises(EvaluationInputError, match=r"predictions.parquet: "):
        PredictionTable.read(path)


def test_a_file_that_is_missing_is_an_operating_system_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        PredictionTable.read(tmp_path / "absent.parquet")
