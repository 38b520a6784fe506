"""NIH ChestX-ray14: chest radiographs with fourteen findings; one case per film."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from raddiag_hf.data.publishers.builder import CaseBuilder, CaseBuilderConfig
from raddiag_hf.data.publishers.source import CaseSource, DataSourceError, ScanSource
from raddiag_hf.data.publishers.tables import read_table
from raddiag_hf.data.store.case import parse_age, parse_sex
from raddiag_hf.labels.label_set import LabelSet
from raddiag_hf.vocabulary import Anatomy, Modality, Plane, Split

FINDINGS = LabelSet(
    (
        "Atelectasis",
        "Cardiomegaly",
        "Effusion",
        "Infiltration",
        "Mass",
        "Nodule",
        "Pneumonia",
        "Pneumothorax",
        "Consolidation",
        "Edema",
        "Emphysema",
        "Fibrosis",
        "Pleural_Thickening",
        "Hernia",
    )
)
NO_FINDING = "No Finding"
"""What the publisher calls a film with none of them."""
WITH_NO_FINDING = LabelSet((NO_FINDING, *FINDINGS.names))
TABLES = ("Data_Entry_2017_v2020.csv", "Data_Entry_2017.csv")
COLUMNS = (
    "Image Index",
    "Finding Labels",
    "Patient ID",
    "Patient Age",
    "Patient Gender",
    "View Position",
)


class Cxr14(CaseBuilder):
    """Builder of the ChestX-ray14 data set.

    Publications report means over the fourteen findings, and so does whatever reads the labels of
    the configuration ``findings``.
    """

    BUILDER_CONFIGS: ClassVar = [
        CaseBuilderConfig(name="findings"),
        CaseBuilderConfig(name="with_no_finding"),
    ]
    DEFAULT_CONFIG_NAME: ClassVar[str] = "findings"

    TITLE = "NIH ChestX-ray14"
    DESCRIPTION = (
        "One case is one film; a patient has several over time. Labels were mined from reports; "
        "a film without any label has none of the fourteen findings. The configuration "
        "with_no_finding calls it No Finding, which then counts in every mean over labels. "
        "test_list.txt, where it is there, is the test split; the publisher's other patients are "
        "split into training and validation."
    )
    HOMEPAGE = "https://nihcc.app.box.com/v/ChestXray-NIHCC"
    LICENSE = "other"
    ACCESS = (
        "Download it from the NIH Clinical Center; data_dir holds Data_Entry_2017_v2020.csv (or "
        "Data_Entry_2017.csv), images/*.png or images_001/images/*.png and so on, and, for the "
        "published split, train_val_list.txt and test_list.txt. Use is free; name the NIH Clinical "
        "Center as the source, and cite the paper of Wang et al., CVPR 2017."
    )

    def published_counts(self) -> Mapping[str, int]:
        """Return the films and patients of the whole release."""
        return {"cases": 112_120, "patients": 30_805}

    def label_sets(self) -> Mapping[str, LabelSet]:
        """Return the fourteen findings, or ``No Finding`` and these, in the publisher's order."""
        is_told = self.config.name == "with_no_finding"
        return {"labels": WITH_NO_FINDING if is_told else FINDINGS}

    def list_cases(self) -> Sequence[CaseSource]:
        """Return the films in the order of the table."""
        tables = [self.data_path / name for name in TABLES]
        table = next((path for path in tables if path.is_file()), tables[0])
        rows = read_table(table, COLUMNS, filled=("Image Index", "Patient ID"))
        folders = self._folders()
        splits = self._published_splits()
        known = self.label_sets()["labels"].label2id
        cases = []
        for row in rows:
            name = row["Image Index"]
            if splits and name not in splits:
                raise DataSourceError(table, name, "in train_val_list.txt or test_list.txt", "none")
            folder = folders.get(name, self.data_path / "images")
            scan = ScanSource(
                Path(name).stem,
                (folder / name,),
                Modality.XRAY,
                Anatomy.CHEST,
                Plane.from_dicom_view(row["View Position"]),
                sequence=row["View Position"],
            )
            cases.append(
                CaseSource(
                    case_id=Path(name).stem,
                    patient_id=f"cxr14-{row['Patient ID'].strip()}",
                    labels={"labels": tuple(one for one in _labels(table, row) if one in known)},
                    scans=(scan,),
                    anatomy=Anatomy.CHEST,
                    age=parse_age(row["Patient Age"]),
                    sex=parse_sex(row["Patient Gender"]),
                    split=splits.get(name),
                )
            )
        return cases

    def _folders(self) -> dict[str, Path]:
        """Return the folder of each image that is there."""
        data = self.data_path
        folders = [data / "images", *sorted(data.glob("images_*/images")), data]
        return {
            file.name: folder
            for folder in folders
            if folder.is_dir()
            for file in folder.iterdir()
            if file.suffix == ".png"
        }

    def _published_splits(self) -> dict[str, Split | None]:
        """Return the split of each image; None where training and validation are open."""
        splits: dict[str, Split | None] = {}
        parts = {"train_val_list.txt": None, "test_list.txt": Split.TEST}
        found = [name for name in parts if (self.data_path / name).is_file()]
        if len(found) == 1:
            missing = next(name for name in parts if name not in found)
            raise DataSourceError(
                self.data_path / missing, "", f"a file, as there is {found[0]}", "no such file"
            )
        for name in found:
            lines = (self.data_path / name).read_text("utf-8").split()
            splits |= dict.fromkeys(lines, parts[name])
        return splits


def _labels(table: Path, row: Mapping[str, str]) -> tuple[str, ...]:
    labels = tuple(dict.fromkeys(row["Finding Labels"].strip().split("|")))
    for label in labels:
        if label not in WITH_NO_FINDING.label2id:
            field = f"Finding Labels of {row['Image Index']}"
            raise DataSourceError(table, field, "findings of ChestX-ray14", repr(label))
    return labels
