"""One case: one patient, no scan twice, modalities known, and no name of anybody in its record."""

import json
from dataclasses import replace

import nibabel
import numpy as np
import pytest

from raddiag_hf import RadDiagImageProcessor, diagnose_case, explain_case, read_case, read_scans
from raddiag_hf.checkpoints.loading import load_model
from raddiag_hf.imaging.reading import Rejected
from raddiag_hf.inference.case import CaseError, CaseReading, as_case, pack_case
from raddiag_hf.inference.case_files import write_case_files, write_explanation_files
from raddiag_hf.inference.embedding import embed_case
from raddiag_hf.inference.explain.saliency import ScoreCamSettings
from raddiag_hf.vocabulary import Anatomy, Modality
from tests.fixtures.cases import make_scan
from tests.fixtures.dicom_files import numbered_slices, write_dicom, write_series
from tests.fixtures.models import tiny_model
from tests.fixtures.saved_models import label_names, save_tiny_model

NAME = "JOHN_DOE_1970"
PROCESSOR = RadDiagImageProcessor(image_size=32, max_slices=8)
FEW = ScoreCamSettings(max_masks=2)


@pytest.fixture(scope="module")
def model():
    return tiny_model(**label_names())


@pytest.fixture
def named_files(tmp_path):
    """A NIfTI file and a folder of DICOM, both called after the patient."""
    folder = tmp_path / f"{NAME}_visit"
    random = np.random.default_rng(0)
    volume = random.normal(size=(40, 40, 4)).astype(np.float32)
    path = tmp_path / f"{NAME}.nii.gz"
    nibabel.save(nibabel.Nifti1Image(volume, np.diag([1.0, 1.0, 4.0, 1.0])), path)
    write_series(folder, numbered_slices(4), PatientName=NAME, PatientID=f"{NAME}-1")
    return [path, folder]


@pytest.fixture
def two_patients(tmp_path):
    """A folder with a series of each of two patients."""
    write_series(tmp_path / "study" / "a", numbered_slices(3), PatientID="A", SeriesNumber=1)
    write_series(tmp_path / "study" / "b", 2 * numbered_slices(3), PatientID="B", SeriesNumber=2)
    return tmp_path / "study"


def content(folder):
    return {path.relative_to(folder): path.read_bytes() for path in sorted(folder.rglob("*.*"))}


def without_times(record):
    return record | {"provenance": record["provenance"] | {"seconds": 0, "created_at": ""}}


def test_a_patients_name_in_paths_reaches_no_output(model, named_files, tmp_path):
    case = read_case(named_files, ["mri", None])
    diagnosis = diagnose_case(model, PROCESSOR, case)
    explanation = explain_case(model, PROCESSOR, case, settings=FEW)
    output = tmp_path / "out"
    write_case_files(output, diagnosis, case.scans, explanation)
    write_explanation_files(output, explanation, case.scans)
    assert diagnosis.scans[0].scan_id == "MRI"
    for path, written in content(output).items():
        assert NAME not in str(path)
        assert NAME.encode() not in written


def test_scans_that_were_read_one_by_one_are_named_as_neutrally(model, named_files):
    file, folder = named_files
    scans = [*read_scans(file, modality=Modality.MRI).scans, *read_scans(folder).scans]
    assert scans[0].scan_id == NAME
    for answer in (
        diagnose_case(model, PROCESSOR, scans),
        explain_case(model, PROCESSOR, scans, settings=FEW),
    ):
        assert NAME not in json.dumps(answer.to_dict())
    assert diagnose_case(model, PROCESSOR, scans).scans[0].scan_id == "MRI"


def test_python_and_the_command_line_give_one_record(tmp_path, named_files, capsys):
    from raddiag_hf.cli.main import main

    folder = save_tiny_model(tmp_path / "model")
    file, series = named_files
    arguments = ["diagnose", str(series), "--scan", f"mri={file}", "--model", str(folder), "--json"]
    assert main(arguments) == 0
    printed = json.loads(capsys.readouterr().out)
    loaded = load_model(str(folder))
    case = read_case([series, file], [None, Modality.MRI])
    diagnosis = diagnose_case(loaded.model, loaded.processor, case, model_id=loaded.model_id)
    record = json.loads(json.dumps(diagnosis.to_dict()))
    assert without_times(record) == without_times(printed)


@pytest.mark.parametrize("answer", [diagnose_case, explain_case, embed_case])
def test_scans_of_two_patients_are_no_case(model, two_patients, answer):
    with pytest.raises(CaseError, match=r"of one patient, but the DICOM tags .* name 2"):
        answer(model, PROCESSOR, read_scans(two_patients).scans)


def test_a_folder_of_two_patients_is_no_case(two_patients, tmp_path, capsys):
    from raddiag_hf.cli.main import main

    with pytest.raises(CaseError, match="of one patient"):
        read_case(two_patients)
    folder, output = save_tiny_model(tmp_path / "model"), tmp_path / "out"
    capsys.readouterr()  # the bar of saving, where no other test has turned bars off
    code = main(["diagnose", str(two_patients), "--model", str(folder), "--output", str(output)])
    err = capsys.readouterr().err
    assert (code, err.count("\n")) == (2, 1)
    assert "a case is of one patient" in err
    assert not output.exists()


