"""What a manifest or a study folder says about a case, before any pixel of it is read."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from raddiag_hf.core.errors import InputError
from raddiag_hf.vocabulary import Anatomy, Modality, Sex, Split

NOT_DICOM = "not_dicom"
"""Reason of files in a study folder that do not say which study they belong to."""

NO_CLASS = "no_class"
"""Reason of files that lie in no folder of a label."""


class HospitalDataError(InputError):
    """Hospital data that cannot be imported: which file or folder, what was expected and found."""


class ManifestError(HospitalDataError):
    """A manifest that contradicts itself or cannot be understood: which rows and columns, why."""


@dataclass(frozen=True)
class HospitalScan:
    """Files of one case that are read together.

    Attributes:
        path: A file; or the folder that ``files`` are relative to.
        files: What is read of the folder; None if ``path`` is the file itself.
        row: Row of the manifest, whose header is row 1; None without manifest.
        modality: What made it, where the manifest says.
        anatomy: What it shows, likewise.
        study: The hospital's own name of its study, likewise; empty leaves it to the files.
    """

    path: Path
    files: tuple[Path, ...] | None = None
    row: int | None = None
    modality: Modality | None = None
    anatomy: Anatomy | None = None
    study: str = ""

    def all_files(self) -> Iterator[Path]:
        """Yield the path of every file."""
        if self.files is None:
            yield self.path
        else:
            yield from (self.path / file for file in self.files)


@dataclass(frozen=True)
class HospitalCase:
    """A case under the names that the hospital knows it by; they must not be put out.

    Attributes:
        case_id: The hospital's own name of it.
        patient_id: The hospital's own name of the patient; empty where nothing says.
        scans: At least one.
        labels: Label names; empty where it has none, or nobody labelled it.
        split: Where the manifest says.
        age: Years.
        sex: As recorded.
        row: First row of the manifest; None without manifest.
        unknown_labels: Labels of which nobody knows whether it has them.
        is_labelled: Somebody said of each other label that it has it or not, even if it has none.
    """

    case_id: str
    patient_id: str
    scans: tuple[HospitalScan, ...]
    labels: tuple[str, ...] = ()
    split: Split | None = None
    age: float | None = None
    sex: Sex | None = None
    row: int | None = None
    unknown_labels: tuple[str, ...] = ()
    is_labelled: bool = False


@dataclass(frozen=True)
class StrayFiles:
    """Files that belong to no case, and why: codes of `ScanReadReason` and ``NOT_DICOM``."""

    files: tuple[tuple[Path, str], ...]
