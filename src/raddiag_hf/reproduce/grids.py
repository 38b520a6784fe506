"""What is trained and evaluated for each table and figure of the paper, as plain data."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from raddiag_hf.core.errors import InputError
from raddiag_hf.evaluation.evaluation_settings import LateFusion
from raddiag_hf.labels.bands import FrequencyBand
from raddiag_hf.metrics.predictions import ALL
from raddiag_hf.model.presets import PRESETS
from raddiag_hf.reproduce import published
from raddiag_hf.reproduce.published import Numbers
from raddiag_hf.vocabulary import Anatomy

ABLATION_LABELS = "disorders:200"
"""The paper: "a subset by only keeping the top 200 classes with the most cases"."""
ABLATION_SIZE, ABLATION_DEPTH, ABLATION_ENCODER = 512, 16, "resnet18-resnet34"
LABEL_COLUMNS = {"disorders": "Disorders", "icd10": "ICD-10-CM"}
BANDS = tuple(band.value for band in FrequencyBand)

NO_CHANGES: Mapping[str, Any] = {
    "scan_augmentation": None,
    "key_slice_probability": 0.0,
    "mixing_probability": 0.0,
    "scan_drop_probability": 0.0,
}
"""Without augmentation; the cap on the scans of a training case stays, as in the authors' code."""
SCANS_CHANGED: Mapping[str, Any] = {
    name: value for name, value in NO_CHANGES.items() if name != "scan_augmentation"
}
"""Supplementary section 11.3: the four changes of scans at 15 %, and no other."""
NOT_MIXED: Mapping[str, Any] = {"mixing_probability": 0.0}
"""A classifier of single scans cannot learn from mixed cases: whose labels has a scan?"""


@dataclass(frozen=True)
class Training:
    """One training: the recipe ``pretrain`` with changes.

    Attributes:
        name: What to call it; of its folder, too.
        label_column: The label space.
        preset: The network.
        config: Fields of `RadDiagConfig` that replace those of the preset.
        augmentation: What replaces fields of the recipe's augmentation.
        reads_labels: Whether its classifier reads label names, by a text encoder.
    """

    name: str
    label_column: str
    preset: str = "raddiag"
    config: Mapping[str, Any] = field(default_factory=dict)
    augmentation: Mapping[str, Any] = field(default_factory=dict)
    reads_labels: bool = False


@dataclass(frozen=True)
class GridRow:
    """One row of a table, or one curve of a figure.

    Attributes:
        words: What it is called, cell by cell.
        training: The model that is evaluated.
        published: The paper's numbers by group of labels, in the order of `published.METRICS`.
        fusion: How the predictions of single scans are pooled, for a model of late fusion.
        against: Words of the row that it is compared with, on the same cases.
    """

    words: tuple[str, ...]
    training: Training
    published: Mapping[str, Numbers] = field(default_factory=dict)
    fusion: LateFusion | None = None
    against: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Grid:
    """One table or figure of the paper.

    Attributes:
        name: As the command line calls it.
        title: What it shows.
        headings: Of the words of its rows.
        rows: In the paper's order.
        groups: Groups of labels that have a line of their own.
        notes: What a reader has to know beside the numbers.
        of_normal: Whether the label that says that nothing was found is measured alone; the groups
            are then regions, and all of them.
        draws_evaluations: Whether figures of its evaluations are drawn, which takes a while.
    """

    name: str
    title: str
    headings: tuple[str, ...]
    rows: tuple[GridRow, ...]
    groups: tuple[str, ...] = (ALL,)
    notes: tuple[str, ...] = ()
    of_normal: bool = False
    draws_evaluations: bool = False

    @property
    def trainings(self) -> tuple[Training, ...]:
        """What has to be trained, each once."""
        found: list[Training] = []
        for row in self.rows:
            if row.training not in found:
                found.append(row.training)
        return tuple(found)

    def row(self, words: tuple[str, ...]) -> GridRow:
        """Return the row of these words."""
        return next(row for row in self.rows if row.words == words)


