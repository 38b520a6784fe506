"""The table of a grid: the paper's numbers, ours with intervals, and differences between rows."""

import csv
import io
import json
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from raddiag_hf.core.atomic_files import atomic_write
from raddiag_hf.core.plain_text import in_spreadsheet
from raddiag_hf.evaluation.evaluation_comparison import compare_evaluations
from raddiag_hf.evaluation.evaluation_folder import METRICS_FILE, table_notes, write_json
from raddiag_hf.evaluation.report.tables import CATEGORIES, METRICS, UNDEFINED, TableCell
from raddiag_hf.metrics.bootstrap_settings import BootstrapSettings
from raddiag_hf.reports.markdown import in_markdown
from raddiag_hf.reproduce.grid_runs import RowRuns
from raddiag_hf.reproduce.grids import Grid

FILE_FORMAT = 1
OURS, PAPER = "ours", "paper"


@dataclass(frozen=True)
class GridCell:
    """One metric of one row and group, in percent; None where there is nothing to say.

    Attributes:
        words: Of the row.
        group: Of labels.
        metric: Its name.
        paper: The published number.
        ours: Mean over the seeds.
        low: Lower end of the 95 % interval over test cases, mean over the seeds.
        high: Upper end.
        seeds_sd: Standard deviation between seeds, where there are several.
        difference: To the row that this one is compared with, on the same resamples of the same
            cases, mean over the seeds.
        difference_low: Lower end of its interval.
        difference_high: Upper end.
    """

    words: tuple[str, ...]
    group: str
    metric: str
    paper: float | None
    ours: float | None
    low: float | None
    high: float | None
    seeds_sd: float | None = None
    difference: float | None = None
    difference_low: float | None = None
    difference_high: float | None = None


@dataclass(frozen=True)
class GridTable:
    """What a grid came to.

    Attributes:
        grid: What was asked.
        cells: Row by row, group by group, metric by metric.
        seeds: Trainings of each row.
        notes: What a reader has to know.
        runs: By words of each row, folders of its evaluations.
    """

    grid: Grid
    cells: tuple[GridCell, ...]
    seeds: int
    notes: tuple[str, ...]
    runs: dict[tuple[str, ...], tuple[Path, ...]]

    def to_dict(self) -> dict[str, Any]:
        """Return everything as JSON values."""
        return {
            "format": FILE_FORMAT,
            "name": self.grid.name,
            "title": self.grid.title,
            "headings": list(self.grid.headings),
            "seeds": self.seeds,
            "notes": list(self.notes),
            "cells": [asdict(cell) | {"words": list(cell.words)} for cell in self.cells],
            "evaluations": {
                " | ".join(words): [str(folder) for folder in folders]
                for words, folders in self.runs.items()
            },
            "compared_with": {
                " | ".join(row.words): " | ".join(row.against)
                for row in self.grid.rows
                if row.against is not None
            },
        }

    def to_csv(self) -> str:
        """Return one line per cell."""
        page = io.StringIO()
        writer = csv.writer(page, lineterminator="\n")
        names = [name for name in GridCell.__dataclass_fields__ if name != "words"]
        writer.writerow([*self.grid.headings, *names])
        for cell in self.cells:
            values = [getattr(cell, name) for name in names]
            writer.writerow(
                [
                    *map(in_spreadsheet, cell.words),
                    *("" if value is None else value for value in values),
                ]
            )
        return page.getvalue()

    def to_markdown(self) -> str:
        """Return the table as the paper has it, each of its rows above ours."""
        headings = [*self.grid.headings, *(["Category"] if len(self.grid.groups) > 1 else []), ""]
        lines = [f"# {in_markdown(self.grid.title)}", ""]
        lines += _head([*headings, *METRICS.values()])
        for row in self.grid.rows:
            for group in self.grid.groups:
                cells = self._of(row.words, group)
                if group in row.published:
                    paper = [_number(cell.paper) for cell in cells]
                    lines.append(_line([*self._words(row.words, group), PAPER, *paper]))
                ours = [_with_interval(cell.ours, cell.low, cell.high, cell) for cell in cells]
                lines.append(_line([*self._words(row.words, group), OURS, *ours]))
        compared = [row for row in self.grid.rows if row.against is not None]
        if compared:
            lines += ["", "## Differences between rows", ""]
            lines += _head([*headings[:-1], "minus", *METRICS.values()])
        for row in compared:
            for group in self.grid.groups:
                differences = [
                    _with_interval(one.difference, one.difference_low, one.difference_high)
                    for one in self._of(row.words, group)
                ]
                against = " / ".join(row.against or ())
                words = [*self._words(row.words, group), in_markdown(against)]
                lines.append(_line([*words, *differences]))
        lines += ["", *(f"- {in_markdown(note)}" for note in self.notes), ""]
        return "\n".join(lines)

    def write(self, folder: Path) -> list[Path]:
        """Write ``<name>.md``, ``.csv`` and ``.json`` and return their paths."""
        folder.mkdir(parents=True, exist_ok=True)
        paths = [folder / f"{self.grid.name}.{ending}" for ending in ("md", "csv", "json")]
        for path, text in zip(paths, (self.to_markdown(), self.to_csv()), strict=False):
            with atomic_write(path) as temporary:
                temporary.write_text(text, "utf-8")
        write_json(self.to_dict(), paths[-1])
        return paths

    def _words(self, words: tuple[str, ...], group: str) -> list[str]:
        category = [CATEGORIES.get(group, group)] if len(self.grid.groups) > 1 else []
        return [*map(in_markdown, words), *category]

    def _of(self, words: tuple[str, ...], group: str) -> list[GridCell]:
        return [cell for cell in self.cells if cell.words == words and cell.group == group]


