"""RP3D-DiagDS: cases of Radiopaedia with several scans; disorders or ICD-10-CM categories."""

import json
import logging
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar

import datasets

from raddiag_hf.checkpoints.label_file import LabelFileError, read_label_file
from raddiag_hf.data.publishers.builder import CaseBuilder, CaseBuilderConfig
from raddiag_hf.data.publishers.source import CaseSource, DataSourceError, ScanSource
from raddiag_hf.data.store.case import parse_age, parse_sex
from raddiag_hf.labels.label_set import LabelSet
from raddiag_hf.vocabulary import Anatomy, Modality, Plane, Split

logger = logging.getLogger(__name__)

CASE_FILES: Mapping[str, Split | None] = {
    "train.json": None,
    "RP3D_train.json": None,
    "test.json": Split.TEST,
    "RP3D_test.json": Split.TEST,
    "demoData.json": Split.TEST,
}
"""Files of cases -> the split that they fix; training files are open to validation."""

ICD10_TEXTS_FILE = "icd10_desription.json"
"""What each ICD-10-CM category means; the authors spell it so."""

VERSION = datasets.Version("1.1.0")
_AGE = re.compile(r"Age:\s*(\d+(?:\.\d+)?(?:\s*(?!gender)[a-z]+)?)", re.IGNORECASE)
_CATEGORY = re.compile(r"[A-Z]\d[0-9A-Z]")
_SEX = re.compile(r"Gender:\s*(\w+)", re.IGNORECASE)


@dataclass
class Rp3dDiagConfig(CaseBuilderConfig):
    """Which label space the cases get.

    Attributes:
        label_column: Name of the label column.
        label_key: Key of a sample's labels in the JSON: ``articles`` or ``icd10s``, the two that
            the authors' training reads (``icd10news`` repeats ``icd10s`` in another order).
        label_file: File name -> column of the logits.
        most_frequent: Keep the so many labels with the most training cases, and the cases that have
            one; None keeps all. The paper's ablations use 200.
    """

    label_column: str = "disorders"
    label_key: str = "articles"
    label_file: str = "disorder_label_dict.json"
    most_frequent: int | None = None


class Rp3dDiag(CaseBuilder):
    """Builder of RP3D-DiagDS from the authors' files."""

    BUILDER_CONFIG_CLASS = Rp3dDiagConfig
    BUILDER_CONFIGS: ClassVar = [
        Rp3dDiagConfig(name="disorders", version=VERSION),
        Rp3dDiagConfig(
            name="icd10",
            version=VERSION,
            label_column="icd10",
            label_key="icd10s",
            label_file="icd10_label_dict.json",
        ),
        Rp3dDiagConfig(name="subset200", version=VERSION, most_frequent=200),
    ]
    DEFAULT_CONFIG_NAME = "disorders"
    TITLE = "RP3D-DiagDS"
    DESCRIPTION = (
        "One case is one Radiopaedia case, all its scans together; patients are not named, so a "
        "case is its own patient. Configurations: disorders (5,569 with Normal), icd10 (931 "
        "ICD-10-CM categories with Normal), subset200 (the 200 disorders with the most training "
        "cases). A case's labels are those of all its samples; names outside the label file are "
        "dropped, as in the reference. test.json is the test split, train.json is split 7:1 into "
        "training and validation; without a test file, 7:1:2."
    )
    HOMEPAGE = "https://huggingface.co/datasets/QiaoyuZheng/RP3D-DiagDS"
    LICENSE = "other"
    ACCESS = (
        "Ask for access at https://huggingface.co/datasets/QiaoyuZheng/RP3D-DiagDS and accept the "
        "terms of Radiopaedia, whose images these are. data_dir holds train.json and test.json, "
        "disorder_label_dict.json or icd10_label_dict.json, optionally icd10_desription.json (what "
        "each category means), and the arrays under the folder names in which image_data_path and "
        "image_key_path of the JSON end, such as DemoData/data and DemoData/key. aug.json, the "
        "training cases once more by anatomy, is not read: augmentation finds cases to mix by the "
        "column anatomy, and among the training split only, so that no validation case gets in."
    )

    def label_sets(self) -> Mapping[str, LabelSet]:
        """Return the label set of the configuration."""
        return {self.config.label_column: self._label_set}

    def published_counts(self) -> Mapping[str, int]:
        """Return the size of the label space; publications differ on the number of cases."""
        if self.config.most_frequent is not None:
            return {"labels": self.config.most_frequent}
        return {"labels": {"disorders": 5_569, "icd10": 931}[self.config.label_column]}

    def list_cases(self) -> Sequence[CaseSource]:
        """Return the cases in the order of the files."""
        folders: dict[PurePosixPath, Path] = {}
        wanted = self._label_set.label2id
        cases = []
        files_of: dict[str, Path] = {}
        for file, link, content in self._read_cases():
            case_id = _case_id(link)
            if case_id in files_of:
                raise DataSourceError(file, case_id, "once", f"also in {files_of[case_id].name}")
            files_of[case_id] = file
            labels = tuple(
                name for name in _label_names(file, content, self.config) if name in wanted
            )
            if labels or self.config.most_frequent is None:
                cases.append(self._list_case(file, case_id, content, labels, folders))
        return cases

    @cached_property
    def _label_set(self) -> LabelSet:
        path = self.data_path / self.config.label_file
        try:
            label_set = read_label_file(path)
        except FileNotFoundError:
            raise DataSourceError(
                path, "", "a JSON object name -> column", "no such file"
            ) from None
        except LabelFileError as error:
            raise DataSourceError(path, "", "a JSON object name -> column", str(error)) from None
        if self.config.label_column == "icd10":
            return self._with_meanings(label_set)
        if self.config.most_frequent is None:
            return label_set
        counts = Counter(
            name
            for file, _, content in self._read_cases()
            if CASE_FILES[file.name] is None
            for name in _label_names(file, content, self.config)
        )
        ranked = sorted(label_set.names, key=lambda name: -counts[name])
        return LabelSet(tuple(ranked[: self.config.most_frequent]))

    def _with_meanings(self, categories: LabelSet) -> LabelSet:
        """Return the categories with their own codes, and their meanings where there is a file."""
        codes = tuple(name if _CATEGORY.fullmatch(name) else "" for name in categories.names)
        path = self.data_path / ICD10_TEXTS_FILE
        if not path.is_file():
            return replace(categories, codes=codes)
        texts = _read_object(path, "an object category -> meaning")
        definitions = tuple(str(texts.get(name, "")) for name in categories.names)
        return replace(categories, codes=codes, definitions=definitions)

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
        labels: tuple[str, ...],
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
            labels={self.config.label_column: labels},
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


def _label_names(file: Path, content: Mapping[str, Any], config: Rp3dDiagConfig) -> dict[str, None]:
    """Return the labels of all samples of a case, in order and each once."""
    names: dict[str, None] = {}
    for sample in content.get("Samples", []):
        if config.label_key not in sample:
            raise DataSourceError(file, config.label_key, "labels in every sample", "none")
        names |= dict.fromkeys(sample[config.label_key])
    return names


def _anatomy(text: str | None) -> Anatomy:
    """``Mixed`` is no region."""
    try:
        return Anatomy.parse(text or "")
    except ValueError:
        return Anatomy.UNKNOWN


def _case_id(link: str) -> str:
    """Return the last part of a Radiopaedia link, its language left out."""
    return link.split("?")[0].rstrip("/").rsplit("/", 1)[-1]
