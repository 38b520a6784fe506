"""From a hospital's files to a case data set: what is kept, what is set aside, what is refused."""

from pathlib import Path

import numpy as np
import pytest
from datasets import load_dataset

from raddiag_hf.core.run_folder import RunFolderError
from raddiag_hf.data.hospital.case import HospitalCase, HospitalDataError
from raddiag_hf.data.hospital.import_settings import ImportSettings
from raddiag_hf.data.hospital.importing import NO_LABELS, import_hospital_data
from raddiag_hf.data.hospital.pseudonyms import Pseudonyms, create_key, load_key
from raddiag_hf.data.store.case import decode_case
from raddiag_hf.data.store.case_metadata import read_metadata
from raddiag_hf.data.store.case_store import CaseStore
from raddiag_hf.data.store.rejection import read_rejections
from raddiag_hf.imaging.read_settings import ReadSettings
from raddiag_hf.labels.label_set import LabelSet
from raddiag_hf.vocabulary import Anatomy, Modality, Sex, Split
from tests.fixtures.dicom_files import numbered_slices, write_dicom, write_series

PSEUDONYMS = Pseudonyms(bytes(range(32)))
PIXELS = np.arange(64, dtype=np.uint16).reshape(8, 8)


def write_manifest(folder: Path, header: str, *rows: str) -> Path:
    path = folder / "manifest.csv"
    path.write_text("\n".join((header, *rows)) + "\n", "utf-8")
    return path


def write_arrays(folder: Path, count: int) -> None:
    for number in range(count):
        values = np.random.default_rng(number).normal(size=(12, 10, 3)).astype(np.float32)
        np.save(folder / f"{number}.npy", values)


def read_cases(store: CaseStore, cache: Path):
    """All cases of a data set by id, as users load them."""
    splits = load_dataset(store.location, cache_dir=str(cache))
    return {
        row["case_id"]: decode_case(row, store.features)
        for split in splits.values()
        for row in split
    }


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.fixture
def studies(tmp_path: Path) -> Path:
    """Two studies of one patient and one of another, in one folder, beside a report."""
    folder = tmp_path / "studies"
    write_series(
        folder / "x",
        numbered_slices(3),
        StudyInstanceUID="1.1",
        SeriesInstanceUID="1.1.1",
        PatientAge="095Y",
        PatientSex="F",
        BodyPartExamined="CHEST",
    )
    write_dicom(
        folder / "x" / "film.dcm",
        PIXELS,
        StudyInstanceUID="1.1",
        SeriesInstanceUID="1.1.2",
        Modality="DX",
    )
    write_dicom(
        folder / "x" / "later.dcm", PIXELS, StudyInstanceUID="1.2", SeriesInstanceUID="1.2.1"
    )
    write_dicom(
        folder / "y" / "other.dcm",
        PIXELS,
        StudyInstanceUID="1.3",
        SeriesInstanceUID="1.3.1",
        PatientID="MRN-9",
    )
    (folder / "report.txt").write_text("all well")
    return folder


def test_each_study_of_a_folder_is_a_case(tmp_path, studies):
    result = import_hospital_data(studies, tmp_path / "cases", PSEUDONYMS)
    cases = read_cases(result.store, tmp_path / "cache").values()
    assert sorted(len(case.scans) for case in cases) == [1, 1, 2]
    assert len({case.patient_id for case in cases}) == 2
    (case,) = (case for case in cases if len(case.scans) == 2)
    assert [scan.scan.scan_id for scan in case.scans] == ["scan-1", "scan-2"]
    assert [scan.scan.modality for scan in case.scans] == [Modality.CT, Modality.XRAY]
    assert np.array_equal(case.scans[0].scan.volume, numbered_slices(3).astype(np.float32))
    assert (case.age, case.sex, case.anatomy) == (90, Sex.FEMALE, Anatomy.CHEST)
    assert case.labels == {"labels": ()}
    assert result.store.label_sets["labels"].names == NO_LABELS.names


