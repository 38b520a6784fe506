"""Import a hospital's own scans as a case data set without identifiers."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from raddiag_hf.core.fingerprint import file_state
from raddiag_hf.core.temporary_folders import remove_left_behind
from raddiag_hf.data.analysis.near_duplicates import PatientGroups, group_patients
from raddiag_hf.data.analysis.splits import split_by_patient
from raddiag_hf.data.hospital.builder import EVERYDAY_REASONS, HospitalCaseBuilder
from raddiag_hf.data.hospital.case import HospitalCase, HospitalDataError, StrayFiles
from raddiag_hf.data.hospital.import_settings import ImportSettings
from raddiag_hf.data.hospital.pseudonyms import Pseudonyms
from raddiag_hf.data.hospital.source import HospitalSource, read_hospital_source
from raddiag_hf.data.store.case import DEFAULT_LABEL_COLUMN
from raddiag_hf.data.store.case_metadata import read_metadata
from raddiag_hf.data.store.case_store import CaseStorageError, CaseStore
from raddiag_hf.data.store.case_writer import REJECTED_FILE, write_cases
from raddiag_hf.data.store.rejection import NothingBuiltError, Rejection, read_rejections
from raddiag_hf.imaging.read_settings import DEFAULT_READING
from raddiag_hf.labels.label_set import LabelSet
from raddiag_hf.labels.normal_labels import NORMAL_LABELS
from raddiag_hf.vocabulary import Anatomy, Modality, Split

FACES_IN = (Modality.CT, Modality.MRI)
CAPTURES = (Modality.ULTRASOUND, Modality.FLUOROSCOPY, Modality.BARIUM, Modality.ANNOTATED_IMAGE)
"""Kinds of which devices often write names into the pixels, and no word into the tags."""
NO_LABELS = LabelSet(("(no labels)",))
"""Stands for a label set where nobody labelled anything; no case has its one label."""

CARD_TEXT = """
# Cases imported from a hospital

Each row is one case with all its scans. Ids of cases, patients and studies are keyed hashes
(HMAC-SHA256); the key is not here. Kept are pixels, geometry, modality, anatomy, plane, sex, age
and labels; names, dates, descriptions, paths and DICOM identifiers are not. Ages are whole years
(months below two) and end at 90.

Pixels are as they were: text that is burned into an image and a face in a head scan are still
there. Images whose tags admit burned-in text are left out unless that was asked for.

