"""`raddiag diagnose`: what it prints and writes, and one line for every bad input."""

import hashlib
import json
import os
import shutil

import nibabel
import numpy as np
import pydicom.data
import pytest
import torch

from raddiag_hf.checkpoints.training_domain import TrainingDomain
from raddiag_hf.checkpoints.training_kinds import TrainingKind, TrainingKinds
from raddiag_hf.vocabulary import Anatomy, Modality
from tests.fixtures.dicom_files import numbered_slices, write_series
from tests.fixtures.saved_models import LABELS, save_tiny_model


def test_the_table_shows_findings_and_scans(run, model_folder, scan_folder):
    knee, film = scan_folder / "knee.npy", scan_folder / "film.png"
    code, out, err = run(
        "diagnose", scan_folder / "ct.dcm", "--scan", f"mri={knee}", "--scan", f"x-ray={film}",
        "--model", model_folder, "--top", "3",
    )  # fmt: skip
    assert (code, err) == (0, "")
    assert sum(label in out for label in LABELS) == 3
    assert "8 of 12" in out
    assert all(modality in out for modality in ("CT", "MRI", "X-ray"))
    assert out.count("Research software, not a medical") == 1


def test_json_is_all_there_is_on_standard_output(run, model_folder, scan_folder):
    code, out, _ = run("diagnose", scan_folder / "ct.dcm", "-m", model_folder, "--json")
    record = json.loads(out)
    assert code == 0
    assert {finding["label"] for finding in record["findings"]} == set(LABELS)
    assert record["scans"][0]["modality"] == "CT"
    assert record["provenance"]["model_id"] == model_folder.name


@pytest.mark.parametrize("verb", ["diagnose", "explain"])
def test_no_name_place_or_digest_of_an_identifier_is_put_out(run, model_folder, tmp_path, verb):
    uid = "1.2.826.77.1"
    study = tmp_path / "Quixote_Alonso"
    for name, tags in (("first", {}), ("second", {"InstitutionName": "Quixote"})):
        slices = numbered_slices(3) + len(name)
        write_series(study / name, slices, SeriesInstanceUID=f"{uid}.{len(name)}", **tags)
    out_folder = tmp_path / "out"
    code, out, err = run(verb, study, "-m", model_folder, "-o", out_folder, "--json")
    assert code == 0
    told = out + err.replace(str(out_folder), "")
    written = [path for path in out_folder.rglob("*") if path.is_file()]
    told += "".join(path.read_bytes().decode("latin-1") for path in written)
    told += "".join(path.name for path in written)
    forbidden = ["Quixote", uid, str(tmp_path), str(model_folder.parent)]
    for text in (f"{uid}.5", f"{uid}.6", str(study)):
        forbidden += [
            hashlib.new(name, text.encode()).hexdigest()[:12] for name in ("sha256", "sha1", "md5")
        ]
    assert [one for one in forbidden if one in told] == []
    assert [scan["scan_id"] for scan in json.loads(out)["scans"]] == ["CT", "CT-2"]


def test_a_folder_gives_its_files(run, model_folder, scan_folder, tmp_path):
    out_folder = tmp_path / "new" / "out"
    code, out, err = run(
        "diagnose", "--scan", f"ct={scan_folder}", "-m", model_folder, "-o", out_folder,
        "--json", "--anatomy", "knee",
    )  # fmt: skip
    assert code == 0
    assert json.loads((out_folder / "diagnosis.json").read_text()) == json.loads(out)
    assert {scan["anatomy"] for scan in json.loads(out)["scans"]} == {"Lower limb"}
    assert f"Report: {out_folder / 'report.html'}" in err
    assert sorted(os.listdir(out_folder)) == ["diagnosis.json", "report.html"]