def test_scans_say_their_study_under_a_keyed_pseudonym(tmp_path, studies):
    np.save(studies / "loose.npy", PIXELS.astype(np.float32))
    rows = ("a,studies/x,", "a,studies/loose.npy,CT", "b,studies/y,")
    manifest = write_manifest(tmp_path, "case_id,path,modality", *rows)

    def studies_of(output, key):
        store = import_hospital_data(manifest, tmp_path / output, Pseudonyms(key)).store
        cases = read_cases(store, tmp_path / f"{output}-cache").values()
        (case,) = (case for case in cases if len(case.scans) > 1)
        return [one.study for one in case.scans]

    first = studies_of("first", bytes(range(32)))
    again = studies_of("again", bytes(range(32)))
    other = studies_of("other", bytes(range(1, 33)))
    ct, film, later, loose = first
    assert ct == film != later
    assert loose == ""
    assert ct.startswith("study-")
    assert first == again
    assert set(first) & set(other) == {""}


def test_a_manifest_may_name_studies(tmp_path):
    write_arrays(tmp_path, 3)
    rows = ("a,0.npy,CT,day 1", "a,1.npy,CT,day 1", "a,2.npy,CT,day 9")
    manifest = write_manifest(tmp_path, "case_id,path,modality,study", *rows)
    store = import_hospital_data(manifest, tmp_path / "cases", PSEUDONYMS).store
    (case,) = read_cases(store, tmp_path / "cache").values()
    first, second, third = (one.study for one in case.scans)
    assert first == second != third
    assert "day" not in first


def test_what_is_no_study_is_listed(tmp_path, studies):
    result = import_hospital_data(studies, tmp_path / "cases", PSEUDONYMS)
    (rejection,) = result.rejections
    assert (rejection.path, rejection.reason) == (str(studies / "report.txt"), "unknown_format")
    assert result.is_bystander(rejection)
    (written,) = read_rejections(tmp_path / "cases" / "rejected.csv")
    assert written.path.startswith("file-")


