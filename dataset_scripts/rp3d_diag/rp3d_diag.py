"""RP3D-DiagDS: cases of Radiopaedia with several scans; disorders and ICD-10-CM categories."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar

import datasets

from raddiag_hf.checkpoints.label_file import ICD10_LABEL_FILE, read_label_file
from raddiag_hf.data.publishers.builder import CaseBuilder, CaseBuilderConfig
from raddiag_hf.data.publishers.source import CaseSource, DataSourceError, ScanSource
from raddiag_hf.data.store.case import parse_age, parse_sex
from raddiag_hf.labels.label_set import LabelSet
from raddiag_hf.vocabulary import Anatomy, Modality, Plane, Split

CASE_FILES: Mapping[str, Split | None] = {
    "train.json": None,
    "RP3D_train.json": None,
    "test.json": Split.TEST,
    "RP3D_test.json": Split.TEST,
    "demoData.json": Split.TEST,
}
"""Files of cases -> the split that they fix; training files are open to validation."""

VERSION = datasets.Version("2.0.0")
_AGE = re.compile(r"Age:\s*(\d+(?:\.\d+)?(?:\s*(?!gender)[a-z]+)?)", re.IGNORECASE)
_SEX = re.compile(r"Gender:\s*(\w+)", re.IGNORECASE)


@dataclass(frozen=True)
class Level:
    """One of the two label spaces.

    Attributes:
        key: Key of a sample's labels in the JSON, of those that the authors' training reads
            (``icd10news`` repeats ``icd10s`` in another order).
        label_file: File name -> column of the logits.
    """

    key: str
    label_file: str


LEVELS = {
    "disorders": Level("articles", "disorder_label_dict.json"),
    "icd10": Level("icd10s", ICD10_LABEL_FILE),
}
"""Label column -> what it is made of."""
FORMER_CONFIGURATIONS = {
    "disorders": "disorders",
    "icd10": "icd10",
    "subset200": "disorders:200",
}
"""Configuration of earlier releases -> the label column that stands for it now."""


class Rp3dDiag(CaseBuilder):
    """Builder of RP3D-DiagDS from the authors' files."""

    BUILDER_CONFIGS: ClassVar = [CaseBuilderConfig(name="default", version=VERSION)]
    TITLE = "RP3D-DiagDS"
    DESCRIPTION = (
        "One case is one Radiopaedia case, all its scans together; patients are not named, so a "
        "case is its own patient. Two label columns of the same cases: disorders (5,569 with "
        "Normal) and icd10 (931 ICD-10-CM categories with Normal, named by code and meaning); "
        "disorders:200 stands for the 200 disorders with the most training cases, and the cases "
        "that have one. A case's labels are those of all its samples; names outside the label file "
        "are dropped, as in the reference. test.json is the test split, train.json is split 7:1 "
        "into training and validation; without a test file, 7:1:2."
    )
    HOMEPAGE = "https://huggingface.co/datasets/QiaoyuZheng/RP3D-DiagDS"
    LICENSE = "other"
    ACCESS = (
        "Ask for access at https://huggingface.co/datasets/QiaoyuZheng/RP3D-DiagDS and accept the "
        "terms of Radiopaedia, whose images these are. data_dir holds train.json and test.json, "
        "disorder_label_dict.json and icd10_label_dict.json (a level without its file is left "
        "out), optionally icd10_desription.json (the authors' words for each category), and the "
        "arrays under the folder names in which image_data_path and image_key_path of the JSON "
        "end, such as DemoData/data and DemoData/key. aug.json, the "
        "training cases once more by anatomy, is not read: augmentation finds cases to mix by the "
        "column anatomy, and among the training split only, so that no validation case gets in."
    )

    def __init__(self, *args: Any, config_name: str | None = None, **kwargs: Any) -> None:
        if config_name in FORMER_CONFIGURATIONS:
            raise DataSourceError(
                Path("rp3d_diag"),
                "configuration",
                "none, as one build has both label levels; choose label column "
                f"{FORMER_CONFIGURATIONS[config_name]} where it is used",
                config_name,
            )
        super().__init__(*args, config_name=config_name, **kwargs)

    def label_sets(self) -> Mapping[str, LabelSet]:
        """Return the label sets of the levels whose files are there."""
        return self._label_sets

    def published_counts(self) -> Mapping[str, int]:
        """Return the size of both label spaces; publications differ on the number of cases."""
        return {"labels": 5_569 + 931}

    def list_cases(self) -> Sequence[CaseSource]:
        """Return the cases in the order of the files."""
        folders: dict[PurePosixPath, Path] = {}
        names = {
            column: {code or name: name for code, name in zip(_codes(one), one.names, strict=True)}
            for column, one in self._label_sets.items()
        }
        cases = []
        files_of: dict[str, Path] = {}
        for file, link, content in self._read_cases():
            case_id = _case_id(link)
            if case_id in files_of:
                raise DataSourceError(file, case_id, "once", f"also in {files_of[case_id].name}")
            files_of[case_id] = file
            labels = {
                column: tuple(known[label] for label in found if label in known)
                for column, known in names.items()
                for found in [_labels_of(file, content, LEVELS[column].key)]
            }
            cases.append(self._list_case(file, case_id, content, labels, folders))
        return cases

    @cached_property
    def _label_sets(self) -> dict[str, LabelSet]:
        files = {column: self.data_path / level.label_file for column, level in LEVELS.items()}
        found = {column: read_label_file(file) for column, file in files.items() if file.is_file()}
        if not found:
            expected = " or ".join(file.name for file in files.values())
            raise DataSourceError(self.data_path, "", expected, "neither of them")
        return found

    def _read_cases(self) -> Iterator[tuple[Path, str, Mapping[str, Any]]]:
        files = [self.data_path / name for name in CASE_FILES]
        found = [file for file in files if file.is_file()]
        if not found:
            raise DataSourceError(self.data_path, "", "train.json or test.json", "neither of them")
        for file in found:
            for link, case in _read_object(file, "an object link -> case").items():
                samples = case.get("Samples") if isinstance(case, dict) else None
                if not samples or not all(isinstance(sample, dict) for sample in samples):
                    raise DataSourceError(file, f"{link}: Samples", "a list of objects", "none")
                yield file, link, case

    def _list_case(
        self,
        file: Path,
        case_id: str,
        content: Mapping[str, Any],
        labels: Mapping[str, tuple[str, ...]],
        folders: dict[PurePosixPath, Path],
    ) -> CaseSource:
        modalities = _get(file, case_id, content, "Modalities", list)
        samples = _get(file, case_id, content, "Samples", list)
        if len(modalities) != len(samples):
            found = f"{len(modalities)} for {len(samples)} samples"
            raise DataSourceError(file, f"{case_id}: Modalities", "one per sample", found)
        scans: list[ScanSource] = []
        for number, (modality, sample) in enumerate(zip(modalities, samples, strict=True), start=1):
            listed = self._list_scans(file, case_id, modality, sample, folders)
            scans += [replace(scan, study=f"sample-{number}") for scan in listed]
        patient = str(samples[0].get("pat") or "")
        age, sex = _AGE.search(patient), _SEX.search(patient)
        return CaseSource(
            case_id=case_id,
            patient_id=case_id,
            labels=labels,
            scans=tuple(scans),
            anatomy=_anatomy(content.get("Anatomy")),
            age=parse_age(age[1]) if age else None,
            sex=parse_sex(sex[1]) if sex else None,
            split=CASE_FILES[file.name],
        )

    def _list_scans(
        self,
        file: Path,
        case_id: str,
        modality: str,
        sample: Mapping[str, Any],
        folders: dict[PurePosixPath, Path],
    ) -> Iterator[ScanSource]:
        arrays = _get(file, case_id, sample, "image_data_path", list)
        keys = _get(file, case_id, sample, "image_key_path", list)
        if len(arrays) != len(keys):
            found = f"{len(keys)} for {len(arrays)} arrays"
            raise DataSourceError(file, f"{case_id}: image_key_path", "one per array", found)
        try:
            parsed = Modality.parse(modality)
        except ValueError as error:
            field = f"{case_id}: Modalities"
            raise DataSourceError(file, field, "known modalities", str(error)) from None
        planes = sample.get("plane_projection") or []
        sequences = sample.get("aux_modality") or []
        for index, (array, key) in enumerate(zip(arrays, keys, strict=True)):
            path = self._locate(array, folders)
            plane = planes[index] if index < len(planes) else None
            sequence = sequences[index] if index < len(sequences) else None
            yield ScanSource(
                path.stem,
                (path,),
                parsed,
                _anatomy(sample.get("anatomy")),
                Plane(plane) if plane in list(Plane) else Plane.UNKNOWN,
                sequence=sequence or "",
                key_path=self._locate(key, folders),
            )

    def _locate(self, listed: str, folders: dict[PurePosixPath, Path]) -> Path:
        """Return where a file is here: the JSON has absolute paths of the authors' machine.

        Its folder is the one below ``data_dir`` that agrees with most of the path's end.
        """
        path = PurePosixPath(listed)
        if path.parent not in folders:
            parts = path.parent.parts
            ends = [self.data_path.joinpath(*parts[start:]) for start in range(1, len(parts))]
            found = [folder for folder in ends if folder.is_dir()]
            folders[path.parent] = found[0] if found else ends[-1]
        return folders[path.parent] / path.name