def test_a_scan_of_a_kind_never_seen_is_told_loudly_or_refused(
    run, model_folder, scan_folder, tmp_path
):
    model = shutil.copytree(model_folder, tmp_path / "model")
    kind = TrainingKind(Modality.MRI, Anatomy.UNKNOWN, scans=9, cases=9)
    TrainingDomain(TrainingKinds((kind,))).save(model)
    code, out, _ = run("diagnose", scan_folder / "ct.dcm", "-m", model, "-o", tmp_path / "out")
    assert code == 0
    assert out.index("Before trusting this") < out.index("Finding")
    assert "Trained on: MRI (9), numbers of scans." in out
    page = (tmp_path / "out" / "report.html").read_text()
    assert page.index("never saw in training") < page.index("Most probable")
    code, out, err = run("diagnose", scan_folder / "ct.dcm", "-m", model, "--json")
    assert json.loads(out)["domain"]["kinds"][0]["was_seen"] is False
    assert "before trusting this" in err
    code, out, err = run("diagnose", scan_folder / "ct.dcm", "-m", model, "--strict")
    assert (code, out) == (2, "")
    assert "(CT): is of a kind that the model never saw in training" in err


def test_what_the_training_of_a_model_warned_of_is_told_before_its_answer(
    run, model_folder, scan_folder, tmp_path
):
    model = shutil.copytree(model_folder, tmp_path / "model")
    kind = TrainingKind(Modality.CT, Anatomy.UNKNOWN, scans=9, cases=9)
    TrainingDomain(TrainingKinds((kind,)), warnings=("all answers are the same",)).save(model)
    told = "The training of this model warned: all answers are the same."
    code, out, _ = run("diagnose", scan_folder / "ct.dcm", "-m", model, "-o", tmp_path / "out")
    assert code == 0
    out = " ".join(out.split())
    assert out.index(f"Before trusting this: {told}") < out.index("Finding")
    page = (tmp_path / "out" / "report.html").read_text()
    assert page.index("Before trusting this") < page.index(told) < page.index("Most probable")
    code, out, err = run("diagnose", scan_folder / "ct.dcm", "-m", model, "--json")
    assert json.loads(out)["warnings"][0] == told
    assert f"before trusting this: {told}" in err


def test_a_model_that_does_not_say_what_it_was_trained_on_says_so_once(
    run, model_folder, scan_folder
):
    code, out, err = run("diagnose", scan_folder / "ct.dcm", "-m", model_folder)
    assert (code, err) == (0, "")
    assert out.count("Trained on: the model does not say") == 1
    code, _, err = run("diagnose", scan_folder / "ct.dcm", "-m", model_folder, "--strict")
    assert code == 2
    assert f"{model_folder}: does not say what it was trained on" in err


def test_an_earlier_cases_explanation_is_removed(run, model_folder, scan_folder, tmp_path):
    (tmp_path / "overlays").mkdir()
    for name in ("explanation.json", "overlays/scan-1-mri.nii.gz", "notes.txt"):
        (tmp_path / name).write_text("of another case")
    code, _, _ = run("diagnose", scan_folder / "ct.dcm", "-m", model_folder, "-o", tmp_path)
    assert code == 0
    assert sorted(os.listdir(tmp_path)) == ["diagnosis.json", "notes.txt", "report.html"]


def test_a_scan_named_twice_is_read_once(run, model_folder, scan_folder, tmp_path):
    copy = tmp_path / "ct.dcm"
    copy.write_bytes((scan_folder / "ct.dcm").read_bytes())
    _, out, err = run("diagnose", scan_folder / "ct.dcm", copy, "--model", model_folder, "--json")
    assert len(json.loads(out)["scans"]) == 1
    assert f"named twice, read once: {copy}" in err


