"""A case of a published data set before its scans are read, and reading it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from raddiag_hf.core.errors import InputError
from raddiag_hf.data.store.case import Case
from raddiag_hf.data.store.case_writer import BuiltCase
from raddiag_hf.data.store.rejection import Rejection
from raddiag_hf.data.store.scan_record import CaseScan
from raddiag_hf.imaging.read_settings import ReadSettings
from raddiag_hf.imaging.reading import read_scan, read_slices
from raddiag_hf.imaging.scan import Scan, ScanReadError, ScanReadReason
from raddiag_hf.vocabulary import Anatomy, Modality, Plane, Sex, Split

_PUBLISHED = ReadSettings(npy_depth="last")
"""As RP3D-DiagDS has its arrays."""


class DataSourceError(InputError):
    """A file or folder of a published data set that is not as expected.

    Attributes:
        path: The file or folder at fault.
        field: The column, key or count at fault; empty where it is the file itself.
        expected: What should be there.
        found: What is there; no patient data.
    """

    def __init__(self, path: Path | str, field: str, expected: str, found: str) -> None:
        self.path, self.field = Path(path), field
        self.expected, self.found = expected, found
        where = f"{path}: {field}" if field else str(path)
        super().__init__(f"{where}: expected {expected}, found {found}")

    def __reduce__(self) -> tuple[type["DataSourceError"], tuple[str, str, str, str]]:
        """Let worker processes hand the error to their parent whole."""
        return type(self), (str(self.path), self.field, self.expected, self.found)


@dataclass(frozen=True)
class ScanSource:
    """Where one scan of a case is, and what the publisher says about it.

    Attributes:
        scan_id: Unique within the case.
        paths: One file; or several pictures, the slices of one scan in order.
        modality: What made it.
        anatomy: The region that it shows.
        plane: As the publisher says; UNKNOWN leaves it to the file.
        sequence: Sequence, window or view in the publisher's own words.
        key_path: NPY file that holds the index of the key slice, None where there is none.
        study: What of its case it was made in; see `CaseScan`.
    """

    scan_id: str
    paths: tuple[Path, ...]
    modality: Modality
    anatomy: Anatomy
    plane: Plane = Plane.UNKNOWN
    sequence: str = ""
    key_path: Path | None = None
    study: str = ""

    @property
    def files(self) -> tuple[Path, ...]:
        """All files that have to be there."""
        return self.paths if self.key_path is None else (*self.paths, self.key_path)


@dataclass(frozen=True)
class CaseSource:
    """What a publisher's tables and folders say about a case; see `Case`.

    Attributes:
        split: The split that the publisher fixed, None where it is open.
    """

    case_id: str
    patient_id: str
    labels: Mapping[str, tuple[str, ...]]
    scans: tuple[ScanSource, ...]
    anatomy: Anatomy = Anatomy.UNKNOWN
    age: float | None = None
    sex: Sex | None = None
    split: Split | None = None


def read_case(case_source: CaseSource, *, source: str, strict: bool) -> BuiltCase:
    """Read the scans of a case.

    Args:
        case_source: Which files they are.
        source: Name of the data set.
        strict: Whether a bad scan is an error; otherwise it is set aside, and so is a case without
            any scan left.

    Raises:
        DataSourceError: If a file is missing or cannot be read, and ``strict``.
    """
    scans: list[CaseScan] = []
    rejections: list[Rejection] = []
    for scan_source in case_source.scans:
        try:
            scans.append(_read_scan(scan_source))
        except ScanReadError as error:
            if strict:
                raise DataSourceError(error.path, "", "a readable scan", error.found) from None
            rejections.append(
                Rejection(case_source.case_id, str(error.path), error.reason, error.found)
            )
    if not scans:
        return BuiltCase(None, tuple(rejections))
    case = Case(
        case_id=case_source.case_id,
        patient_id=case_source.patient_id,
        source=source,
        scans=tuple(scans),
        labels=case_source.labels,
        anatomy=case_source.anatomy,
        age=case_source.age,
        sex=case_source.sex,
    )
    return BuiltCase(case, tuple(rejections))


def _read_scan(source: ScanSource) -> CaseScan:
    for path in source.paths:
        if path.is_dir():
            raise ScanReadError(path, ScanReadReason.UNREADABLE, "a folder, not a file")
    if len(source.paths) > 1:
        scan = read_slices(source.paths)
    else:
        scan = read_scan(source.paths[0], settings=_PUBLISHED)
    plane = scan.plane if source.plane is Plane.UNKNOWN else source.plane
    scan = replace(
        scan,
        scan_id=source.scan_id,
        modality=source.modality,
        anatomy=source.anatomy,
        plane=plane,
    )
    return CaseScan(scan, _read_key(source, scan), source.sequence, source.study)


def _read_key(source: ScanSource, scan: Scan) -> int:
    """Return the key slice; one beyond the scan, as RP3D-DiagDS has, is unknown."""
    if source.key_path is None:
        return -1
    try:
        key = int(np.load(source.key_path, allow_pickle=False).reshape(-1)[0])
    except (OSError, ValueError, IndexError, EOFError) as error:
        raise ScanReadError(
            source.key_path, ScanReadReason.CORRUPT, f"no index of a key slice: {error}"
        ) from None
    return key if 0 <= key < len(scan.volume) else -1