What was left out and why is in `rejected.csv`, which stays where the data were imported.
"""


@dataclass(frozen=True)
class HospitalImport:
    """What became of an import.

    Attributes:
        store: The data set.
        rejections: What was left out, under the real paths: for the eyes of those who may see
            them. ``rejected.csv`` of the data set has pseudonyms.
        listed: Paths that the manifest itself names; empty without manifest.
        num_unlabelled: Cases of which no label is known.
        num_partly_labelled: Cases of which some labels are unknown.
        near_duplicates: Whose pictures are nearly the same; None where nobody looked.
    """

    store: CaseStore
    rejections: tuple[Rejection, ...]
    listed: frozenset[str] = frozenset()
    num_unlabelled: int = 0
    num_partly_labelled: int = 0
    near_duplicates: PatientGroups | None = None

    def identifying_scans(self) -> tuple[str, ...]:
        """Return what can name or show a person although no tag does, in sentences."""
        heads = shown = 0
        for kind in read_metadata(self.store).scan_kinds().kinds:
            if kind.anatomy is Anatomy.HEAD_AND_NECK and kind.modality in FACES_IN:
                heads += kind.scans
            if kind.modality in CAPTURES:
                shown += kind.scans
        found = []
        if heads:
            found.append(
                f"{heads} scans show heads: a face can be made out of such a volume; deface them "
                "before they leave the hospital"
            )
        if shown:
            found.append(
                f"{shown} scans are of kinds whose pixels often name the patient (ultrasound, "
                "fluoroscopy, captures); left out was only what admits it in its tags: look at "
                "them before they leave the hospital"
            )
        return tuple(found)

    def is_bystander(self, rejection: Rejection) -> bool:
        """Tell whether a rejected file merely lay beside scans, as reports and localisers do.

        What the manifest names was meant to be a scan, whatever it turned out to be.
        """
        return rejection.reason in EVERYDAY_REASONS and rejection.path not in self.listed


def import_hospital_data(
    source: Path | HospitalSource,
    output: Path,
    pseudonyms: Pseudonyms,
    settings: ImportSettings | None = None,
    *,
    label_set: LabelSet | None = None,
) -> HospitalImport:
    """Import the cases of a manifest or a study folder.

    An import that was interrupted is resumed by calling this again with equal arguments. Cases are
    in the order of their pseudonyms. Where the manifest gives no splits, patients are split 7:1:2.

    A case without labels has none of them. Where others are labelled as normal (`NORMAL_LABELS`),
    it says nothing instead, unless it names unknown labels: all of its labels are unknown.

    Args:
        source: A manifest (see `read_manifest`) or a folder of DICOM studies, or what
            `read_hospital_source` returned of one.
        output: Folder to make.
        pseudonyms: New names for cases and patients.
        settings: How to import; the defaults where None.
        label_set: The labels that may occur. None takes those of the manifest, most frequent first.

    Raises:
        HospitalDataError: If the source cannot be understood, no scan of it can be read, or, when
            strict, one cannot.
        RunFolderError: If ``output`` holds something else.
        RunInProgressError: If another run is making ``output``.
        OSError: If the source cannot be read.
    """
    settings = settings or ImportSettings()
    if isinstance(source, Path):
        source = read_hospital_source(source, label_set, class_folders=settings.class_folders)
    source.check_output(output)
    label_set = label_set or _label_set(source.cases)
    cases = _with_unknown_labels(source.cases, label_set)
    num_unlabelled = sum(len(case.unknown_labels) == len(label_set) for case in cases)
    num_partly_labelled = sum(bool(case.unknown_labels) for case in cases) - num_unlabelled
    builder = HospitalCaseBuilder(
        pseudonyms,
        source.base,
        settings.site,
        settings.is_strict,
        settings.keeps_burned_in,
        settings.stack_pictures,
        settings.reading,
        settings.default_modality(),
    )
    items, near_duplicates = _split_items(cases, source.strays, pseudonyms, settings)
    remove_left_behind()  # links that are named after people's files
    try:
        store = write_cases(
            output,
            items,
            builder,
            {DEFAULT_LABEL_COLUMN: label_set},
            card_text=CARD_TEXT,
            card_metadata={"pretty_name": "Hospital cases", "license": "other"},
            storage=settings.storage,
            source_fingerprint=_fingerprint(items, builder),
            num_proc=settings.num_proc,
            unknown_in=(DEFAULT_LABEL_COLUMN,) if num_unlabelled + num_partly_labelled else (),
        )
    except NothingBuiltError as error:
        named = NothingBuiltError(_with_real_paths(error.rejections, source, builder))
        raise HospitalDataError(f"{source.path}: {named}") from error
    except CaseStorageError as error:
        raise HospitalDataError(f"{source.path}: {error}") from error
    written = output / REJECTED_FILE
    rejections = read_rejections(written) if written.exists() else ()
    rows = (scan for case in source.cases for scan in case.scans if scan.row is not None)
    return HospitalImport(
        store,
        _with_real_paths(rejections, source, builder),
        frozenset(str(scan.path) for scan in rows),
        num_unlabelled,
        num_partly_labelled,
        near_duplicates,
    )


def _label_set(cases: Sequence[HospitalCase]) -> LabelSet:
    """Return the labels that occur, most frequent first."""
    counts = Counter(label for case in cases for label in case.labels)
    names = sorted(counts, key=lambda name: (-counts[name], name))
    return LabelSet(tuple(names)) if names else NO_LABELS


def _with_unknown_labels(
    cases: Sequence[HospitalCase], label_set: LabelSet
) -> tuple[HospitalCase, ...]:
    """Say of cases without a word that labels are unknown, where normal ones are labelled so."""
    named = {label.casefold() for case in cases for label in case.labels}
    if not named & NORMAL_LABELS:
        return tuple(cases)
    return tuple(
        case
        if case.labels or case.unknown_labels or case.is_labelled
        else replace(case, unknown_labels=label_set.names)
        for case in cases
    )


def _split_items(
    cases: Sequence[HospitalCase],
    strays: StrayFiles,
    pseudonyms: Pseudonyms,
    settings: ImportSettings,
) -> tuple[dict[Split, dict[str, HospitalCase | StrayFiles]], PatientGroups | None]:
    """Return the cases of each split by their pseudonyms, in the order of these, and who is near.

    Patients with near-duplicates are split together where that was asked for.
    """
    # Neither the key nor the order of the source decides the splits.
    cases = sorted(cases, key=lambda case: case.case_id)
    patients = tuple(pseudonyms.of_patient(case) for case in cases)
    published = [case.split for case in cases]
    groups = None
    if settings.near_duplicates is not None:
        files = [[file for scan in case.scans for file in scan.all_files()] for case in cases]
        groups = group_patients(patients, files, published, settings.near_duplicates)
    splits = split_by_patient(
        patients if groups is None else groups.names,
        [case.labels for case in cases],
        published=published,
        seed=settings.seed,
    )
    named = [
        (pseudonyms.of_case(case), case, split) for case, split in zip(cases, splits, strict=True)
    ]
    named.sort(key=lambda one: one[0])
    items: dict[Split, dict[str, HospitalCase | StrayFiles]] = {}
    for split in Split:
        of_split: dict[str, HospitalCase | StrayFiles] = {
            name: case for name, case, given in named if given == split
        }
        if of_split:
            if strays.files and not items:
                of_split["strays"] = strays
            items[split] = of_split
    return items, groups


def _fingerprint(
    items: Mapping[Split, Mapping[str, HospitalCase | StrayFiles]], builder: HospitalCaseBuilder
) -> str:
    """Return what changes whenever the manifest, an option or a file does."""
    described = []
    for split, of_split in items.items():
        for item in of_split.values():
            if isinstance(item, StrayFiles):
                paths = [path for path, _ in item.files]
                content: object = None
            else:
                paths = [path for scan in item.scans for path in scan.all_files()]
                content = asdict(replace(item, scans=()))
                if not item.is_labelled:
                    del content["is_labelled"]
                if not item.unknown_labels:  # nor had earlier versions any
                    del content["unknown_labels"]
                scans = [[scan.row, scan.modality, scan.anatomy] for scan in item.scans]
                content = [content, scans]
                if any(scan.study for scan in item.scans):
                    content.append([scan.study for scan in item.scans])
            files = [[builder.name_of(path), *file_state(path)] for path in paths]
            described.append([split, content, files])
    options: list[object] = [builder.source, builder.is_strict, builder.keeps_burned_in]
    if builder.modality is not None:
        options.append({"modality": builder.modality})
    if builder.stack_pictures is not None:
        options.append(builder.stack_pictures)
    if builder.reading != DEFAULT_READING:  # nor had earlier versions any
        options.append(asdict(builder.reading))
    return builder.pseudonyms.of_import(json.dumps([described, options]))


def _with_real_paths(
    rejections: Sequence[Rejection], source: HospitalSource, builder: HospitalCaseBuilder
) -> tuple[Rejection, ...]:
    if not rejections:
        return ()
    scans = [scan for case in source.cases for scan in case.scans]
    paths = {path for scan in scans for path in scan.all_files()}
    paths |= {scan.path for scan in scans}
    paths |= {path for path, _ in source.strays.files}
    paths |= {folder for path in paths for folder in path.parents}
    real = {builder.name_of(path): str(path) for path in paths}
    return tuple(
        replace(rejection, path=real.get(rejection.path, rejection.path))
        for rejection in rejections
    )
