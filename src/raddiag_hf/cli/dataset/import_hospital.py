"""`raddiag dataset import`: a hospital's scans in, a case data set without identifiers out."""

import logging
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from raddiag_hf.cli.console import ArgumentError, say
from raddiag_hf.cli.options import with_options
from raddiag_hf.core.plain_text import printable_json
from raddiag_hf.data.hospital.import_settings import ImportSettings

if TYPE_CHECKING:
    from raddiag_hf.data.hospital.importing import HospitalImport

NAMED_BYSTANDERS = 5
"""Files of one reason beside scans, such as localisers, that are named; archives have thousands."""

EXAMPLES = """
**The manifest** is a CSV or XLSX file with a header: `case_id, path`, and any of `patient_id,
study, modality, anatomy, labels, unknown_labels, split, age, sex, date`. A path is a file or a
folder (of a DICOM study, or of pictures that are the slices of one scan or, of radiographs, scans),
relative to the manifest's folder. Labels are separated by `;`; those that neither column names are
absent. In place of these columns there may be one per label, of 1, 0 and, where nobody knows,
nothing. A case with several scans has several rows. What it leaves open is taken from DICOM tags.

**Without a manifest**, each DICOM study below the folder is a case. With `--class-folders` the
folders are labels, or splits of such folders, and each file or folder in them is a case;
`--modality` says what made pictures.

**Left behind** are names, dates, descriptions, paths and DICOM identifiers. Ids of cases, patients
and studies become keyed hashes: keep the key file, apart from the data set. Equal keys give equal
pseudonyms. Ages are whole years and end at 90. What is burned into the pixels stays there; files
whose tags admit it are left out. So are cases whose DICOM files name more than one patient: a case
is of one.

An interrupted import resumes when the same command is run again.

**Examples**

`raddiag dataset import manifest.csv --output cases`

`raddiag dataset import /archive/2024 --output cases --key ~/hospital.key --labels labels.json`
"""


@with_options
def import_hospital(
    *,
    source: Annotated[
        Path,
        typer.Argument(
            metavar="MANIFEST|FOLDER",
            help="A manifest, or a folder of studies.",
            show_default=False,
        ),
    ],
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="DIR", help="A folder that is new or empty."),
    ],
    key: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Key of the pseudonyms; made if it is not there. By default DIR.key, beside DIR.",
        ),
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Label names in the order of the columns: JSON, or one name per line. By default "
            "those of the manifest, most frequent first.",
        ),
    ] = None,
    settings: ImportSettings,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the summary as JSON.", show_default=False)
    ] = False,
) -> None:
    """Import a hospital's scans as a case data set without identifiers.

    Scans that cannot be read are set aside in DIR/rejected.csv, and the rest is imported.
    """
    from raddiag_hf.checkpoints.label_file import read_label_file
    from raddiag_hf.data.hospital.importing import import_hospital_data
    from raddiag_hf.data.hospital.pseudonyms import Pseudonyms
    from raddiag_hf.data.hospital.source import read_hospital_source

    if not source.exists():
        raise ArgumentError(f"{source}: there is no such manifest or folder")
    label_set = None if labels is None else read_label_file(labels)
    key = key or output.absolute().with_name(f"{output.absolute().name}.key")
    # What it would say of each file is said below, under the file's own path.
    logging.getLogger("raddiag_hf.imaging.reading").setLevel(logging.ERROR)
    found = read_hospital_source(source, label_set, class_folders=settings.class_folders)
    found.check_output(output)
    result = import_hospital_data(
        found,
        output,
        Pseudonyms(_key(key, output)),
        settings,
        label_set=label_set,
    )
    _list_rejections(result)
    splits = {split.value: result.store.num_cases(split) for split in result.store.shards}
    rejected = Counter(rejection.reason for rejection in result.rejections)
    near = result.near_duplicates
    if as_json:
        summary = {
            "output": str(output),
            "key": str(key),
            "cases": sum(splits.values()),
            "splits": splits,
            "rejected": dict(rejected.most_common()),
            "unlabelled": result.num_unlabelled,
            "near_duplicates": near and {"pictures": near.num_near, "groups": near.num_groups},
            "partly_labelled": result.num_partly_labelled,
        }
        typer.echo(printable_json(summary))
    else:
        counts = ", ".join(f"{split} {count:,}" for split, count in splits.items())
        typer.echo(f"{output}: {sum(splits.values()):,} cases ({counts})")
    say(*result.identifying_scans())
    if near is not None:
        say(near.describe())
    if result.num_unlabelled:
        say(
            f"nothing is known of {result.num_unlabelled} cases, all of whose labels are unknown, "
            "or which have none while others are labelled as normal: training and evaluation leave "
            "them out"
        )
    if result.num_partly_labelled:
        say(
            f"{result.num_partly_labelled} cases have unknown labels: training and evaluation take "
            "a case for the labels that are known"
        )


def _key(path: Path, output: Path) -> bytes:
    """Return the key, drawn and announced if there is none yet."""
    from raddiag_hf.data.hospital.pseudonyms import create_key, load_key

    if path.resolve().is_relative_to(output.resolve()):
        raise ArgumentError(f"--key {path}: lies in the data set; keep the key apart from it")
    if path.exists():
        return load_key(path)
    if output.is_dir() and any(output.iterdir()):
        raise ArgumentError(f"--key {path}: there is no such key, but {output} was made with one")
    key = create_key(path)
    say(
        f"New key: {path}. Keep it: the same key gives the same pseudonyms, and whoever has it can "
        "find out whose they are."
    )
    return key


def _list_rejections(result: "HospitalImport") -> None:
    """Name every scan that was lost, and the first few files that lay beside scans."""
    bystanders: Counter[str] = Counter()
    lines = []
    for rejection in result.rejections:
        if result.is_bystander(rejection):
            bystanders[rejection.reason] += 1
            if bystanders[rejection.reason] > NAMED_BYSTANDERS:
                continue
        lines.append(str(rejection))
    for reason, count in bystanders.items():
        if count > NAMED_BYSTANDERS:
            lines.append(f"{count - NAMED_BYSTANDERS} more files: {reason}")
    say(*(f"left out: {line}" for line in lines), style="dim")