def tabulate(
    grid: Grid, runs: Sequence[RowRuns], bootstrap: BootstrapSettings, notes: Iterable[str] = ()
) -> GridTable:
    """Read finished evaluations and compare rows on the same resamples.

    Args:
        grid: What was asked.
        runs: Of each row.
        bootstrap: Of the differences; none where it resamples nothing.
        notes: What a reader has to know beside what the evaluations say.
    """
    by_words = {one.row.words: one for one in runs}
    said = dict.fromkeys([*notes, *grid.notes, *_shared_notes(runs)])
    cells = []
    for one in runs:
        contents = [read_metrics(folder) for folder in one.evaluations]
        tables = [_normal_table(one) if grid.of_normal else one["groups"] for one in contents]
        against = by_words.get(one.row.against or ())
        differences = [] if against is None else _differences(one, against, bootstrap)
        for group in grid.groups:
            published = one.row.published.get(group)
            for place, metric in enumerate(METRICS):
                values = [_group_value(table, group, metric) for table in tables]
                found = [value for value in values if value is not None]
                deltas = [delta[group, metric] for delta in differences if (group, metric) in delta]
                cells.append(
                    GridCell(
                        one.row.words,
                        group,
                        metric,
                        None if published is None else published[place],
                        *_means(found),
                        statistics.stdev(value for value, *_ in found) if len(found) > 1 else None,
                        *_means(deltas),
                    )
                )
    seeds = len(runs[0].evaluations)
    if seeds > 1:
        said[
            f"Numbers, ends of intervals and differences are means over {seeds} seeds; ± is the "
            "standard deviation between them."
        ] = None
    folders = {one.row.words: one.evaluations for one in runs}
    return GridTable(grid, tuple(cells), seeds, tuple(said), folders)


def read_metrics(evaluation: Path) -> dict[str, Any]:
    """Return what an evaluation left in its folder."""
    return dict(json.loads((evaluation / METRICS_FILE).read_text("utf-8")))


def _shared_notes(runs: Sequence[RowRuns]) -> list[str]:
    """Return what is to be said of all evaluations alike; of each alone, its own table says it."""
    first, *others = [
        table_notes(read_metrics(folder)) for one in runs for folder in one.evaluations
    ]
    return [note for note in first if all(note in notes for notes in others)]


def _normal_table(content: dict[str, Any]) -> dict[str, list[Any]]:
    """Return normal against abnormal by region as a table of groups."""
    rows = content["breakdown"]["normal_abnormal"]
    columns = dict.fromkeys(name for row in rows for name in row)
    table = {name: [row.get(name) for row in rows] for name in columns}
    return table | {"group": [row["name"] for row in rows]}


Percent = tuple[float, float | None, float | None]


def _group_value(groups: dict[str, list[Any]], group: str, metric: str) -> Percent | None:
    """Return a mean and the ends of its interval in percent; None where it is undefined."""
    if group not in groups["group"] or metric not in groups:
        return None
    place = groups["group"].index(group)
    if (value := groups[metric][place]) is None:
        return None
    nothing = [None] * len(groups["group"])
    low, high = (groups.get(f"{metric}_{end}", nothing)[place] for end in ("low", "high"))
    return _in_percent(value, low, high)


def _differences(
    one: RowRuns, other: RowRuns, bootstrap: BootstrapSettings
) -> list[dict[tuple[str, str], Percent]]:
    """Return the differences of a row from another by group and metric, seed by seed."""
    if bootstrap.resamples < 1:
        return []
    found = []
    for ours, theirs in zip(one.evaluations, other.evaluations, strict=True):
        comparison = compare_evaluations([theirs, ours], bootstrap=bootstrap)
        for paired in comparison.paired.values():
            table = paired.group_table()
            columns = [table[name] for name in ("group", "metric", "difference", "low", "high")]
            found.append(
                {
                    (group, metric): _in_percent(value, low, high)
                    for group, metric, value, low, high in zip(*columns, strict=True)
                    if value is not None
                }
            )
    return found


def _in_percent(value: float, low: float | None, high: float | None) -> Percent:
    return 100 * value, None if low is None else 100 * low, None if high is None else 100 * high


def _means(values: Sequence[Percent]) -> tuple[float | None, float | None, float | None]:
    """Return the mean of values and of the ends of their intervals, rounded to 0.0001."""
    found = []
    for numbers in zip(*values, strict=True) if values else [(), (), ()]:
        known = [number for number in numbers if number is not None]
        is_whole = bool(known) and len(known) == len(numbers)
        found.append(round(statistics.fmean(known), 4) if is_whole else None)
    return found[0], found[1], found[2]


def _number(value: float | None) -> str:
    return UNDEFINED if value is None else f"{value:.2f}"


def _with_interval(
    value: float | None, low: float | None, high: float | None, cell: GridCell | None = None
) -> str:
    fractions = [None if number is None else number / 100 for number in (value, low, high)]
    text, interval = TableCell(fractions[0], fractions[1], fractions[2]).in_percent()
    if cell is not None and cell.seeds_sd is not None:
        text += f" ± {cell.seeds_sd:.2f}"
    return f"{text} {interval}".strip()


def _head(headings: Sequence[str]) -> list[str]:
    return [_line(headings), _line(["---"] * len(headings))]


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
