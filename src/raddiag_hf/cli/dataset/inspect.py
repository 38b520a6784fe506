"""`raddiag dataset inspect`: what a case data set holds, and what its splits share."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich import box
from rich.table import Table

from raddiag_hf.cli.console import ArgumentError, SafeConsole
from raddiag_hf.cli.options import DataDirOption, LocationArgument
from raddiag_hf.core.plain_text import printable_json

if TYPE_CHECKING:
    from raddiag_hf.data.analysis.leakage import LeakageReport
    from raddiag_hf.data.store.case_metadata import CaseMetadata
    from raddiag_hf.labels.label_set import LabelSet

SHOWN_LEAKS = 20
"""Shared patients and images that are listed on the terminal; JSON has all."""

EXAMPLES = """
Patients that are in several splits, and scans of different splits with identical slices, make
every result too good. Copies that were resized or compressed with loss are not found.

**Examples**

`raddiag dataset inspect cases`

`raddiag dataset inspect alice/chest-cases`

`raddiag dataset inspect cases --strict --json | jq .leakage`
"""


def inspect(
    location: LocationArgument,
    data_dir: DataDirOption = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit with 2 if the splits share anything.")
    ] = False,
    num_threads: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Threads that decode; by default one per core."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print everything as JSON.", show_default=False)
    ] = False,
) -> None:
    """Show columns, splits and label groups, and look for leakage between the splits."""
    from raddiag_hf.data.analysis.leakage import find_leakage
    from raddiag_hf.data.opening import find_cases, named_faults
    from raddiag_hf.data.store.case_metadata import case_columns, case_label_sets, read_metadata

    with named_faults(location):
        cases = find_cases(location, data_dir=data_dir)
        metadata = read_metadata(cases)
        leakage = find_leakage(cases, num_threads)
    content = {
        "location": location,
        "columns": {name: _type_name(feature) for name, feature in case_columns(cases).items()},
        "splits": metadata.split_sizes(),
        "labels": _labels(case_label_sets(cases), metadata),
    }
    if as_json:
        typer.echo(printable_json(content | {"leakage": asdict(leakage)}))
    else:
        _print(content, leakage)
    if strict and not leakage.is_clean:
        raise ArgumentError(f"{location}: {_describe_leakage(leakage)}")


def _type_name(feature: Any) -> str:
    """Return a column's type in a few words; class names stand in the label sets."""
    from datasets import ClassLabel, List

    if isinstance(feature, ClassLabel):
        return f"one of {feature.num_classes} classes"
    if isinstance(feature, List):
        if isinstance(feature.feature, dict):
            return f"list of ({', '.join(feature.feature)})"
        return f"list of {_type_name(feature.feature)}"
    return str(feature.dtype)


def _labels(
    label_sets: Mapping[str, "LabelSet"], metadata: "CaseMetadata"
) -> dict[str, dict[str, Any]]:
    """Return label column -> size, fingerprint, and labels of each group, by either count."""
    from raddiag_hf.labels.bands import FrequencyBand, frequency_bands

    def sizes(counts: Sequence[int]) -> dict[str, int] | None:
        bands = frequency_bands(counts) if counts else ()
        return {band.value: bands.count(band) for band in FrequencyBand} if bands else None

    return {
        column: {
            "labels": len(label_set),
            "fingerprint": label_set.fingerprint,
            "groups": sizes(label_set.train_counts),
            "groups_of_whole": sizes(metadata.labels[column].astype(int).sum(axis=0).tolist()),
        }
        for column, label_set in label_sets.items()
    }


def _describe_leakage(leakage: "LeakageReport") -> str:
    return (
        f"{len(leakage.shared_patients)} patients and {len(leakage.shared_images)} groups of "
        "scans with identical slices are in more than one split"
    )


def _print(content: Mapping[str, Any], leakage: "LeakageReport") -> None:
    console = SafeConsole()
    _print_table(console, ("Column", "Type"), list(content["columns"].items()))
    counts = [
        (split, *(f"{count:,}" for count in numbers.values()))
        for split, numbers in content["splits"].items()
    ]
    _print_table(console, ("Split", "Cases", "Patients", "Scans", "Slices"), counts)
    for column, labels in content["labels"].items():
        line = f" {column}: {labels['labels']:,} labels, {labels['fingerprint'][:12]}"
        console.print(line, markup=False, highlight=False)
        for cases, groups in (
            ("training cases", labels["groups"]),
            ("cases of all splits", labels["groups_of_whole"]),
        ):
            sizes = "none were counted"
            if groups is not None:
                sizes = ", ".join(f"{name} {count:,}" for name, count in groups.items())
            console.print(f"   by {cases}: {sizes}", markup=False, highlight=False)
    if leakage.is_clean:
        console.print(
            f"\n No patient and no identical image of {leakage.scans:,} scans is in two splits.",
            highlight=False,
        )
        return
    console.print(f"\n Leakage: {_describe_leakage(leakage)}.", style="red", highlight=False)
    patients = [
        (patient, ", ".join(splits))
        for patient, splits in list(leakage.shared_patients.items())[:SHOWN_LEAKS]
    ]
    if patients:
        _print_table(console, ("Patient", "Splits"), patients)
    images = [
        (
            "\n".join(f"{place.split}: {place.case_id} {place.scan_id}" for place in image.places),
            f"{image.slices:,}",
        )
        for image in leakage.shared_images[:SHOWN_LEAKS]
    ]
    if images:
        _print_table(console, ("Scans with identical slices", "Slices"), images)


def _print_table(
    console: SafeConsole, columns: Sequence[str], rows: Sequence[tuple[str, ...]]
) -> None:
    table = Table(box=box.SIMPLE_HEAD, header_style="dim", pad_edge=False, padding=(0, 2, 0, 0))
    for number, column in enumerate(columns):
        is_count = number > 0 and column not in ("Type", "Splits")
        table.add_column(column, justify="right" if is_count else "left", overflow="fold")
    for row in rows:
        table.add_row(*row)
    console.print(table, markup=False, highlight=False)
