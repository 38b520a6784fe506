"""Case: the scans of one patient read, checked, named neutrally, and packed for the model."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from transformers import BatchFeature

from raddiag_hf.core.errors import InputError
from raddiag_hf.core.progress import Progress, no_progress
from raddiag_hf.imaging.picture_names import names_of_patients
from raddiag_hf.imaging.read_settings import DEFAULT_READING, ReadSettings
from raddiag_hf.imaging.reading import Rejected, read_scans, with_unique_ids
from raddiag_hf.imaging.scan import (
    DecisionKind,
    ReadLimits,
    Scan,
    ScanReadReason,
    decision_kinds,
    file_scan_id,
)
from raddiag_hf.imaging.source_grid import source_grid
from raddiag_hf.model.image_processing_raddiag import RadDiagImageProcessor
from raddiag_hf.model.modeling_raddiag import RadDiagForImageClassification
from raddiag_hf.vocabulary import Anatomy, Modality

_DIGEST = re.compile(r"[0-9a-f]{12}(-\d+)?")
"""What `read_scans` calls a DICOM series."""
_MOST_NAMED = 5


class CaseError(InputError):
    """A case that the model cannot answer: which scan is at fault and what was expected."""


@dataclass(frozen=True, eq=False)
class CaseReading:
    """One case to diagnose, explain or embed; `read_case` makes one of files.

    Attributes:
        scans: Of one patient, each of known modality and there once, under ids that name nobody.
        rejected: Files that gave no scan. Their paths may name a patient.
        repeated: Files and folders whose scan was there already. Likewise.
    """

    scans: tuple[Scan, ...]
    rejected: tuple[Rejected, ...] = ()
    repeated: tuple[Path, ...] = ()

    @property
    def stacked_pictures(self) -> dict[Path, int]:
        """Folders whose pictures were taken for slices of one scan, and how many; as above."""
        return {
            _path_of(scan): len(scan.volume)
            for scan in self.scans
            if DecisionKind.PICTURES_STACKED in decision_kinds(scan)
        }

    @property
    def warnings(self) -> list[str]:
        """One sentence about all files that were left out, without their names."""
        if not self.rejected:
            return []
        reasons = Counter(rejected.reason.value.replace("_", " ") for rejected in self.rejected)
        counted = ", ".join(f"{reason} ({count})" for reason, count in sorted(reasons.items()))
        noun = "file was" if len(self.rejected) == 1 else "files were"
        return [f"{len(self.rejected)} {noun} left out: {counted}."]


def read_case(
    paths: Path | str | Sequence[Path | str],
    modalities: Modality | str | Sequence[Modality | str | None] | None = None,
    *,
    anatomy: Anatomy | str | None = None,
    limits: ReadLimits | None = None,
    stack_pictures: bool | None = None,
    settings: ReadSettings = DEFAULT_READING,
    progress: Progress = no_progress,
) -> CaseReading:
    """Read the scans of one case.

    Args:
        paths: Files and folders, all of one patient: DICOM (a study folder gives all its series),
            NIfTI, PNG, JPEG, NPY. A scan that is named twice, as a file and in its folder, is read
            once.
        modalities: What made the scans, where files do not say: one modality for all paths, or one
            (or None) for each. A file of a folder that is named as well may have its own.
        anatomy: The region that the scans show.
        limits: How large scans may be; None takes the defaults.
        stack_pictures: Whether the pictures of one folder are slices of one scan. None leaves it to
            the modality: those of radiographs are views, each a scan.
        settings: What to do where files leave a choice.
        progress: Called after each file.

    Pictures and DICOM images of a folder of which nothing says what made them, such as the logo of
    a viewer or a photograph, are rejected where the folder also holds scans.

    Raises:
        ScanReadError: If one of the paths holds no scan at all.
        CaseError: If there is no path, nothing says what made a file that was named, or any of a
            folder, or the scans are of several patients by their tags or, for pictures, names.
        ValueError: If a modality or anatomy is none, or there is not one modality for each path.

    Example:
        >>> case = read_case(["knee.npy"], ["MRI"])
        >>> [scan.scan_id for scan in case.scans]
        ['MRI']
    """
    paths = [paths] if isinstance(paths, (Path, str)) else paths
    region = Anatomy.parse(anatomy) if isinstance(anatomy, str) else anatomy
    given = _one_for_each(modalities, len(paths))
    scans: list[Scan] = []
    rejected: list[Rejected] = []
    unknown: list[tuple[Path, Scan]] = []
    for path, modality in zip(map(Path, paths), given, strict=True):
        reading = read_scans(
            path,
            modality=modality,
            anatomy=region,
            limits=limits,
            stack_pictures=stack_pictures,
            settings=settings,
            progress=progress,
        )
        known = [scan for scan in reading.scans if scan.modality is not None]
        _check_picture_names(path, known)
        scans += known
        unknown += [(path, scan) for scan in reading.scans if scan.modality is None]
        rejected += reading.rejected
    named = {_path_of(scan) for scan in scans}
    unknown = [(path, scan) for path, scan in unknown if _path_of(scan) not in named]
    for path, scan in unknown:
        is_bystander = scan.provenance.get("format") in ("picture", "dicom")
        is_beside = path != _path_of(scan) and any(one.is_relative_to(path) for one in named)
        if not (is_bystander and is_beside):
            raise _unknown_modality([scan for other, scan in unknown if other == path])
        found = "nothing in it says what made it; to have it read, name it with its modality"
        rejected.append(Rejected(_path_of(scan), ScanReadReason.UNKNOWN_MODALITY, found))
    known = scans
    distinct = [scan for number, scan in enumerate(known) if not _is_among(scan, known[:number])]
    repeated = [scan for scan in known if all(scan is not kept for kept in distinct)]
    case = as_case(distinct)
    return replace(
        case,
        rejected=tuple(rejected),
        repeated=tuple(_path_of(scan) for scan in repeated),
    )


def _check_picture_names(path: Path, scans: Sequence[Scan]) -> None:
    """Refuse a folder whose pictures are of several patients, as far as their names say."""
    pictures = [file for scan in scans if _is_of_pictures(scan) for file in _files_of(scan)]
    if (pair := names_of_patients(path, pictures)) is not None:
        raise CaseError(
            f"{path}: a case is of one patient, but its pictures seem to be of several, by the "
            f"names {pair[0]} and {pair[1]}; name the folders or files of one patient"
        )


def _is_of_pictures(scan: Scan) -> bool:
    return scan.provenance.get("format") == "picture"


def _files_of(scan: Scan) -> list[Path]:
    path = _path_of(scan)
    return [one for one in path.iterdir() if one.is_file()] if path.is_dir() else [path]


def _unknown_modality(scans: Sequence[Scan]) -> CaseError:
    paths = list(dict.fromkeys(_path_of(scan) for scan in scans))
    more = f" and {len(paths) - _MOST_NAMED} more" if len(paths) > _MOST_NAMED else ""
    # Of a folder, one modality for all would be wrong for those that say theirs.
    example = "" if paths[0].is_dir() else f", if it is a CT as in --scan ct={paths[0]}"
    return CaseError(
        f"{', '.join(map(str, paths[:_MOST_NAMED]))}{more}: nothing in it says what made it; name "
        "its modality (in Python with modalities, on the command line with --scan MODALITY=PATH"
        f"{example})"
    )


def as_case(scans: Sequence[Scan] | CaseReading) -> CaseReading:
    """Return scans as a case: under neutral ids, and refused where they make up none.

    Scans are called by what made them, in their order (``CT``, ``CT-2``): a file's name may name a
    patient, and whoever knows the identifier of a series finds its digest. Ids that the caller
    chose stay as they are.

    Raises:
        CaseError: If there is no scan, the modality of one is unknown, one is there twice, or they
            are of several patients.
    """
    if isinstance(scans, CaseReading):
        return scans
    _check_modalities(scans)
    for number, scan in enumerate(scans):
        if _is_among(scan, scans[:number]):
            raise CaseError(f"{scan.scan_id}: the same scan is in the case twice")
    patients: dict[str, Scan] = {}
    for scan in scans:
        if scan.patient_key:
            patients.setdefault(scan.patient_key, scan)
    if len(patients) > 1:
        found = " and ".join(str(scan.provenance.get("path")) for scan in patients.values())
        raise CaseError(
            f"a case is of one patient, but the DICOM tags of these scans name {len(patients)}: "
            f"{found}"
        )
    return CaseReading(tuple(with_unique_ids([_with_neutral_id(scan) for scan in scans])))


def pack_case(
    model: RadDiagForImageClassification, processor: RadDiagImageProcessor, scans: Sequence[Scan]
) -> BatchFeature:
    """Return the scans of one case as a packed batch, on the model's device and in its type.

    Raises:
        CaseError: If there is no scan, or the modality of one is unknown to us or to the model.
    """
    _check_modalities(scans)
    for scan in scans:
        if scan.modality is not None and scan.modality not in processor.modality_slots:
            known = ", ".join(processor.modality_slots)
            raise CaseError(
                f"{scan.scan_id}: the model has no slot for {scan.modality.value}, only for {known}"
            )
    batch = processor(
        [scan.volume[0] if scan.is_picture else scan.volume for scan in scans],
        modalities=[scan.modality for scan in scans],
        studies=[scan.study_key for scan in scans],
    )
    return batch.to(device=model.device, dtype=model.dtype)


def _one_for_each(
    modalities: Modality | str | Sequence[Modality | str | None] | None, num_paths: int
) -> list[Modality | None]:
    if modalities is None or isinstance(modalities, str):  # a Modality is one
        modalities = [modalities] * num_paths
    if len(modalities) != num_paths:
        raise ValueError(f"{len(modalities)} modalities for {num_paths} paths, expected one each")
    return [None if modality is None else Modality.parse(modality) for modality in modalities]


def _check_modalities(scans: Sequence[Scan]) -> None:
    if not scans:
        raise CaseError("the case has no scan")
    for scan in scans:
        if scan.modality is None:
            raise CaseError(f"{scan.scan_id}: the modality is unknown, and nothing in it says")


def _path_of(scan: Scan) -> Path:
    return Path(str(scan.provenance.get("path")))


def _with_neutral_id(scan: Scan) -> Scan:
    path = scan.provenance.get("path")
    is_dicom = scan.provenance.get("format") == "dicom"
    is_digest = is_dicom and _DIGEST.fullmatch(scan.scan_id) is not None
    has_file_name = isinstance(path, str) and scan.scan_id.startswith(file_scan_id(Path(path)))
    if scan.scan_id and not (is_digest or (has_file_name and not is_dicom)):
        return scan
    return replace(scan, scan_id=str(scan.modality))


def _is_among(scan: Scan, others: Sequence[Scan]) -> bool:
    return any(
        scan.modality == other.modality
        and scan.volume.shape == other.volume.shape
        and bool((scan.volume[0] == other.volume[0]).all())  # quick, and mostly enough
        and bool((scan.volume == other.volume).all())
        and _lies_like(scan, other)
        for other in others
    )


def _lies_like(scan: Scan, other: Scan) -> bool:
    """Say whether equal voxels are of equal size and, where both files tell, in one place."""
    one, two = source_grid(scan), source_grid(other)
    if one.space_code > 0 and two.space_code > 0:
        return np.allclose(one.affine, two.affine)
    return np.allclose(scan.spacing_mm, other.spacing_mm, equal_nan=True)
