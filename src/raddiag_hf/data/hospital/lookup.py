"""From pseudonyms back to the hospital's own names, for who holds the key and the source."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from raddiag_hf.data.hospital.case import HospitalCase, HospitalDataError
from raddiag_hf.data.hospital.pseudonyms import Pseudonyms
from raddiag_hf.data.hospital.source import HospitalSource
from raddiag_hf.data.hospital.tags import read_hospital_tags
from raddiag_hf.imaging.scan import ScanReadError


@dataclass(frozen=True)
class Original:
    """What a pseudonym stands for. It names people: show it to nobody but who may know them.

    Attributes:
        pseudonym: As in the data set, or in ``rejected.csv``.
        original: The hospital's own name of the case, patient, study or file.
        rows: Rows of the manifest; empty without manifest.
        paths: Files and folders of its cases.
    """

    pseudonym: str
    original: str
    rows: tuple[int, ...]
    paths: tuple[str, ...]


def look_up(
    source: HospitalSource, pseudonyms: Pseudonyms, wanted: Collection[str] = ()
) -> tuple[Original, ...]:
    """Return what pseudonyms stand for, in the order asked; of all cases if none is named.

    A pseudonym cannot be turned round: every name of the source is made one again, and compared.

    Args:
        source: What was imported; see `read_hospital_source`.
        pseudonyms: With the key of the import.
        wanted: ``case-...``, ``patient-...``, ``study-...`` or ``file-...``.

    Raises:
        HospitalDataError: If one is of another key or source.
    """
    wanted = list(dict.fromkeys(wanted)) or [pseudonyms.of_case(case) for case in source.cases]
    kinds = {name.split("-")[0] for name in wanted}
    found: dict[str, list[tuple[str, HospitalCase | None, Path | None]]] = {}
    for name, original, case, path in chain(
        _of_cases(source, pseudonyms),
        _of_studies(source, pseudonyms) if "study" in kinds else (),
        _of_files(source, pseudonyms) if "file" in kinds else (),
    ):
        found.setdefault(name, []).append((original, case, path))
    if absent := [name for name in wanted if name not in found]:
        raise HospitalDataError(
            f"{source.path}: {absent[0]} is no pseudonym of it by this key"
            + (f", nor are {len(absent) - 1} others" if len(absent) > 1 else "")
        )
    return tuple(_original(name, found[name]) for name in wanted)


def _original(name: str, matches: list[tuple[str, HospitalCase | None, Path | None]]) -> Original:
    scans = [scan for _, case, _ in matches if case is not None for scan in case.scans]
    paths = [path for _, _, path in matches if path is not None] or [scan.path for scan in scans]
    rows = {scan.row for scan in scans if scan.row is not None}
    return Original(
        name,
        matches[0][0],
        tuple(sorted(rows)),
        tuple(dict.fromkeys(map(str, paths))),
    )


Match = tuple[str, str, HospitalCase | None, Path | None]


def _of_cases(source: HospitalSource, pseudonyms: Pseudonyms) -> Iterator[Match]:
    for case in source.cases:
        yield pseudonyms.of_case(case), case.case_id, case, None
        yield pseudonyms.of_patient(case), case.patient_id or case.case_id, case, None


def _of_studies(source: HospitalSource, pseudonyms: Pseudonyms) -> Iterator[Match]:
    for case in source.cases:
        for scan in case.scans:
            if scan.study:
                yield pseudonyms.of_study(scan.study), scan.study, case, None
                continue
            for file in scan.all_files():
                try:
                    study = read_hospital_tags(file).study
                except ScanReadError:
                    continue
                if study:
                    yield pseudonyms.of_study(study), study, case, None


def _of_files(source: HospitalSource, pseudonyms: Pseudonyms) -> Iterator[Match]:
    scans = [scan for case in source.cases for scan in case.scans]
    paths = {path for scan in scans for path in (scan.path, *scan.all_files())}
    for path in sorted(paths | {path for path, _ in source.strays.files}):
        yield pseudonyms.of_file(path, source.base), path.name, None, path