def ablation(
    preset: str = ABLATION_ENCODER, depth: int = ABLATION_DEPTH, *, augmented: bool = False
) -> Training:
    """Return a training of the paper's ablations: late fusion by the maximum, 512 x 512 pixels."""
    return Training(
        name=f"ablation-{preset}-depth{depth}{'-augmented' if augmented else ''}",
        label_column=ABLATION_LABELS,
        preset=preset,
        config={"image_size": ABLATION_SIZE, "max_slices": depth, "fusion_type": "max"},
        augmentation=SCANS_CHANGED if augmented else NO_CHANGES,
    )


def full(column: str, modules: str) -> Training:
    """Return a training on all labels of a column: ``late fusion``, ``fusion``, ``knowledge``."""
    late = modules == "late fusion"
    reads_labels = modules == "knowledge"
    config: dict[str, Any] = {"fusion_type": "max"} if late else {}
    config |= {"classifier_type": "knowledge"} if reads_labels else {}
    return Training(
        name=f"{column}-{modules.replace(' ', '-')}",
        label_column=column,
        config=config,
        augmentation=NOT_MIXED if late else {},
        reads_labels=reads_labels,
    )


def find_grid(name: str) -> Grid:
    """Return a grid by its name.

    Raises:
        InputError: If there is none of it.
    """
    grids = {grid.name: grid for grid in all_grids()}
    if name not in grids:
        raise InputError(f"there is no {name!r} to reproduce; expected one of {', '.join(grids)}")
    return grids[name]


def all_grids() -> Iterator[Grid]:
    """Yield every table and figure that can be reproduced, in the paper's order."""
    yield Grid(
        "table1",
        "Table 1: visual encoders",
        ("Visual encoder", "Normalisation", "Shared encoder"),
        tuple(_encoder_row(preset) for preset in published.ENCODERS),
        notes=(_ABLATION_NOTE,),
    )
    yield Grid(
        "table2",
        "Table 2: fusion module and knowledge enhancement",
        ("Labels", "FM", "KE"),
        tuple(_module_rows()),
        BANDS,
        notes=(_NOT_MIXED_NOTE,),
    )
    yield Grid(
        "figure3",
        "Figure 3: ROC curves of Table 2",
        ("Labels", "FM", "KE"),
        tuple(_module_rows()),
        BANDS,
        notes=("The paper's AUC are those of its Table 2.", _NOT_MIXED_NOTE),
    )
    words, final = ("Disorders", "✓", "✓"), full("disorders", "knowledge")
    yield Grid(
        "figure4",
        "Figure 4: probabilities by kind of case, and saliency maps",
        ("Labels", "FM", "KE"),
        (GridRow(words, final),),
        BANDS,
        notes=("The paper's labels and cases are examples that it chose; it has no number there.",),
        draws_evaluations=True,
    )
    yield Grid(
        "figure5",
        "Figure 5a: normal against abnormal",
        ("Labels", "FM", "KE"),
        (GridRow(words, final, published.NORMAL),),
        (ALL, *(region.value for region in Anatomy if region is not Anatomy.UNKNOWN)),
        notes=(
            "The label Normal alone, on all cases and on those of each region.",
            "The paper's Figure 5b is on external data sets, without training: it is not made.",
        ),
        of_normal=True,
        draws_evaluations=True,
    )
    for number, column in ((1, "icd10"), (2, "disorders")):
        yield Grid(
            f"supplementary-table{number}",
            f"Supplementary Table {number}: pooling of single scans, {LABEL_COLUMNS[column]}",
            ("Labels", "Mode"),
            tuple(_pooling_rows(column)),
            BANDS,
            notes=(
                "One classifier of single scans, pooled in three ways. The paper's maximum differs "
                "from the row without fusion module of its Table 2; here it is that row.",
                _NOT_MIXED_NOTE,
            ),
        )
    yield Grid(
        "supplementary-table3",
        "Supplementary Table 3: depth of volumes",
        ("Depth",),
        tuple(
            GridRow(
                (str(depth),),
                ablation(depth=depth),
                {ALL: numbers},
                against=None if depth == ABLATION_DEPTH else (str(ABLATION_DEPTH),),
            )
            for depth, numbers in published.DEPTHS.items()
        ),
        notes=(_ABLATION_NOTE,),
    )
    yield Grid(
        "supplementary-table4",
        "Supplementary Table 4: augmentation",
        ("Augmentation", "Visual encoder"),
        tuple(_augmentation_rows()),
        notes=(_ABLATION_NOTE,),
    )
    yield Grid(
        "supplementary-figure1",
        "Supplementary Figure 1: ROC curves of head labels",
        ("Labels", "FM", "KE"),
        tuple(row for row in _module_rows() if row.words[0] == "Disorders"),
        BANDS,
        notes=("The head labels with the most positive test cases.",),
    )


