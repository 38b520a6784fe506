"""covid-chestxray-dataset: radiographs and CT slices of pneumonia; one case per patient."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from raddiag_hf.data.publishers.builder import CaseBuilder
from raddiag_hf.data.publishers.source import CaseSource, DataSourceError, ScanSource
from raddiag_hf.data.publishers.tables import read_table
from raddiag_hf.data.store.case import parse_age, parse_sex
from raddiag_hf.labels.label_set import LabelSet
from raddiag_hf.vocabulary import Anatomy, Modality, Plane

logger = logging.getLogger(__name__)

LABELS = LabelSet(
    (
        "No Finding",
        "COVID-19",
        "ARDS",
        "SARS",
        "MERS-CoV",
        "Influenza",
        "H1N1",
        "Varicella",
        "Herpes",
        "Streptococcus",
        "Pneumocystis",
        "Legionella",
        "Klebsiella",
        "E.Coli",
        "Chlamydophila",
        "Mycoplasma",
        "Nocardia",
        "Staphylococcus",
        "MRSA",
        "Aspergillosis",
        "Tuberculosis",
        "Lipoid",
        "Aspiration",
        "Bacterial",
        "Viral",
        "Fungal",
        "Pneumonia",
        "Unknown",
    )
)
"""The findings of all versions of the metadata; a path such as ``Pneumonia/Viral/SARS`` is its
last word."""

COLUMNS = (
    "patientid",
    "offset",
    "sex",
    "age",
    "finding",
    "view",
    "modality",
    "folder",
    "filename",
)
PLANES = {
    "PA": Plane.FRONTAL,
    "AP": Plane.FRONTAL,
    "AP Supine": Plane.FRONTAL,
    "AP Erect": Plane.FRONTAL,
    "L": Plane.LATERAL,
    "Axial": Plane.AXIAL,
    "Coronal": Plane.CORONAL,
}
VOLUME_FOLDER = "volumes"


class CovidChestxray(CaseBuilder):
    """Builder of the covid-chestxray-dataset."""

    TITLE = "covid-chestxray-dataset"
    DESCRIPTION = (
        "One case is one patient: all radiographs and CT slices in order of time. A case's labels "
        "are those of all its images. Pictures come from publications and differ much in quality."
    )
    HOMEPAGE = "https://github.com/ieee8023/covid-chestxray-dataset"
    LICENSE = "other"
    ACCESS = (
        "Clone the repository; data_dir is its folder, with metadata.csv and images. CT volumes, "
        "which it does not carry, are taken in where a folder volumes holds them. The metadata "
        "state the licence of each image, many of them CC BY-NC-SA."
    )

    def label_sets(self) -> Mapping[str, LabelSet]:
        """Return the publisher's findings."""
        return {"labels": LABELS}

    def list_cases(self) -> Sequence[CaseSource]:
        """Return the patients in the order of the metadata."""
        table = self.data_path / "metadata.csv"
        patients: dict[str, list[Mapping[str, str]]] = {}
        without_volumes = not (self.data_path / VOLUME_FOLDER).is_dir()
        left_out = 0
        for row in read_table(table, COLUMNS, filled=("patientid", "filename")):
            if row["folder"] == VOLUME_FOLDER and without_volumes:
                left_out += 1
            else:
                patients.setdefault(row["patientid"].strip(), []).append(row)
        if left_out:
            logger.warning("%s: %d CT volumes are not there and are left out", table, left_out)
        return [
            self._list_case(table, patient, sorted(rows, key=_offset))
            for patient, rows in patients.items()
        ]

    def _list_case(
        self, table: Path, patient: str, rows: Sequence[Mapping[str, str]]
    ) -> CaseSource:
        return CaseSource(
            case_id=f"covid-chestxray-{patient}",
            patient_id=f"covid-chestxray-{patient}",
            labels={"labels": _labels(table, rows)},
            scans=tuple(self._list_scan(table, row) for row in rows),
            anatomy=Anatomy.CHEST,
            age=next((age for row in rows if (age := parse_age(row["age"])) is not None), None),
            sex=next((sex for row in rows if (sex := parse_sex(row["sex"]))), None),
        )

    def _list_scan(self, table: Path, row: Mapping[str, str]) -> ScanSource:
        try:
            modality = Modality.parse(row["modality"])
        except ValueError as error:
            field = f"modality of {row['filename']}"
            raise DataSourceError(table, field, "X-ray or CT", str(error)) from None
        path = self.data_path / row["folder"] / row["filename"]
        view = row["view"].strip()
        return ScanSource(
            row["filename"],
            (path,),
            modality,
            Anatomy.CHEST,
            PLANES.get(view, Plane.UNKNOWN),
            sequence=view,
        )


def _offset(row: Mapping[str, str]) -> float:
    """Days since symptoms or admission; images without come first, in the order of the table."""
    try:
        return float(row["offset"])
    except ValueError:
        return float("-inf")


def _labels(table: Path, rows: Sequence[Mapping[str, str]]) -> tuple[str, ...]:
    present: set[str] = set()
    for row in rows:
        for finding in row["finding"].split(","):
            name = finding.strip().rsplit("/", 1)[-1].strip()
            if name not in LABELS.label2id:
                field = f"finding of {row['filename']}"
                raise DataSourceError(table, field, "a known finding", repr(name))
            present.add(name)
    return tuple(name for name in LABELS.names if name in present)