def test_a_folder_without_dicom_is_refused(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.txt").write_text("x")
    with pytest.raises(HospitalDataError, match="no DICOM image among 1 files; other formats"):
        import_hospital_data(tmp_path / "in", tmp_path / "out", PSEUDONYMS)


def test_a_study_without_an_image_is_no_case_and_its_files_are_listed(tmp_path, studies):
    plan = write_dicom(studies / "z" / "plan.dcm", PIXELS, StudyInstanceUID="1.9", Modality="SR")
    np.save(studies / "loose.npy", PIXELS.astype(np.float32))
    result = import_hospital_data(studies, tmp_path / "cases", PSEUDONYMS)
    assert sum(result.store.num_cases(split) for split in result.store.shards) == 3
    reasons = {one.path: one.reason for one in result.rejections}
    assert reasons[str(plan)] == "not_diagnostic"
    assert reasons[str(studies / "loose.npy")] == "not_dicom"


def test_every_file_of_a_study_that_gives_no_scan_is_listed(tmp_path, studies):
    files = [studies / "z" / f"{number}.dcm" for number in range(2)]
    for file in files:
        write_dicom(file, PIXELS, StudyInstanceUID="1.9", SeriesInstanceUID="1.9.1")
        file.write_bytes(file.read_bytes()[:-40])
    rejections = import_hospital_data(studies, tmp_path / "cases", PSEUDONYMS).rejections
    broken = [one for one in rejections if one.reason == "corrupt"]
    assert sorted(one.path for one in broken) == [str(file) for file in files]
    assert all(one.case_id.startswith("case-") for one in broken)


def test_cases_without_a_patient_are_warned_of(tmp_path, caplog):
    write_arrays(tmp_path, 2)
    rows = ("a,0.npy,CT,p", "b,1.npy,CT,")
    manifest = write_manifest(tmp_path, "case_id,path,modality,patient_id", *rows)
    import_hospital_data(manifest, tmp_path / "cases", PSEUDONYMS)
    assert "1 of 2 cases name no patient" in caplog.text


def test_ids_that_were_blanked_are_warned_of(tmp_path, caplog):
    write_arrays(tmp_path, 10)
    rows = [f"{number},{number}.npy,CT,ANONYMOUS" for number in range(10)]
    manifest = write_manifest(tmp_path, "case_id,path,modality,patient_id", *rows)
    import_hospital_data(manifest, tmp_path / "cases", PSEUDONYMS)
    assert "all 10 cases name the same patient" in caplog.text


def test_the_output_must_not_lie_in_the_input(tmp_path, studies):
    with pytest.raises(HospitalDataError, match="lies in"):
        import_hospital_data(studies, studies / "cases", PSEUDONYMS)


def test_labels_of_the_manifest_become_columns_by_frequency(tmp_path):
    write_arrays(tmp_path, 4)
    rows = ("a,0.npy,CT,Rare;Common", "b,1.npy,CT,Common", "c,2.npy,CT,Also", "d,3.npy,CT,")
    manifest = write_manifest(tmp_path, "case_id,path,modality,labels", *rows)
    store = import_hospital_data(manifest, tmp_path / "cases", PSEUDONYMS).store
    assert store.label_sets["labels"].names == ("Common", "Also", "Rare")
    labels = [case.labels["labels"] for case in read_cases(store, tmp_path / "cache").values()]
    assert sorted(map(sorted, labels)) == [[], ["Also"], ["Common"], ["Common", "Rare"]]


def test_where_normal_cases_are_labelled_so_a_case_without_label_is_unknown(tmp_path):
    write_arrays(tmp_path, 4)
    rows = ("a,0.npy,CT,Normal", "b,1.npy,CT,Gout", "c,2.npy,CT,", "d,3.npy,CT,Gout")
    manifest = write_manifest(tmp_path, "case_id,path,modality,labels", *rows)
    result = import_hospital_data(manifest, tmp_path / "cases", PSEUDONYMS)
    assert result.num_unlabelled == 1
    cases = read_cases(result.store, tmp_path / "cache").values()
    told = sorted((one.labels["labels"], one.unknown_labels["labels"]) for one in cases)
    assert told == [
        ((), ("Gout", "Normal")), (("Gout",), ()), (("Gout",), ()), (("Normal",), ()),
    ]  # fmt: skip
    again = import_hospital_data(manifest, tmp_path / "cases", PSEUDONYMS)
    assert again.store.features == result.store.features


def test_labels_that_the_manifest_calls_unknown_are_a_column(tmp_path):
    write_arrays(tmp_path, 4)
    rows = ("a,0.npy,CT,Normal,Gout", "b,1.npy,CT,Gout,", "c,2.npy,CT,,Normal", "d,3.npy,CT,,")
    manifest = write_manifest(tmp_path, "case_id,path,modality,labels,unknown_labels", *rows)
    result = import_hospital_data(manifest, tmp_path / "cases", PSEUDONYMS)
    assert (result.num_unlabelled, result.num_partly_labelled) == (1, 2)
    cases = read_cases(result.store, tmp_path / "cache").values()
    told = sorted((one.labels["labels"], one.unknown_labels["labels"]) for one in cases)
    assert told == [
        ((), ("Gout", "Normal")), ((), ("Normal",)), (("Gout",), ()), (("Normal",), ("Gout",)),
    ]  # fmt: skip


def test_without_unknown_labels_there_is_no_column_of_them(tmp_path):
    write_arrays(tmp_path, 2)
    rows = ("a,0.npy,CT,Gout", "b,1.npy,CT,")
    manifest = write_manifest(tmp_path, "case_id,path,modality,labels", *rows)
    result = import_hospital_data(manifest, tmp_path / "cases", PSEUDONYMS)
    assert result.num_unlabelled == 0
    assert "unknown_labels" not in result.store.features


def test_a_given_label_set_keeps_its_columns(tmp_path):
    write_arrays(tmp_path, 1)
    manifest = write_manifest(tmp_path, "case_id,path,modality,labels", "a,0.npy,CT,B")
    label_set = LabelSet(("A", "B"))
    store = import_hospital_data(
        manifest, tmp_path / "cases", PSEUDONYMS, label_set=label_set
    ).store
    assert store.label_sets["labels"].fingerprint == label_set.fingerprint


def test_splits_of_the_manifest_are_kept_and_others_go_by_patient(tmp_path):
    write_arrays(tmp_path, 40)
    header = "case_id,path,modality,patient_id,split"
    given = [f"{n},{n}.npy,CT,p{n // 2},{'test' if n < 6 else ''}" for n in range(40)]
    store = import_hospital_data(
        write_manifest(tmp_path, header, *given), tmp_path / "given", PSEUDONYMS
    ).store
    assert store.num_cases(Split.TEST) == 6
    assert store.num_cases(Split.TRAIN) + store.num_cases(Split.VALIDATION) == 34
    patients = [
        {patient for batch in store.iter_batches(split, False) for patient in batch[1].to_pylist()}
        for split in store.shards
    ]
    assert len(set.union(*patients)) == sum(map(len, patients)) == 20


def test_the_key_does_not_decide_the_splits(tmp_path):
    write_arrays(tmp_path, 20)
    rows = [f"{number},{number}.npy,CT,p{number // 2}" for number in range(20)]
    manifest = write_manifest(tmp_path, "case_id,path,modality,patient_id", *rows)
    test_cases = []
    for name in "ab":
        pseudonyms = Pseudonyms(name.encode() * 32)
        store = import_hospital_data(manifest, tmp_path / name, pseudonyms).store
        names = {pseudonyms.of_case(HospitalCase(str(n), "", ())): n for n in range(20)}
        metadata = read_metadata(store)
        split = zip(metadata.case_ids, metadata.in_split(Split.TEST), strict=True)
        test_cases.append({names[case_id] for case_id, is_test in split if is_test})
    assert test_cases[0] == test_cases[1] != set()


def test_a_bad_scan_is_set_aside_and_the_rest_goes_on(tmp_path):
    write_arrays(tmp_path, 2)
    (tmp_path / "bad.npy").write_bytes((tmp_path / "0.npy").read_bytes()[:-20])
    rows = (
        "a,0.npy,CT,train",
        "a,bad.npy,CT,",
        "b,absent.dcm,CT,train",
        "c,1.npy,,train",
        "d,gone/x/..,CT,train",
    )
    manifest = write_manifest(tmp_path, "case_id,path,modality,split", *rows)
    result = import_hospital_data(manifest, tmp_path / "cases", PSEUDONYMS)
    assert len(read_cases(result.store, tmp_path / "cache")) == 1
    found = {(one.row, one.path, one.reason) for one in result.rejections}
    assert found == {
        (3, f"{tmp_path / 'bad.npy'}", "corrupt"),
        (4, f"{tmp_path / 'absent.dcm'}", "not_found"),
        (5, f"{tmp_path / '1.npy'}", "unknown_modality"),
        (6, f"{tmp_path}/gone/x/..", "not_found"),
    }
    written = read_rejections(tmp_path / "cases" / "rejected.csv")
    assert {one.row for one in written} == {3, 4, 5, 6}
    assert all(one.path.startswith("file-") for one in written)


@pytest.mark.parametrize("name", ["x" * 300 + ".dcm", "/".join(["y" * 200] * 30)])
def test_a_path_too_long_for_the_file_system_is_set_aside(tmp_path, name):
    write_arrays(tmp_path, 1)
    manifest = write_manifest(tmp_path, "case_id,path,modality", "a,0.npy,CT", f"b,{name},CT")
    (rejection,) = import_hospital_data(manifest, tmp_path / "cases", PSEUDONYMS).rejections
    assert (rejection.row, rejection.reason) == (3, "unreadable")


@pytest.mark.parametrize("patient", ["", "p"])
def test_a_case_of_two_patients_is_set_aside(tmp_path, patient):
    write_dicom(tmp_path / "1.dcm", PIXELS, PatientID="MRN-1", SeriesInstanceUID="1.1")
    write_dicom(tmp_path / "2" / "2.dcm", PIXELS, PatientID="MRN-2", SeriesInstanceUID="1.2")
    write_dicom(tmp_path / "3.dcm", PIXELS, PatientID="MRN-2", SeriesInstanceUID="1.3")
    rows = (f"a,1.dcm,{patient}", f"a,2,{patient}", f"b,3.dcm,{patient}")
    manifest = write_manifest(tmp_path, "case_id,path,patient_id", *rows)
    result = import_hospital_data(manifest, tmp_path / "cases", PSEUDONYMS)
    assert len(read_cases(result.store, tmp_path / "cache")) == 1
    assert [(one.row, one.path, one.reason) for one in result.rejections] == [
        (2, str(tmp_path / "1.dcm"), "mixed_patients"),
        (3, str(tmp_path / "2"), "mixed_patients"),
    ]
    with pytest.raises(HospitalDataError, match=r"1\.dcm: row 2: mixed_patients"):
        import_hospital_data(
            manifest, tmp_path / "strict", PSEUDONYMS, ImportSettings(is_strict=True)
        )


def test_linked_folders_are_followed_once(tmp_path, studies):
    write_dicom(
        tmp_path / "elsewhere" / "far.dcm", PIXELS, StudyInstanceUID="1.8", PatientID="MRN-8"
    )
    (studies / "link").symlink_to(tmp_path / "elsewhere")
    (studies / "y" / "again").symlink_to(tmp_path / "elsewhere")
    (studies / "x" / "up").symlink_to(studies)
    result = import_hospital_data(studies, tmp_path / "cases", PSEUDONYMS)
    scans = [len(case.scans) for case in read_cases(result.store, tmp_path / "cache").values()]
    assert sorted(scans) == [1, 1, 1, 2]
    assert [Path(one.path).name for one in result.rejections] == ["report.txt"]


def test_strict_stops_at_a_slice_without_bytes(tmp_path):
    files = write_series(tmp_path / "in", numbered_slices(5))
    files[2].write_bytes(b"")
    result = import_hospital_data(tmp_path / "in", tmp_path / "cases", PSEUDONYMS)
    (rejection,) = result.rejections
    assert (rejection.reason, result.is_bystander(rejection)) == ("empty", False)
    with pytest.raises(HospitalDataError, match=f"{files[2].name}: empty"):
        import_hospital_data(
            tmp_path / "in", tmp_path / "strict", PSEUDONYMS, ImportSettings(is_strict=True)
        )


def test_a_lenient_import_is_not_taken_for_a_strict_one(tmp_path, studies):
    import_hospital_data(studies, tmp_path / "cases", PSEUDONYMS)
    with pytest.raises(RunFolderError, match="differs in source"):
        import_hospital_data(
            studies, tmp_path / "cases", PSEUDONYMS, ImportSettings(is_strict=True)
        )


def test_an_import_reads_as_it_is_told_and_knows_it_from_another(tmp_path):
    np.save(tmp_path / "0.npy", np.arange(6 * 80 * 90, dtype=np.float32).reshape(6, 80, 90))
    manifest = write_manifest(tmp_path, "case_id,path,modality", "a,0.npy,CT")
    last = ImportSettings(reading=ReadSettings(npy_depth="last"))
    store = import_hospital_data(manifest, tmp_path / "out", PSEUDONYMS, last).store
    (case,) = read_cases(store, tmp_path / "cache").values()
    assert case.scans[0].scan.volume.shape == (90, 6, 80)
    with pytest.raises(RunFolderError, match="differs in source"):
        import_hospital_data(manifest, tmp_path / "out", PSEUDONYMS)


@pytest.mark.parametrize("num_proc", [1, 2])
def test_strict_stops_at_the_first_bad_scan(tmp_path, num_proc):
    write_arrays(tmp_path, 1)
    rows = ("a,0.npy,CT", "b,absent.dcm,CT")
    manifest = write_manifest(tmp_path, "case_id,path,modality", *rows)
    with pytest.raises(HospitalDataError, match=r"absent\.dcm: row 3: not_found"):
        import_hospital_data(
            manifest,
            tmp_path / "cases",
            PSEUDONYMS,
            ImportSettings(is_strict=True, num_proc=num_proc),
        )
    assert not (tmp_path / "cases").exists()


def test_strict_bears_what_lies_beside_scans_in_every_archive(tmp_path, studies):
    result = import_hospital_data(
        studies, tmp_path / "cases", PSEUDONYMS, ImportSettings(is_strict=True)
    )
    assert len(result.rejections) == 1


def test_nothing_readable_is_the_fault_of_the_source(tmp_path):
    manifest = write_manifest(tmp_path, "case_id,path", "a,absent.dcm")
    with pytest.raises(
        HospitalDataError, match="no case could be built; 1 inputs were rej"
    ) as caught:
        import_hospital_data(manifest, tmp_path / "cases", PSEUDONYMS)
    named = f": row 2: {tmp_path / 'absent.dcm'}: not_found: there is no such file"
    assert str(caught.value).endswith(named)
    write_arrays(tmp_path, 1)
    mended = write_manifest(tmp_path, "case_id,path,modality", "a,0.npy,CT")
    import_hospital_data(mended, tmp_path / "cases", PSEUDONYMS)


def test_slices_that_are_listed_one_by_one_are_warned_of(tmp_path, caplog):
    write_series(tmp_path / "ct", numbered_slices(3))
    names = sorted(path.name for path in (tmp_path / "ct").iterdir())
    header = "case_id,path"
    by_slice = write_manifest(tmp_path, header, *(f"a,ct/{name}" for name in names))
    import_hospital_data(by_slice, tmp_path / "torn", PSEUDONYMS)
    assert "1 cases, the first in row 2, list single slices of one series" in caplog.text
    caplog.clear()
    import_hospital_data(write_manifest(tmp_path, header, "a,ct"), tmp_path / "one", PSEUDONYMS)
    assert "slices" not in caplog.text


def test_views_of_one_series_are_scans_and_no_slices(tmp_path, caplog):
    for name in "ab":
        write_dicom(tmp_path / f"{name}.dcm", PIXELS, Modality="DX")
    manifest = write_manifest(tmp_path, "case_id,path", "c,a.dcm", "c,b.dcm")
    import_hospital_data(manifest, tmp_path / "cases", PSEUDONYMS)
    assert "slices" not in caplog.text


def test_a_fault_of_ours_is_not_blamed_on_the_source(tmp_path, monkeypatch):
    manifest = write_manifest(tmp_path, "case_id,path,modality", "a,0.npy,CT")
    write_arrays(tmp_path, 1)
    monkeypatch.setattr(Pseudonyms, "of_patient", lambda self, case: "")
    with pytest.raises(ValueError, match="patient_id must not be empty") as caught:
        import_hospital_data(manifest, tmp_path / "cases", PSEUDONYMS)
    assert not isinstance(caught.value, HospitalDataError)


def test_images_that_admit_burned_in_text_are_left_out_unless_asked_for(tmp_path):
    write_dicom(tmp_path / "in" / "1.dcm", PIXELS, StudyInstanceUID="1.1")
    write_dicom(tmp_path / "in" / "2.dcm", PIXELS, StudyInstanceUID="1.2", BurnedInAnnotation="YES")
    result = import_hospital_data(tmp_path / "in", tmp_path / "cases", PSEUDONYMS)
    assert [one.reason for one in result.rejections] == ["burned_in_annotation"]
    kept = import_hospital_data(
        tmp_path / "in", tmp_path / "all", PSEUDONYMS, ImportSettings(keeps_burned_in=True)
    )
    assert len(read_cases(kept.store, tmp_path / "cache")) == 2


def test_a_folder_of_pictures_is_one_scan_in_natural_order(tmp_path):
    from PIL import Image

    for number in (1, 2, 10):
        path = tmp_path / "clip" / f"frame{number}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(np.full((8, 8), number, np.uint8) + np.eye(8, dtype=np.uint8)).save(path)
    manifest = write_manifest(tmp_path, "case_id,path,modality", "a,clip,ultrasound")
    result = import_hospital_data(manifest, tmp_path / "cases", PSEUDONYMS)
    (case,) = read_cases(result.store, tmp_path / "cache").values()
    assert case.scans[0].scan.volume[:, 0, 1].tolist() == [1, 2, 10]


def test_the_order_of_rows_does_not_change_the_cases(tmp_path):
    write_arrays(tmp_path, 6)
    header, rows = "case_id,path,modality", [f"{n},{n}.npy,CT" for n in range(6)]
    one = import_hospital_data(write_manifest(tmp_path, header, *rows), tmp_path / "1", PSEUDONYMS)
    two = import_hospital_data(
        write_manifest(tmp_path, header, *rows[::-1]), tmp_path / "2", PSEUDONYMS
    )
    assert contents(Path(one.store.location) / "data") == contents(
        Path(two.store.location) / "data"
    )


def test_a_changed_file_is_not_mixed_with_an_earlier_import(tmp_path):
    write_arrays(tmp_path, 2)
    manifest = write_manifest(tmp_path, "case_id,path,modality", "a,0.npy,CT")
    import_hospital_data(manifest, tmp_path / "cases", PSEUDONYMS)
    import_hospital_data(manifest, tmp_path / "cases", PSEUDONYMS)
    (tmp_path / "1.npy").replace(tmp_path / "0.npy")
    with pytest.raises(RunFolderError, match="differs in source"):
        import_hospital_data(manifest, tmp_path / "cases", PSEUDONYMS)


def test_equal_keys_give_equal_pseudonyms_and_others_do_not(tmp_path):
    write_arrays(tmp_path, 1)
    manifest = write_manifest(tmp_path, "case_id,path,modality,patient_id", "a,0.npy,CT,p")
    ids = []
    for name, key in (("1", bytes(32)), ("2", bytes(32)), ("3", b"k" * 32)):
        store = import_hospital_data(manifest, tmp_path / name, Pseudonyms(key)).store
        (case,) = read_cases(store, tmp_path / "cache" / name).values()
        ids.append((case.case_id, case.patient_id))
    assert ids[0] == ids[1]
    assert not set(ids[0]) & set(ids[2])


def test_a_key_file_is_for_its_owner_alone(tmp_path):
    path = tmp_path / "keys" / "hospital.key"
    key = create_key(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert load_key(path) == key
    with pytest.raises(FileExistsError):
        create_key(path)


def test_a_key_that_others_can_read_is_warned_of(tmp_path, caplog):
    create_key(tmp_path / "key")
    (tmp_path / "key").chmod(0o644)
    load_key(tmp_path / "key")
    assert "others can read this key" in caplog.text


@pytest.mark.parametrize("content", ["", "abc", "zz" * 32, "ä" * 64, "00" * 31])
def test_what_is_no_key_is_refused(tmp_path, content):
    (tmp_path / "key").write_text(content, "utf-8")
    with pytest.raises(HospitalDataError, match="is not a key file"):
        load_key(tmp_path / "key")


def test_heads_and_captures_are_told_of(tmp_path):
    rows = ["case_id,path,modality,anatomy"]
    for name, modality, anatomy in (
        ("head", "MRI", "Head and neck"),
        ("chest", "CT", "Chest"),
        ("liver", "Ultrasound", "Abdomen and pelvis"),
    ):
        np.save(tmp_path / f"{name}.npy", np.random.default_rng(0).random((8, 8, 3)))
        rows.append(f"{name},{name}.npy,{modality},{anatomy}")
    (tmp_path / "manifest.csv").write_text("\n".join(rows) + "\n")
    done = import_hospital_data(
        tmp_path / "manifest.csv", tmp_path / "cases", Pseudonyms(bytes(range(32)))
    )
    faces, captures = done.identifying_scans()
    assert faces.startswith("1 scans show heads: a face can be made out")
    assert captures.startswith("1 scans are of kinds whose pixels often name the patient")