def _read_object(file: Path, expected: str) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text("utf-8"))
    except ValueError as error:
        raise DataSourceError(file, "", "JSON", str(error)) from None
    if not isinstance(content, dict) or not content:
        raise DataSourceError(file, "", expected, type(content).__name__)
    return content


def _get(file: Path, case_id: str, content: Mapping[str, Any], key: str, kind: type) -> Any:
    value = content.get(key)
    if not isinstance(value, kind) or not value:
        found = "nothing" if not value else type(value).__name__
        raise DataSourceError(file, f"{case_id}: {key}", f"a {kind.__name__} of values", found)
    return value


def _codes(label_set: LabelSet) -> tuple[str, ...]:
    return label_set.codes or ("",) * len(label_set)


def _labels_of(file: Path, content: Mapping[str, Any], key: str) -> dict[str, None]:
    """Return the labels of all samples of a case, in order and each once."""
    labels: dict[str, None] = {}
    for sample in content.get("Samples", []):
        if key not in sample:
            raise DataSourceError(file, key, "labels in every sample", "none")
        labels |= dict.fromkeys(sample[key])
    return labels


def _anatomy(text: str | None) -> Anatomy:
    """``Mixed`` is no region."""
    try:
        return Anatomy.parse(text or "")
    except ValueError:
        return Anatomy.UNKNOWN


def _case_id(link: str) -> str:
    """Return the last part of a Radiopaedia link, its language left out."""
    return link.split("?")[0].rstrip("/").rsplit("/", 1)[-1]
