"""One case of hospital data: its scans read, its identifiers left behind."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from raddiag_hf.core.temporary_folders import temporary_folder
from raddiag_hf.data.hospital.case import (
    NO_CLASS,
    NOT_DICOM,
    HospitalCase,
    HospitalDataError,
    HospitalScan,
    StrayFiles,
)
from raddiag_hf.data.hospital.pseudonyms import Pseudonyms
from raddiag_hf.data.hospital.tags import HospitalTags, coarse_age, read_hospital_tags
from raddiag_hf.data.store.case import DEFAULT_LABEL_COLUMN, Case
from raddiag_hf.data.store.case_writer import BuiltCase
from raddiag_hf.data.store.rejection import Rejection
from raddiag_hf.data.store.scan_record import CaseScan
from raddiag_hf.imaging.dicom.header import key_of_run
from raddiag_hf.imaging.picture_names import PICTURE_SUFFIXES, names_of_patients
from raddiag_hf.imaging.read_settings import DEFAULT_READING, ReadSettings
from raddiag_hf.imaging.reading import NO_SCAN_LOST, read_scans
from raddiag_hf.imaging.scan import Scan, ScanReadError, ScanReadReason
from raddiag_hf.vocabulary import Anatomy, Modality

UNKNOWN_MODALITY: str = ScanReadReason.UNKNOWN_MODALITY
BURNED_IN, MIXED_PATIENTS = "burned_in_annotation", "mixed_patients"
"""Reasons beside those of `ScanReadReason`."""

EVERYDAY_REASONS: frozenset[str] = NO_SCAN_LOST | {NOT_DICOM, NO_CLASS}
"""Reasons of files that lie beside scans in every archive, such as reports and localisers."""

_OUT_OF_REACH = frozenset({ScanReadReason.NOT_FOUND, ScanReadReason.UNREADABLE})
"""Reasons of paths that cannot even be linked to, such as those too long for the file system."""

# A reader's own words may quote a file name, and file names may name a patient.
REASON_WORDS: dict[str, str] = {
    ScanReadReason.NOT_FOUND: "there is no such file",
    ScanReadReason.UNREADABLE: "the operating system does not hand it over",
    ScanReadReason.UNKNOWN_FORMAT: "is no DICOM, NIfTI, NPY, PNG, JPEG, TIFF or BMP",
    ScanReadReason.CORRUPT: "is damaged",
    ScanReadReason.NOT_AN_IMAGE: "has no pixels: a report, a plan, an index",
    ScanReadReason.NOT_DIAGNOSTIC: "is a localiser, a dose sheet, a segmentation or a screenshot",
    ScanReadReason.UNSUPPORTED: "is encoded in a way that is not read",
    ScanReadReason.TOO_LARGE: "is larger than what is read",
    ScanReadReason.TOO_SLOW: "takes longer to read than a file of its size may",
    ScanReadReason.CRASHED: "ends the process that reads it",
    ScanReadReason.INCONSISTENT_SERIES: "its slices do not make up one volume",
    ScanReadReason.BAD_VALUES: "has NaN or infinite intensities",
    ScanReadReason.EMPTY: "holds no scan",
    NO_CLASS: "lies in no folder that is a label",
    NOT_DICOM: "is not DICOM, so that nothing says which study it belongs to",
    UNKNOWN_MODALITY: "neither the file nor the manifest says what made it",
    BURNED_IN: "its tags say that its pixels show who it is about",
    MIXED_PATIENTS: "the tags or names of its case are of several patients; a case is of one",
}


@dataclass(frozen=True)
class HospitalCaseBuilder:
    """Makes the case of hospital data that goes into the data set, under pseudonyms.

    Kept of the input are pixels, geometry, modality, anatomy, plane, sex, an age in whole years,
    and the labels; nothing else of tags, file names or manifest. Scans are numbered.

    Attributes:
        pseudonyms: New names for case, patient and rejected files.
        base: Folder that rejected files are named relative to.
        source: The site, as `Case` has it.
        is_strict: Whether a scan that cannot be read ends the import.
        keeps_burned_in: Whether files are kept whose tags say that their pixels name the patient.
        stack_pictures: Whether the pictures of one folder are slices; None leaves it to the
            modality, as `read_scans` does.
        reading: What to do where files leave a choice.
        modality: What made scans of which nothing says it; None leaves them out.
    """

    pseudonyms: Pseudonyms
    base: Path
    source: str
    is_strict: bool = False
    keeps_burned_in: bool = False
    stack_pictures: bool | None = None
    reading: ReadSettings = DEFAULT_READING
    modality: Modality | None = None

    def __call__(self, case: HospitalCase | StrayFiles) -> BuiltCase:
        """Read the scans of a case; of stray files, only list them.

        Raises:
            HospitalDataError: If a scan cannot be read and that is to end the import.
        """
        if isinstance(case, StrayFiles):
            strays = [self._reject("", None, path, reason) for path, reason in case.files]
            return BuiltCase(None, tuple(strays))
        case_id = self.pseudonyms.of_case(case)
        tags = {path: _tags(path) for scan in case.scans for path in scan.all_files()}
        if _num_patients(tags) > 1 or any(_mixes_pictures(source, tags) for source in case.scans):
            mixed = [
                self._reject(case_id, source.row, source.path, MIXED_PATIENTS)
                for source in case.scans
            ]
            return BuiltCase(None, tuple(mixed))
        scans: list[Scan] = []
        studies: list[str] = []
        rejections: list[Rejection] = []
        for source in case.scans:
            num_before = len(scans)
            for one in self._read(source, tags):
                if isinstance(one, Scan):
                    scans.append(one)
                    studies.append(source.study or _study_uid(one, tags))
                else:
                    rejections.append(self._reject(case_id, source.row, *one))
            if self.is_strict and len(scans) == num_before:
                raise HospitalDataError(f"{source.path}: {_row_words(source.row)}gives no scan")
        if not scans:
            return BuiltCase(None, tuple(rejections))
        built = Case(
            case_id=case_id,
            patient_id=self.pseudonyms.of_patient(case),
            source=self.source,
            scans=tuple(
                CaseScan(
                    replace(scan, scan_id=f"scan-{number}", provenance={}),
                    study=self.pseudonyms.of_study(study) if study else "",
                )
                for number, (scan, study) in enumerate(zip(scans, studies, strict=True), start=1)
            ),
            labels={DEFAULT_LABEL_COLUMN: case.labels},
            unknown_labels={DEFAULT_LABEL_COLUMN: case.unknown_labels},
            anatomy=_common_anatomy(scans),
            age=coarse_age(case.age),
            sex=case.sex,
        )
        return BuiltCase(built, tuple(rejections))

    def name_of(self, path: Path) -> str:
        """Return the pseudonym of a file or folder."""
        return self.pseudonyms.of_file(path, self.base)

    def _reject(
        self, case_id: str, row: int | None, path: Path, reason: str, found: str = ""
    ) -> Rejection:
        if self.is_strict and reason not in EVERYDAY_REASONS:
            words = found or REASON_WORDS[reason]
            raise HospitalDataError(f"{path}: {_row_words(row)}{reason}: {words}")
        return Rejection(case_id, self.name_of(path), reason, REASON_WORDS[reason], row)

    def _read(
        self, source: HospitalScan, tags: Mapping[Path, HospitalTags | ScanReadError]
    ) -> Iterator[Scan | tuple[Path, str] | tuple[Path, str, str]]:
        """Yield scans, and path, reason and perhaps details of what is none."""
        # Links let the files of a study be read together, wherever they lie and whatever lies
        # beside them.
        with temporary_folder() as folder:
            start = folder / "scan" if source.files is None else folder
            num_left_out = 0
            for path in source.all_files():
                told = tags[path]
                if isinstance(told, HospitalTags):
                    if told.is_burned_in and not self.keeps_burned_in:
                        num_left_out += 1
                        yield path, BURNED_IN
                        continue
                elif told.reason in _OUT_OF_REACH:
                    num_left_out += 1
                    yield path, told.reason, told.found
                    continue
                link = start / path.relative_to(source.path)
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to(path.absolute())
            is_dicom = any(isinstance(tags[path], HospitalTags) for path in source.all_files())
            if num_left_out and not any(folder.iterdir()):
                return
            try:
                reading = read_scans(
                    start,
                    modality=source.modality or (None if is_dicom else self.modality),
                    anatomy=source.anatomy,
                    stack_pictures=self.stack_pictures,
                    settings=self.reading,
                )
            except ScanReadError as error:
                if source.row is None:
                    for link in sorted(folder.rglob("*")):
                        if link.is_symlink():
                            yield _original(link, start, source.path), error.reason
                else:
                    yield _original(error.path, start, source.path), error.reason, error.found
                return
            for scan in reading.scans:
                if scan.modality or self.modality:
                    yield replace(scan, modality=scan.modality or self.modality)
                else:
                    # A reader names what it read in the provenance.
                    path = _original(Path(str(scan.provenance["path"])), start, source.path)
                    yield path, UNKNOWN_MODALITY
            for rejected in reading.rejected:
                path = _original(rejected.path, start, source.path)
                yield path, rejected.reason, rejected.found


def _tags(path: Path) -> HospitalTags | ScanReadError:
    try:
        return read_hospital_tags(path)
    except ScanReadError as error:
        return error


def _num_patients(tags: Mapping[Path, HospitalTags | ScanReadError]) -> int:
    told = (one.patient_id for one in tags.values() if isinstance(one, HospitalTags))
    return len(set(told) - {""})


def _mixes_pictures(
    source: HospitalScan, tags: Mapping[Path, HospitalTags | ScanReadError]
) -> bool:
    """Tell whether the names of a folder's pictures are of several patients."""
    if source.files is None:
        return False
    pictures = [
        path
        for path in source.all_files()
        if isinstance(tags[path], ScanReadError) and path.suffix.lower() in PICTURE_SUFFIXES
    ]
    return names_of_patients(source.path, pictures) is not None


def _study_uid(scan: Scan, tags: Mapping[Path, HospitalTags | ScanReadError]) -> str:
    """Return the ``StudyInstanceUID`` of a scan that was read of these files; empty without one."""
    told = {one.study for one in tags.values() if isinstance(one, HospitalTags)}
    return next((uid for uid in told if key_of_run(uid) == scan.study_key), "")


def _row_words(row: int | None) -> str:
    return "" if row is None else f"row {row}: "


def _original(path: Path, link: Path, source: Path) -> Path:
    return source / path.relative_to(link) if path.is_relative_to(link) else source


def _common_anatomy(scans: list[Scan]) -> Anatomy:
    known = {scan.anatomy for scan in scans} - {Anatomy.UNKNOWN}
    return known.pop() if len(known) == 1 else Anatomy.UNKNOWN
