"""The paper's Figure 2 for any case data set, drawn from its statistics."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, NullLocator

from raddiag_hf.core.atomic_files import atomic_write
from raddiag_hf.core.fonts import font_families, undrawable_in
from raddiag_hf.data.analysis.statistics import CaseGroup, CaseStatistics, LabelDistribution
from raddiag_hf.data.store.case import DEFAULT_LABEL_COLUMN
from raddiag_hf.labels.bands import BandRule, CountedCases, FrequencyBand

ABNORMAL_COLOR, NORMAL_COLOR, NEUTRAL_COLOR = "#D55E00", "#0072B2", "#56677A"
BAND_COLORS = {
    FrequencyBand.HEAD: "#0072B2",
    FrequencyBand.BODY: "#E69F00",
    FrequencyBand.TAIL: "#999999",
}
"""From the palette of Okabe and Ito: distinct for every kind of colour vision."""

MOST_SCANS = 30
"""Cases with more scans than this share one bar; the paper's axis ends there."""
MOST_NAMED_LABELS = 40
"""Up to so many labels are drawn with their names; more as a ranked curve."""

STYLE = {
    "font.size": 9,
    "text.parse_math": False,  # labels are text, also with dollar signs
    "text.color": "#2B3640",
    "axes.labelcolor": "#2B3640",
    "xtick.color": "#2B3640",
    "ytick.color": "#2B3640",
    "axes.edgecolor": "#AEB8C1",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.axisbelow": True,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "legend.frameon": False,
}

_thousands = FuncFormatter(lambda value, _: f"{value:,.0f}")


