"""The five real data sets of `real_data.py`, built once, split so that no neighbour leaks."""

import csv
import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from raddiag_hf.data.analysis.near_duplicates import NEAR_BITS, group_patients
from raddiag_hf.data.hospital.import_settings import ImportSettings
from raddiag_hf.data.hospital.importing import import_hospital_data
from raddiag_hf.data.hospital.pseudonyms import Pseudonyms
from raddiag_hf.data.publishers.loading import load_builder
from raddiag_hf.data.store.storage_options import StorageOptions

DATA_SETS = {
    "cxr14": "ChestX-ray14",
    "brain_tumor": "Brain-Tumor",
    "covid_chestxray": "COVID",
    "pocus": "POCUS",
    "ct_kidney": "CT-Kidney",
}
"""Folder of the publisher's files -> name in the tables."""
STORAGE = StorageOptions(bits=8, max_side=256)
PSEUDONYMS = Pseudonyms(bytes(32))
"""Of a key that everybody knows: the images are public, and splits go by pseudonym."""
BLOCK = 40
"""Numbers of CT-Kidney that are taken for one patient: neighbours are neighbouring slices."""


def build_data_set(name: str, source: Path, folder: Path) -> Path:
    """Return the folder of a case data set, built on first use.

    Brain-Tumor and CT-Kidney name no patients. Near-duplicates of the first stand for one patient,
    and those of a test image are all test images; of the second, blocks of numbers do.

    Args:
        name: One of `DATA_SETS`.
        source: The publisher's files.
        folder: Where it is, or will be.
    """
    if folder.is_dir():
        return folder
    if name == "ct_kidney":
        _import(_kidney_rows(source), folder)
    elif name == "brain_tumor":
        _import(_brain_rows(source), folder)
    else:
        with_all_labels = "with_no_finding" if name == "cxr14" else None
        load_builder(name, with_all_labels, data_dir=source, storage=STORAGE).write(folder)
    return folder


def _import(rows: Iterable[dict[str, str]], folder: Path) -> None:
    rows = list(rows)
    folder.parent.mkdir(parents=True, exist_ok=True)
    manifest = folder.with_suffix(".csv")
    with manifest.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    import_hospital_data(manifest, folder, PSEUDONYMS, ImportSettings(storage=STORAGE))


def _kidney_rows(source: Path) -> Iterable[dict[str, str]]:
    for path in sorted(source.rglob("*.jpg")):
        found = re.fullmatch(r"(\w+)- \((\d+)\)", path.stem)
        if found is None:
            raise ValueError(f"{path}: is not named as CT-Kidney names its images")
        kind, number = found[1], int(found[2])
        yield {
            "case_id": f"{kind}-{number}",
            "patient_id": f"{kind}-{(number - 1) // BLOCK}",
            "path": str(path),
            "modality": "CT",
            "labels": kind,
        }


def _brain_rows(source: Path) -> Iterable[dict[str, str]]:
    paths = sorted(source.rglob("*.jpg"))
    numbers = [str(number) for number in range(len(paths))]
    found = group_patients(numbers, [[path] for path in paths], [None] * len(paths), NEAR_BITS)
    groups = [int(name) for name in found.names]
    tested = {groups[n] for n, path in enumerate(paths) if "Testing" in path.parts}
    others = sorted(set(groups) - tested)
    held_out = set(np.random.default_rng(0).permutation(others)[: len(others) // 8].tolist())
    for group, path in zip(groups, paths, strict=True):
        yield {
            "case_id": f"{path.parts[-3]}-{path.stem}",
            "patient_id": f"group-{group}",
            "path": str(path),
            "modality": "MRI",
            "labels": path.parent.name,
            "split": "test" if group in tested else "validation" if group in held_out else "train",
        }