def test_two_patients_in_one_series_are_not_made_into_one_volume(tmp_path):
    for number, pixels in enumerate(numbered_slices(6)):
        write_dicom(
            tmp_path / f"{number}.dcm", pixels, InstanceNumber=number, PatientID="AB"[number % 2],
            ImagePositionPatient=[0, 0, number],
        )  # fmt: skip
    scans = read_scans(tmp_path).scans
    assert [len(scan.volume) for scan in scans] == [3, 3]
    with pytest.raises(CaseError, match="name 2"):
        as_case(scans)


def test_a_series_of_which_some_files_lost_the_patient_stays_whole(tmp_path):
    for number, pixels in enumerate(numbered_slices(4)):
        write_dicom(
            tmp_path / f"{number}.dcm", pixels, InstanceNumber=number,
            PatientID="A" if number else "", ImagePositionPatient=[0, 0, number],
        )  # fmt: skip
    (scan,) = read_scans(tmp_path).scans
    assert len(scan.volume) == 4


def test_scans_of_two_studies_are_numbered_and_rescaled_apart(tmp_path, model):
    for study, brightness in (("1.2.77", 1), ("1.2.78", 40)):
        write_series(
            tmp_path / str(brightness), brightness * numbered_slices(3),
            StudyInstanceUID=study, SeriesInstanceUID=f"{study}.1",
        )  # fmt: skip
    processor = RadDiagImageProcessor(image_size=32, max_slices=8, rescale_range="padded_study")
    scans = read_case(tmp_path).scans
    batch = pack_case(model, processor, scans)
    assert batch["modality_slots"].tolist() == [1, 1]
    tops = [float(scan.max()) for scan in batch["pixel_values"].split([3, 3])]
    assert tops == [1, 1]
    assert "1.2.77" not in repr(scans[0])


def test_a_patients_key_is_not_a_plain_digest_of_the_id(tmp_path):
    from hashlib import sha256

    scan = read_scans(write_dicom(tmp_path / "a.dcm", numbered_slices(1)[0])).scans[0]
    assert scan.patient_key
    assert scan.patient_key != sha256(b"MRN-4711").hexdigest()
    assert "MRN-4711" not in repr(scan)


def test_a_scan_that_is_named_twice_is_read_once(named_files):
    file, folder = named_files
    case = read_case([file, folder, folder, file], ["mri", None, None, "mri"])
    assert [scan.modality for scan in case.scans] == [Modality.MRI, Modality.CT]
    assert case.repeated == (folder, file)


def test_the_same_scan_twice_is_no_case():
    scan = make_scan(0)
    with pytest.raises(CaseError, match="scan-0: the same scan is in the case twice"):
        as_case([scan, replace(scan)])


def test_equal_ids_are_numbered_and_chosen_ids_stay():
    scans = [make_scan(number, scan_id=name) for number, name in enumerate(["a", "a", "", ""])]
    assert [scan.scan_id for scan in as_case(scans).scans] == ["a", "a-2", "CT", "CT-2"]
    chosen = replace(scans[0], scan_id="left", provenance={"path": "/x/doe.nii", "format": "nifti"})
    assert as_case([chosen]).scans[0].scan_id == "left"


def test_a_modality_that_nothing_tells_is_asked_for(named_files):
    with pytest.raises(CaseError, match="nothing in it says what made it"):
        read_case(named_files)
    with pytest.raises(ValueError, match="1 modalities for 2 paths"):
        read_case(named_files, ["mri"])
    with pytest.raises(CaseError, match="no scan"):
        read_case([])


def test_of_a_folder_the_files_are_named_that_do_not_say_what_made_them(named_files):
    _, folder = named_files
    arrays = [folder / "a.npy", folder / "b.npy"]
    for number, path in enumerate(arrays):
        np.save(path, np.random.default_rng(number).normal(size=(40, 40)).astype(np.float32))
    with pytest.raises(CaseError) as refusal:
        read_case(folder)
    message = str(refusal.value)
    assert message.startswith(f"{arrays[0]}, {arrays[1]}: nothing in it says")
    assert f"--scan ct={arrays[0]})" in message
    case = read_case([folder, *arrays], [None, "xray", "mri"])
    assert [scan.modality for scan in case.scans] == [Modality.CT, Modality.XRAY, Modality.MRI]


def test_one_path_and_one_modality_may_stand_alone(named_files):
    (scan,) = read_case(named_files[0], "mr", anatomy="knee").scans
    assert (scan.modality, scan.anatomy) == (Modality.MRI, Anatomy.parse("knee"))


def test_files_that_were_left_out_are_counted_without_their_names(named_files):
    (named_files[1] / f"{NAME}.txt").write_text("a letter")
    case = read_case(named_files[1])
    assert [type(rejected) for rejected in case.rejected] == [Rejected]
    assert case.warnings == ["1 file was left out: unknown format (1)."]
    assert CaseReading(case.scans).warnings == []
