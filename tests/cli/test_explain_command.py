"""`raddiag explain`, and `raddiag diagnose --explain`."""

import json

import nibabel
import pytest

from tests.fixtures.saved_models import LABELS


@pytest.fixture
def explain(run, model_folder, scan_folder):
    """Explain the CT slice, or other scans, with few masks."""

    def explain(*arguments, scans=None):
        given = [scan_folder / "ct.dcm"] if scans is None else scans
        return run("explain", *given, "-m", model_folder, "--masks", "4", *arguments)

    return explain


def test_pictures_maps_and_record_are_written(explain, scan_folder, tmp_path):
    scans = ["--scan", f"mri={scan_folder / 'knee.npy'}", scan_folder / "ct.dcm"]
    code, out, err = explain("--output", tmp_path / "why", scans=scans)
    assert code == 0
    assert f"Explanation: {tmp_path / 'why' / 'explanation.json'}" in err
    record = json.loads((tmp_path / "why" / "explanation.json").read_text())
    assert record["label"] in LABELS
    assert record["label"] in out
    assert record["method"]["max_masks"] == 4
    assert [scan["modality"] for scan in record["scans"]] == ["CT", "MRI"]
    for scan in record["scans"]:
        assert all((tmp_path / "why" / name).is_file() for name in scan["overlays"])
    ct, knee = (nibabel.load(tmp_path / "why" / scan["map"]) for scan in record["scans"])
    assert ct.shape == (128, 128, 1)
    assert knee.shape == (64, 64, 12)
    assert [scan["map_position_known"] for scan in record["scans"]] == [True, False]


def test_a_label_is_explained_by_name(explain, tmp_path):
    code, out, _ = explain("--label", "meningioma", "--json", "--chunk-size", "2", "-o", tmp_path)
    assert code == 0
    assert json.loads(out)["label"] == "Meningioma"
    assert json.loads(out) == json.loads((tmp_path / "explanation.json").read_text())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--label", "Mumps"), "no label 'Mumps' among its 5"),
        (("--masks", "0"), "--masks"),
        (("--scan", "ct="), "expected MODALITY=PATH"),
    ],
)
def test_bad_input_is_answered_in_one_line(explain, tmp_path, arguments, message):
    code, out, err = explain("-o", tmp_path / "out", *arguments)
    assert (code, out) == (2, "")
    assert message in err
    assert "Traceback" not in err
    assert not (tmp_path / "out").exists()


def test_an_explanation_needs_a_folder(explain):
    code, _, err = explain()
    assert code == 2
    assert "--output" in err


def test_a_diagnosis_is_explained_in_its_report(run, model_folder, scan_folder, tmp_path):
    code, out, _ = run(
        "diagnose",
        scan_folder / "ct.dcm",
        "-m",
        model_folder,
        "-o",
        tmp_path,
        "--explain",
        "--json",
    )
    assert code == 0
    leading = json.loads(out)["findings"][0]["label"]
    assert json.loads((tmp_path / "explanation.json").read_text())["label"] == leading
    html = (tmp_path / "report.html").read_text()
    assert f"Where “{leading}” comes from" in html
    assert html.count("The same with its heat map") == 1
    assert {path.suffix for path in (tmp_path / "overlays").iterdir()} == {".png", ".gz"}


def test_explaining_a_diagnosis_needs_a_folder(run, model_folder, scan_folder):
    code, _, err = run("diagnose", scan_folder / "ct.dcm", "-m", model_folder, "--explain")
    assert code == 2
    assert "--output" in err


def test_names_of_files_reach_no_output(explain, scan_folder, tmp_path):
    secret = tmp_path / "ZZSECRET.npy"
    secret.write_bytes((scan_folder / "knee.npy").read_bytes())
    code, out, _ = explain("-o", tmp_path / "out", "--json", scans=["--scan", f"mri={secret}"])
    assert code == 0
    assert "ZZSECRET" not in out
    for path in (tmp_path / "out").rglob("*"):
        assert "ZZSECRET" not in path.name
        assert path.is_dir() or b"ZZSECRET" not in path.read_bytes()