def test_equal_voxels_in_another_place_are_another_scan(run, model_folder, tmp_path):
    voxels = np.arange(4 * 40 * 40, dtype=np.int16).reshape(40, 40, 4)
    scans = []
    for name, offset in (("here", 0), ("again", 0), ("above", 50)):
        affine = np.diag([1.0, 1.0, 4.0, 1.0])
        affine[2, 3] = offset
        nibabel.save(nibabel.Nifti1Image(voxels, affine), tmp_path / f"{name}.nii")
        scans += ["--scan", f"mri={tmp_path / name}.nii"]
    _, out, err = run("diagnose", *scans, "-m", model_folder, "--json")
    assert len(json.loads(out)["scans"]) == 2
    assert err.count("named twice") == 1


def test_names_of_files_reach_no_output(run, model_folder, scan_folder, tmp_path):
    scans = []
    for number in range(2):
        path = tmp_path / f"ZZSECRET_{number}.npy"
        knee = np.load(scan_folder / "knee.npy")
        knee[0, 0] = number  # two scans, not one named twice
        np.save(path, knee)
        scans += ["--scan", f"mri={path}"]
    output = tmp_path / "out"
    _, out, _ = run("diagnose", *scans, "--model", model_folder, "--output", output, "--json")
    assert [scan["scan_id"] for scan in json.loads(out)["scans"]] == ["MRI", "MRI-2"]
    for path in output.iterdir():
        assert "ZZSECRET" not in path.read_text()


def test_a_study_folder_gives_all_its_series(run, model_folder):
    study = os.path.join(
        os.path.dirname(pydicom.data.__file__), "test_files", "dicomdirtests", "77654033"
    )
    code, out, _ = run("diagnose", study, "-m", model_folder, "--json")
    record = json.loads(out)
    assert code == 0
    assert {scan["modality"] for scan in record["scans"]} == {"X-ray", "CT"}
    assert sum(scan["share"] for scan in record["scans"]) == pytest.approx(1)
    assert any("slices are missing" in warning for warning in record["warnings"])
    assert "77654033" not in out


def test_files_left_out_are_listed_and_counted(run, model_folder, scan_folder, tmp_path):
    (tmp_path / "ct.dcm").write_bytes((scan_folder / "ct.dcm").read_bytes())
    (tmp_path / "DOE^JANE.txt").write_text("a letter")
    code, out, err = run("diagnose", tmp_path, "-m", model_folder, "--json")
    assert code == 0
    assert "DOE^JANE.txt: unknown_format" in err
    assert json.loads(out)["warnings"] == ["1 file was left out: unknown format (1)."]
    assert "DOE" not in out


def test_chunks_and_type_are_passed_on(run, model_folder, scan_folder):
    arguments = ["diagnose", "--scan", f"ct={scan_folder / 'knee.npy'}", "-m", model_folder]
    _, whole, _ = run(*arguments, "--json")
    _, parts, _ = run(*arguments, "--json", "--chunk-size", "2")
    _, half, _ = run(*arguments, "--json", "--dtype", "bf16", "--device", "cpu")
    logits = [json.loads(out)["findings"][0]["logit"] for out in (whole, parts)]
    assert logits[0] == pytest.approx(logits[1], abs=1e-5)
    assert json.loads(half)["provenance"]["dtype"] == "bfloat16"