def save_statistics_figures(statistics: CaseStatistics, folder: Path | str) -> list[Path]:
    """Draw the panels of the paper's Figure 2, each on its own, and return their paths.

    ``modalities.png``, ``anatomies.png``, ``case_sizes.png`` and ``labels.png``, 200 dots per inch.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    with rc_context({**STYLE, "font.family": font_families()}):
        for name, figure in {
            "modalities": draw_modalities(statistics),
            "anatomies": draw_anatomies(statistics),
            "case_sizes": draw_case_sizes(statistics),
            "labels": draw_labels(statistics),
        }.items():
            undrawable_in(figure)
            path = folder / f"{name}.png"
            with atomic_write(path) as temporary:
                figure.savefig(temporary, format="png", dpi=200)
            paths.append(path)
    return paths


def draw_modalities(statistics: CaseStatistics) -> Figure:
    """Draw how many abnormal, normal and unlabelled cases have a scan of each modality.

    Source:
        Paper, Figure 2a; bars instead of pies, because a case counts once for each of its
        modalities, so that the shares do not add up to one.
    """
    return _draw_groups(
        [(name, color, group.cases, group.modalities) for name, color, group in _kinds(statistics)]
    )


def draw_anatomies(statistics: CaseStatistics) -> Figure:
    """Draw how many abnormal, normal and unlabelled cases are about each anatomy.

    Source:
        Paper, Figure 2b.
    """
    return _draw_groups(
        [(name, color, group.cases, group.anatomies) for name, color, group in _kinds(statistics)]
    )


def draw_case_sizes(statistics: CaseStatistics) -> Figure:
    """Draw how many scans, and how many different modalities, the cases have.

    Source:
        Paper, Figure 2c.
    """
    figure = Figure(figsize=(8.6, 3.0), layout="constrained")
    scans, modalities = figure.subplots(1, 2, width_ratios=(3, 1), sharey=True)

    numbers = np.array(list(statistics.scans_per_case), dtype=int)
    cases = np.array(list(statistics.scans_per_case.values()), dtype=float)
    clipped = np.bincount(numbers.clip(max=MOST_SCANS), weights=cases, minlength=2)[1:]
    _draw_columns(scans, clipped.tolist(), "Images per case")
    scans.yaxis.set_major_formatter(_thousands)
    scans.yaxis.grid(color="#E3E7EB", linewidth=0.8)
    scans.set_ylabel("Cases")
    scans.set_xlim(0.4, max(len(clipped), 8) + 0.6)
    ticks = [1, *range(5, len(clipped) + 1, 5)] if len(clipped) > 8 else range(1, len(clipped) + 1)
    is_clipped = max(statistics.scans_per_case, default=0) > MOST_SCANS
    last = f"{MOST_SCANS}+" if is_clipped else str(MOST_SCANS)
    scans.set_xticks(list(ticks), [last if tick == MOST_SCANS else str(tick) for tick in ticks])

    most = max(statistics.modalities_per_case, default=1)
    heights = [statistics.modalities_per_case.get(number, 0) for number in range(1, most + 1)]
    _draw_columns(modalities, heights, "Modalities per case")
    modalities.yaxis.set_visible(False)
    modalities.set_xticks(range(1, most + 1))
    modalities.set_xlim(0.2, max(most, 3) + 0.8)
    for number, height in enumerate(heights, start=1):
        modalities.annotate(
            f"{height:,}", (number, height), (0, 3), textcoords="offset points", ha="center"
        )
    return figure


def draw_labels(statistics: CaseStatistics) -> Figure:
    """Draw the cases of each label by head, body and tail, for every label column.

    They are those by which the statistics have these bands, of training or of the whole data set.

    Labels without a case are counted in the title and in their group, and not drawn. Without a
    training split, the cases of all splits are drawn, in no group.

    Source:
        Paper, Figure 2d; a logarithmic axis instead of clipped ones.
    """
    with_cases = [sum(map(bool, _drawn(one).values())) for one in statistics.labels.values()]
    heights = [0.9 + 0.24 * max(3, n) if n <= MOST_NAMED_LABELS else 3.2 for n in with_cases]
    figure = Figure(figsize=(8.6, sum(heights)), layout="constrained")
    panels = figure.subplots(len(heights), 1, squeeze=False, height_ratios=heights)[:, 0]
    for axes, num_drawn, (column, distribution) in zip(
        panels, with_cases, statistics.labels.items(), strict=True
    ):
        if num_drawn <= MOST_NAMED_LABELS:
            _draw_named_labels(axes, distribution)
        else:
            _draw_ranked_labels(axes, distribution)
        in_column = "" if column == DEFAULT_LABEL_COLUMN else f" ({column})"
        num_empty = len(distribution.counts) - num_drawn
        case = "training case" if _is_of_training(distribution) else "case"
        empty = f", {num_empty:,} without a {case}" if num_empty else ""
        axes.set_title(f"{_count(len(distribution.counts), 'label')}{in_column}{empty}")
        if not distribution.groups:
            continue
        bounds = BandRule(distribution.counted).bounds()
        axes.legend(
            handles=[
                Patch(
                    color=color,
                    label=f"{band.capitalize()} ({bounds[band]}): {distribution.groups[band]:,}",
                )
                for band, color in BAND_COLORS.items()
            ],
            loc="lower right" if num_drawn <= MOST_NAMED_LABELS else "upper right",
        )
    return figure


def _drawn(distribution: LabelDistribution) -> Mapping[str, int]:
    return distribution.train_counts if _is_of_training(distribution) else distribution.counts


def _is_of_training(distribution: LabelDistribution) -> bool:
    return bool(distribution.groups) and distribution.counted is CountedCases.TRAINING


def _group_sizes(distribution: LabelDistribution) -> list[tuple[str, int]]:
    """Return colour and number of labels of each part of the ranking."""
    if not distribution.groups:
        return [(NEUTRAL_COLOR, len(distribution.counts))]
    return [(color, distribution.groups[band]) for band, color in BAND_COLORS.items()]


def _kinds(statistics: CaseStatistics) -> list[tuple[str, str, CaseGroup]]:
    """Return name, colour and numbers of each kind of case that there is."""
    kinds = [
        ("Abnormal", ABNORMAL_COLOR, statistics.abnormal),
        ("Normal", NORMAL_COLOR, statistics.normal),
        ("Unlabelled", NEUTRAL_COLOR, statistics.unlabelled),
    ]
    return [kind for kind in kinds if kind[2].cases]


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _draw_groups(groups: Sequence[tuple[str, str, int, Mapping[str, int]]]) -> Figure:
    """Draw a panel for each (name, colour, cases, counts), all with the same rows."""
    rows = sorted(
        {row for *_, counts in groups for row in counts},
        key=lambda row: (sum(counts.get(row, 0) for *_, counts in groups), row),
    )
    figure = Figure(figsize=(1.4 + 3.6 * len(groups), 0.6 + 0.3 * len(rows)), layout="constrained")
    panels = figure.subplots(1, len(groups), sharey=True, squeeze=False)[0]
    for axes, (name, color, cases, counts) in zip(panels, groups, strict=True):
        values = [counts.get(row, 0) for row in rows]
        labels = [f"{value:,} ({value / cases:.1%})" if value else "0" for value in values]
        _draw_bars(axes, rows, values, labels, [color] * len(rows))
        axes.set_title(f"{name}: {_count(cases, 'case')}")
    return figure


def _draw_named_labels(axes: Axes, distribution: LabelDistribution) -> None:
    colors = [color for color, size in _group_sizes(distribution) for _ in range(size)]
    drawn = _drawn(distribution)
    names = [name for name, count in drawn.items() if count][::-1]
    values = [drawn[name] for name in names]
    labels = [f"{value:,}" for value in values]
    _draw_bars(axes, names, values, labels, colors[: len(names)][::-1])


def _draw_ranked_labels(axes: Axes, distribution: LabelDistribution) -> None:
    """Draw a bar for each label, without names."""
    counts = [count for count in _drawn(distribution).values() if count]
    start = 0
    for color, size in _group_sizes(distribution):
        end = min(start + size, len(counts))
        edges = np.arange(start, end + 1)
        axes.stairs(counts[start:end], edges, baseline=0.1, fill=True, color=color)
        start = end
    axes.set_yscale("log")
    axes.set_ylim(bottom=0.8)
    axes.set_xlim(0, max(1, len(counts)))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(_thousands)
    axes.xaxis.set_major_formatter(_thousands)
    axes.set_xlabel("Labels, most frequent first")
    axes.set_ylabel("Training cases" if _is_of_training(distribution) else "Cases")


def _draw_bars(
    axes: Axes,
    rows: Sequence[str],
    values: Sequence[int],
    labels: Sequence[str],
    colors: Sequence[str],
) -> None:
    axes.barh(rows, values, color=colors, height=0.72)
    for row, (value, label) in enumerate(zip(values, labels, strict=True)):
        axes.annotate(label, (value, row), (4, 0), textcoords="offset points", va="center")
    axes.set_xlim(0, 1.45 * max([1, *values]))
    axes.set_ylim(-0.6, len(rows) - 0.4)
    axes.xaxis.set_visible(False)
    axes.spines["bottom"].set_visible(False)


def _draw_columns(axes: Axes, heights: Sequence[float], title: str) -> None:
    axes.bar(range(1, len(heights) + 1), heights, color=NEUTRAL_COLOR, width=0.8)
    axes.set_title(title)
    axes.margins(x=0.02, y=0.1)
    axes.spines["left"].set_visible(False)
