"""Report of an evaluation as one HTML page: what a reader looks for first comes first."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from raddiag_hf.core.atomic_files import atomic_write
from raddiag_hf.core.package_versions import package_versions
from raddiag_hf.evaluation.breakdown import Subgroup
from raddiag_hf.evaluation.evaluation_folder import FIGURE_FOLDER, REPORT_FILE, short_name
from raddiag_hf.evaluation.figures.evaluation_figure import (
    EvaluationFigure,
    evaluation_figures,
    save_figures,
)
from raddiag_hf.evaluation.figures.palette import DARK, LIGHT
from raddiag_hf.evaluation.model_evaluation import ModelEvaluation
from raddiag_hf.evaluation.report.tables import CATEGORIES, METRICS, UNDEFINED, count, value_cell
from raddiag_hf.labels.icd10_chapters import CHAPTERS
from raddiag_hf.metrics.confusion import describe_accuracy
from raddiag_hf.metrics.evaluation_result import EvaluationResult
from raddiag_hf.metrics.predictions import ALL
from raddiag_hf.reports.report import render_report
from raddiag_hf.reports.sections import (
    FactsSection,
    GalleryFigure,
    GallerySection,
    HeadlineNumber,
    HeadlineSection,
    Section,
    TableSection,
    TextSection,
)

HEADLINE_METRICS = {
    "auc": "AUC",
    "ap": "Average precision",
    "f1": "F1",
    "mcc": "MCC",
}
BREAKDOWN_METRICS = ("auc", "ap", "f1", "recall_at_fpr_0.05")
MOST_IN_ONE_TABLE = 24
"""Up to so many classes are shown in one table; of more, the best and the worst."""

MOST_IN_HALF = 10
MOST_IN_CONFUSION = 12
FEWEST_POSITIVES = 5
"""Positives that a class needs to be called best or worst, where there are such classes."""

CLASS_METRICS = ("auc", "ap", "f1", "recall_at_fpr_0.05")

MOST_NAMED = 30
"""Labels that could not be evaluated are named up to so many."""


def write_evaluation_report(evaluation: ModelEvaluation, output: Path) -> Path:
    """Write ``report.html`` and ``figures/*.png`` and ``*.pdf``, and return the page's path.

    The page is self-contained; the files are for papers and slides.

    Args:
        evaluation: What `evaluate_model` returned.
        output: Folder; made where it is not.
    """
    figures = evaluation_figures(evaluation)
    save_figures({figure.name: figure for figure in figures}, output / FIGURE_FOLDER)
    with atomic_write(output / REPORT_FILE) as temporary:
        temporary.write_text(render_evaluation_report(evaluation, figures), "utf-8")
    return output / REPORT_FILE


def render_evaluation_report(
    evaluation: ModelEvaluation, figures: Sequence[EvaluationFigure] = ()
) -> str:
    """Return the report as one HTML page.

    Args:
        evaluation: What `evaluate_model` returned.
        figures: Those to show, such as `evaluation_figures` returns.
    """
    result, facts = evaluation.result, evaluation.provenance
    model = short_name(facts["model"]) if "model" in facts else "a model"
    sections: list[Section] = [_headline(evaluation), _group_section(evaluation)]
    if figures:
        sections.append(GallerySection("Figures", [_in_both_colours(one) for one in figures]))
    if (table := _confusion_section(result)) is not None:
        sections.append(table)
    sections += class_tables(result)
    for title, subgroups in (
        ("By modality", evaluation.breakdown.by_modality),
        ("By region", evaluation.breakdown.by_anatomy),
    ):
        if subgroups:
            sections.append(_breakdown_section(title, subgroups))
    if evaluation.chapters is not None:
        sections.append(_chapter_section(evaluation.chapters))
    if missing := _not_evaluated(evaluation):
        sections.append(TextSection("Labels that could not be evaluated", missing))
    sections.append(_facts(evaluation))
    return render_report(
        f"Evaluation of {model}",
        sections,
        subtitle=_extent(evaluation),
    )


def _in_both_colours(figure: EvaluationFigure) -> GalleryFigure:
    return GalleryFigure(
        title=figure.title,
        light_svg=figure.render("svg", LIGHT),
        dark_svg=figure.render("svg", DARK),
        description=figure.description,
        caption=figure.caption,
    )


def _extent(evaluation: ModelEvaluation) -> str:
    """Say on how much the model was evaluated."""
    facts, table = evaluation.provenance, evaluation.table
    cases = count(len(table), f"{facts.get('split', 'evaluated')} case")
    origin = f" of {short_name(facts['dataset'])}" if "dataset" in facts else ""
    patients = count(len(set(table.patient_ids)), "patient")
    return f"{cases}{origin}, {patients}, {count(len(table.label_names), 'label')}"


def _headline(evaluation: ModelEvaluation) -> HeadlineSection:
    result = evaluation.result
    table = result.group_table()
    place = table["group"].index(ALL)
    numbers = []
    for metric, name in HEADLINE_METRICS.items():
        if metric in table:
            value, _, interval = value_cell(table, metric, place).partition("\n")
            numbers.append(HeadlineNumber(name, value, interval))
    labels, evaluated = len(result.class_names), result.groups[ALL].evaluated
    numbers.append(HeadlineNumber("Labels evaluated", f"{evaluated:,}", f"of {labels:,}"))
    statements = [_coverage_statement(evaluation)]
    if (intervals := result.intervals) is not None:
        statements.append(
            f"Below each value: {100 * intervals.confidence:g} % intervals from "
            f"{intervals.resamples:,} bootstrap resamples of {intervals.resampled_unit}s."
        )
    if evaluation.top_k is not None:
        statements.append(evaluation.top_k.describe())
    if evaluation.bands is not None:
        statements.append(evaluation.bands.describe())
    if evaluation.rule.thresholds is not None:
        source = evaluation.rule.source or "stored with the model, which does not say how chosen"
        statements.append(f"Thresholds of F1 and MCC: {source}.")
    if result.confusion is not None:
        statements += [
            f"Decisions: {evaluation.rule.source}.",
            f"{describe_accuracy(result.confusion.to_dict())}.",
        ]
    return HeadlineSection(numbers, statements, evaluation.warnings)


def _coverage_statement(evaluation: ModelEvaluation) -> str:
    group = evaluation.result.groups[ALL]
    text = f"Means over {count(group.evaluated, 'label')} of {len(group.classes):,}"
    if group.evaluated == len(group.classes):
        return f"{text}: every label could be evaluated."
    reasons = []
    if group.without_positives:
        reasons.append(f"{count(group.without_positives, 'label')} without a positive case")
    if group.without_negatives:
        reasons.append(f"{count(group.without_negatives, 'label')} that every case has")
    return f"{text}: {' and '.join(reasons)} could not be evaluated."


def _group_section(evaluation: ModelEvaluation) -> TableSection:
    result = evaluation.result
    table = result.group_table()
    metrics = [name for name in METRICS if name in table]
    rows = [
        [
            CATEGORIES.get(group, group),
            f"{table['evaluated'][place]:,}\nof {table['classes'][place]:,}",
            *(value_cell(table, metric, place) for metric in metrics),
        ]
        for place, group in enumerate(table["group"])
        if table["classes"][place]
    ]
    caption = "R@0.05: recall at a false-positive rate of 0.05."
    if evaluation.groups:
        caption = f"Head, medium and tail go by training cases. {caption}"
    return TableSection(
        "Head, medium and tail" if evaluation.groups else "All labels",
        ["", "Labels", *(METRICS[name] for name in metrics)],
        rows,
        caption,
    )


def _confusion_section(result: EvaluationResult) -> TableSection | None:
    """Return which label was told for which, of exclusive labels that fit a table."""
    names = result.class_names
    if result.confusion is None or len(names) > MOST_IN_CONFUSION:
        return None
    rows = [
        [name, *(f"{number:,}" for number in row)]
        for name, row in zip(names, result.confusion.counts.tolist(), strict=True)
    ]
    return TableSection(
        "Confusion",
        ["", *names],
        rows,
        "Cases by their label (rows) and the label that was predicted (columns).",
    )


def class_tables(result: EvaluationResult) -> list[TableSection]:
    """Return the classes by AUC: all in one table, or the best and the worst in two.

    Of many classes, those with fewer than five positive cases are left out, because chance alone
    puts them at either end; unless all are so rare.
    """
    auc = result.per_class["auc"]
    evaluated = np.flatnonzero(~np.isnan(auc))
    if not len(evaluated):
        return []
    if len(evaluated) <= MOST_IN_ONE_TABLE:
        ranked = evaluated[np.argsort(-auc[evaluated], kind="stable")]
        return [_class_section("Labels, best first", result, ranked.tolist(), "Sorted by AUC.")]
    frequent = evaluated[result.positives[evaluated] >= FEWEST_POSITIVES]
    caption = f"By AUC, of the {count(len(frequent), 'label')} with {FEWEST_POSITIVES} positive "
    caption += "cases or more."
    if not len(frequent):
        frequent, caption = evaluated, f"By AUC, of {count(len(evaluated), 'label')}."
    ranked = frequent[np.argsort(-auc[frequent], kind="stable")]
    half = min(MOST_IN_HALF, -(-len(ranked) // 2))
    worst = ranked[half:][::-1][:MOST_IN_HALF]
    sections = [_class_section("Best labels", result, ranked[:half].tolist(), caption)]
    if len(worst):
        sections.append(_class_section("Worst labels", result, worst.tolist(), caption))
    return sections


def _class_section(
    title: str, result: EvaluationResult, classes: Sequence[int], caption: str
) -> TableSection:
    table = result.class_table()
    metrics = [name for name in CLASS_METRICS if name in table]
    has_thresholds = "threshold" in table
    has_unknown = (result.known_cases < result.num_cases).any()
    rows = []
    for column in classes:
        of_known = f"\nof {table['known_cases'][column]:,}" if has_unknown else ""
        cells = [table["class"][column], f"{table['positives'][column]:,}{of_known}"]
        cells += [value_cell(table, metric, column) for metric in metrics]
        if has_thresholds:
            threshold = table["threshold"][column]
            cells.append(UNDEFINED if threshold is None else f"{threshold:.3g}")
        rows.append(cells)
    columns = ["", "Positives", *(METRICS[name] for name in metrics)]
    return TableSection(title, columns + ["Threshold"] * has_thresholds, rows, caption)


def _breakdown_section(title: str, subgroups: Sequence[Subgroup]) -> TableSection:
    metrics = [name for name in BREAKDOWN_METRICS if name in subgroups[0].result.per_class]
    rows = []
    for one in subgroups:
        table = one.result.group_table()
        place = table["group"].index(ALL)
        rows.append(
            [
                one.name,
                f"{one.result.num_cases:,}\n{count(one.num_patients, 'patient')}",
                f"{table['evaluated'][place]:,}\nof {table['classes'][place]:,}",
                *(value_cell(table, metric, place) for metric in metrics),
            ]
        )
    return TableSection(
        title,
        ["", "Cases", "Labels", *(METRICS[name] for name in metrics)],
        rows,
        "Means over the labels that can be evaluated on the cases of each row, which are not the "
        "same in all rows.",
    )


def _chapter_section(result: EvaluationResult) -> TableSection:
    table = result.group_table()
    metrics = [name for name in BREAKDOWN_METRICS if name in table]
    rows = [
        [
            f"{chapter}\n{CHAPTERS[chapter]}",
            f"{table['evaluated'][row]:,}\nof {table['classes'][row]:,}",
            *(value_cell(table, metric, row) for metric in metrics),
        ]
        for row, chapter in enumerate(table["group"])
    ]
    columns = ["", "Labels", *(METRICS[name] for name in metrics)]
    words = "Means over the labels of each chapter that can be evaluated."
    return TableSection("By chapter of ICD-10-CM", columns, rows, words)


def _not_evaluated(evaluation: ModelEvaluation) -> list[str]:
    """Return what is to be said of the labels without a number."""
    paragraphs = []
    for names, reason in (
        (evaluation.result.classes_without_positives, "No evaluated case has"),
        (evaluation.result.classes_without_negatives, "Every evaluated case has"),
    ):
        if names:
            more = len(names) - MOST_NAMED
            rest = f", and {more:,} more: see metrics.json" if more > 0 else ""
            paragraphs.append(f"{reason}: {', '.join(names[:MOST_NAMED])}{rest}.")
    return paragraphs


def _facts(evaluation: ModelEvaluation) -> FactsSection:
    known = dict(evaluation.provenance)
    versions = ", ".join(f"{name} {version}" for name, version in package_versions().items())
    facts = {
        name: known[key]
        for name, key in (
            ("Model", "model"),
            ("Revision", "model_revision"),
            ("Weights", "model_fingerprint"),
            ("Data set", "dataset"),
            ("Split", "split"),
            ("Label space", "label_column"),
            ("Data", "data_fingerprint"),
        )
        if known.get(key)
    }
    facts["Temperature"] = f"{evaluation.rule.temperature:.4g}"
    if (intervals := evaluation.result.intervals) is not None:
        facts["Bootstrap"] = f"seed {intervals.seed}, method {intervals.method}"
    facts["Computed"] = f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
    return FactsSection(facts | {"Versions": versions})
