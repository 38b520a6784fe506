"""POCUS: lung ultrasound of COVID-19, pneumonia and healthy lungs; one case per patient."""

import logging
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from raddiag_hf.data.publishers.builder import CaseBuilder
from raddiag_hf.data.publishers.source import CaseSource, DataSourceError, ScanSource
from raddiag_hf.data.publishers.tables import list_folder, read_table
from raddiag_hf.data.store.case import parse_age, parse_sex
from raddiag_hf.labels.label_set import LabelSet
from raddiag_hf.vocabulary import Anatomy, Modality

logger = logging.getLogger(__name__)

LABELS = LabelSet(("COVID-19", "pneumonia", "regular"))
CLASS_FOLDERS = {"covid": "COVID-19", "pneumonia": "pneumonia", "regular": "regular"}
LABEL_OF = {
    "COVID-19": "COVID-19",
    "Bacterial pneumonia": "pneumonia",
    "Viral pneumonia": "pneumonia",
    "regular": "regular",
}
"""``Label`` of the metadata -> label; one of the publisher's three class folders."""

COLUMNS = ("Filename", "Label", "InThisRepo", "Probe", "Gender", "Age", "Patient ID / Name")
_FRAME = re.compile(r"(?P<clip>.+)_frame(?P<number>\d+)")


class Pocus(CaseBuilder):
    """Builder of the POCUS data set."""

    TITLE = "POCUS lung ultrasound"
    DESCRIPTION = (
        "One case is one patient: every clip and still is a scan, a clip's frames are its slices. "
        "A case's labels are those of all its clips, so patients who change class have two. "
        "Published splits by frame put one patient on both sides; these are by patient."
    )
    HOMEPAGE = "https://github.com/jannisborn/covid19_ultrasound"
    LICENSE = "cc-by-nc-4.0"
    ACCESS = (
        "Clone the repository and make its image_dataset; data_dir is its data folder, with "
        "dataset_metadata.csv and image_dataset/{covid,pneumonia,regular}/<clip>_frame<N>.jpg. The "
        "metadata state the licence of each clip, CC BY and CC BY-NC."
    )

    def label_sets(self) -> Mapping[str, LabelSet]:
        """Return the paper's three classes."""
        return {"labels": LABELS}

    def list_cases(self) -> Sequence[CaseSource]:
        """Return the patients in the order of the metadata."""
        table = self.data_path / "dataset_metadata.csv"
        rows = {
            _without_suffix(row["Filename"]): row
            for row in read_table(table, COLUMNS, filled=("Filename",))
            if row["InThisRepo"].strip().lower() == "yes"
        }
        files = self._files_of_clips()
        patients: dict[str, list[str]] = {}
        for clip, row in rows.items():
            label = row["Label"].strip()
            if label not in LABEL_OF:
                expected = f"one of {', '.join(LABEL_OF)}"
                raise DataSourceError(table, f"Label of {clip}", expected, repr(label))
            if clip in files:
                patient = row["Patient ID / Name"].strip() or f"unknown-{clip}"
                patients.setdefault(patient, []).append(clip)
        if without := rows.keys() - files.keys():
            logger.warning("%s: %d clips have no frames and are left out", table, len(without))
        for clip, paths in files.items():
            if clip not in rows:
                raise DataSourceError(paths[0], "", f"a row in {table.name}", "none")
            folder, label = paths[0].parent.name, LABEL_OF[rows[clip]["Label"].strip()]
            if CLASS_FOLDERS[folder] != label:
                raise DataSourceError(paths[0], "folder", f"that of {label}", folder)
        return [
            CaseSource(
                case_id=f"pocus-{patient}",
                patient_id=f"pocus-{patient}",
                labels={"labels": _labels([rows[clip] for clip in clips])},
                scans=tuple(
                    ScanSource(
                        clip,
                        tuple(files[clip]),
                        Modality.ULTRASOUND,
                        Anatomy.CHEST,
                        sequence=rows[clip]["Probe"].strip().lower(),
                    )
                    for clip in clips
                ),
                anatomy=Anatomy.CHEST,
                age=parse_age(rows[clips[0]]["Age"]),
                sex=parse_sex(rows[clips[0]]["Gender"]),
            )
            for patient, clips in patients.items()
        ]

    def _files_of_clips(self) -> dict[str, list[Path]]:
        """Return the files of each clip, frames in order."""
        numbered: dict[str, list[tuple[int, Path]]] = {}
        for folder in CLASS_FOLDERS:
            path = self.data_path / "image_dataset" / folder
            if not path.is_dir():
                raise DataSourceError(path, "", "a folder of frames", "no such folder")
            for file in list_folder(path):
                frame = _FRAME.fullmatch(file.stem)
                name = _without_suffix(frame["clip"] if frame else file.name)
                number = int(frame["number"]) if frame else 0
                numbered.setdefault(name, []).append((number, file))
        return {clip: [file for _, file in sorted(files)] for clip, files in numbered.items()}


def _without_suffix(name: str) -> str:
    """Metadata name most clips without the suffix that their frames carry."""
    return re.sub(r"\.(mp4|gif|avi|mov|mpe?g|jpe?g|png)$", "", name.strip(), flags=re.IGNORECASE)


def _labels(rows: Sequence[Mapping[str, str]]) -> tuple[str, ...]:
    present = {LABEL_OF[row["Label"].strip()] for row in rows}
    return tuple(name for name in LABELS.names if name in present)