_ABLATION_NOTE = (
    "The 200 disorders with the most training cases, 512 x 512 pixels, late fusion by the maximum, "
    "neither knowledge nor, unless a row says so, augmentation. The paper does not say by which "
    "cases it chose its 200."
)
_NOT_MIXED_NOTE = (
    "Models of single scans are trained without mixed cases, of which a scan would have the labels "
    "of another patient."
)


def _encoder_row(preset: str) -> GridRow:
    """Return a row of Table 1, in the paper's words."""
    encoder_type = PRESETS[preset]["encoder_type"]
    kind = {"vit": "ViT", "resnet": "ResNet", "resnet_vit": "ResNet-ViT"}[encoder_type]
    parts = preset.split("-")[::-1] if kind == "ViT" else preset.split("-")
    words = (kind, *map(_part, parts))
    baseline = ("ResNet", "ResNet-18", "ResNet-34")
    return GridRow(
        words,
        ablation(preset),
        {ALL: published.ENCODERS[preset]},
        against=None if words == baseline else baseline,
    )


def _part(name: str) -> str:
    for kind, words in (("resnet", "ResNet-{}"), ("vit", "{}-layer ViT"), ("mlp", "{}-layer MLP")):
        if name.startswith(kind):
            return words.format(name.removeprefix(kind))
    raise ValueError(f"{name!r} is no part of an encoder")


def _module_rows() -> Iterator[GridRow]:
    for column, labels in LABEL_COLUMNS.items():
        before: tuple[str, ...] | None = None
        for modules, marks in (
            ("late fusion", ("✗", "✗")),
            ("fusion", ("✓", "✗")),
            ("knowledge", ("✓", "✓")),
        ):
            words = (labels, *marks)
            yield GridRow(
                words,
                full(column, modules),
                published.MODULES[column, modules],
                fusion=LateFusion.MAX if modules == "late fusion" else None,
                against=before,
            )
            before = words


def _pooling_rows(column: str) -> Iterator[GridRow]:
    labels = LABEL_COLUMNS[column]
    for fusion, mode in (
        (LateFusion.RANDOM, "Rand"),
        (LateFusion.MAX, "Max"),
        (LateFusion.MEAN, "Mean"),
    ):
        yield GridRow(
            (labels, mode),
            full(column, "late fusion"),
            published.POOLINGS[column, fusion.value],
            fusion=fusion,
            against=None if fusion is LateFusion.MAX else (labels, "Max"),
        )


def _augmentation_rows() -> Iterator[GridRow]:
    for is_augmented, numbers in (("YES", published.AUGMENTED), ("NO", published.ENCODERS)):
        for preset, encoder in ((ABLATION_ENCODER, "ResNet"), ("vit12-mlp2", "ViT")):
            yield GridRow(
                (is_augmented, encoder),
                ablation(preset, augmented=is_augmented == "YES"),
                {ALL: numbers[preset]},
                against=("NO", encoder) if is_augmented == "YES" else None,
            )