BAD_INPUT = {
    "no scan": ("", "no scan was named"),
    "missing file": ("{tmp}/absent.dcm", "absent.dcm: not_found"),
    "text file": ("{tmp}/notes.dcm", "notes.dcm: unknown_format"),
    "corrupt DICOM": ("{tmp}/corrupt.dcm", "corrupt.dcm: corrupt"),
    "empty folder": ("{tmp}/empty", "empty: empty"),
    "folder without scans": ("{tmp}/letters", "letters: unknown_format"),
    "unknown modality": ("{scans}/film.png", "--scan ct="),
    "misspelt modality": ("--scan ctt={scans}/ct.dcm", "'ctt' is not a modality"),
    "scan without path": ("--scan ct=", "expected MODALITY=PATH"),
    "scan without modality": ("--scan {scans}/ct.dcm", "expected MODALITY=PATH"),
    "misspelt anatomy": ("{scans}/ct.dcm --anatomy nee", "'nee' is not an anatomy"),
    "negative top": ("{scans}/ct.dcm --top -1", "--top"),
    "top in words": ("{scans}/ct.dcm --top many", "--top"),
    "chunk of nothing": ("{scans}/ct.dcm --chunk-size 0", "--chunk-size"),
    "unknown type": ("{scans}/ct.dcm --dtype fp8", "--dtype"),
    "unknown device": ("{scans}/ct.dcm --device abacus", "abacus"),
    "label file missing": ("{scans}/ct.dcm --labels {tmp}/no.json", "no.json: No such file"),
    "label file is a folder": ("{scans}/ct.dcm --labels {tmp}", "{tmp}: Is a directory"),
    "label file is not JSON": ("{scans}/ct.dcm --labels {tmp}/bad.json", "bad.json: is not JSON"),
    "other labels": ("{scans}/ct.dcm --labels {tmp}/two.txt", "has 5 labels, but 2 label names"),
    "output is a file": ("{scans}/ct.dcm --output {tmp}/two.txt", "is a file, expected a folder"),
    "output in a file": ("{scans}/ct.dcm --output {tmp}/two.txt/x", "is a file"),
    "output not writable": ("{scans}/ct.dcm --output /proc/out", "/proc"),
}
"""Arguments beside ``--model``, and a part of the one line that answers them."""


@pytest.fixture
def bad_files(scan_folder, tmp_path):
    (tmp_path / "notes.dcm").write_text("not an image")
    (tmp_path / "corrupt.dcm").write_bytes((scan_folder / "ct.dcm").read_bytes()[:20000])
    (tmp_path / "empty").mkdir()
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "a.txt").write_text("a letter")
    (tmp_path / "two.txt").write_text("Normal\nCyst\n")
    (tmp_path / "bad.json").write_text("[")
    return tmp_path


@pytest.mark.parametrize(("arguments", "message"), BAD_INPUT.values(), ids=BAD_INPUT)
def test_bad_input_is_answered_in_one_line(
    run, model_folder, scan_folder, bad_files, arguments, message
):
    places = {"tmp": bad_files, "scans": scan_folder}
    words = [word.format(**places) for word in arguments.split()]
    code, out, err = run("diagnose", *words, "--model", model_folder)
    assert (code, out) == (2, "")
    assert message.format(**places) in err
    assert err.startswith("raddiag: ")
    assert err.count("\n") == 1


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_device_that_is_not_there_is_named(run, model_folder, scan_folder):
    code, _, err = run("diagnose", scan_folder / "ct.dcm", "-m", model_folder, "--device", "cuda")
    assert (code, err) == (2, "raddiag: device 'cuda': PyTorch sees no such device here\n")


def remove_config(folder):
    (folder / "config.json").unlink()
    (folder / "model.safetensors").unlink()


def truncate_weights(folder):
    weights = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(weights[:1000])


def spoil_config(folder):
    (folder / "config.json").write_text("{")


@pytest.mark.parametrize("spoil", [remove_config, truncate_weights, spoil_config])
def test_a_bad_model_is_answered_in_one_line(run, scan_folder, tmp_path, spoil):
    folder = save_tiny_model(tmp_path / "spoilt")
    spoil(folder)
    output = tmp_path / "out"
    code, out, err = run("diagnose", scan_folder / "ct.dcm", "-m", folder, "-o", output)
    assert (code, out) == (2, "")
    assert str(folder) in err
    assert err.count("\n") == 1
    assert not output.exists()


def test_a_model_that_is_nowhere_is_answered_in_one_line(run, scan_folder):
    code, _, err = run("diagnose", scan_folder / "ct.dcm", "--model", "./absent")
    assert (code, err) == (2, "raddiag: ./absent: no such folder, and not a Hub id (owner/name)\n")
