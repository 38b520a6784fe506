"""What the demo's report says."""

import io
from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure
from matplotlib.ticker import ScalarFormatter

from raddiag_hf.demo.demo_cases import DemoCase
from raddiag_hf.demo.demo_settings import DemoSettings
from raddiag_hf.inference.diagnosis import Diagnosis
from raddiag_hf.inference.views import case_section
from raddiag_hf.metrics.evaluation_result import EvaluationResult
from raddiag_hf.reports.report import render_report
from raddiag_hf.reports.sections import (
    FigureSection,
    Section,
    TableSection,
    TextSection,
)

PHANTOMS_ONLY = (
    "The model in this report was trained for minutes on synthetic phantoms and knows phantoms "
    "only. What it says of the real scans below shows that they are read and go through; it means "
    "nothing."
)
INK, TRAIN, VALIDATION = "#3d4450", "#2f6f9f", "#c9702b"
METRICS = {"auc": "AUC", "ap": "AP", "f1": "F1", "mcc": "MCC"}


def demo_report(
    settings: DemoSettings,
    log: Sequence[dict[str, float]],
    evaluation: EvaluationResult,
    cases: Sequence[tuple[DemoCase, Diagnosis]],
) -> str:
    """Return the demo's report as one HTML page: the phantom first, then how it was learnt.

    Args:
        settings: How much was drawn.
        log: Of the Trainer.
        evaluation: On test cases.
        cases: What was diagnosed.
    """
    drawn = [
        case_section(case.title, answer, case.scans, case.known_labels) for case, answer in cases
    ]
    sections: list[Section] = [
        TextSection("What this model knows", [PHANTOMS_ONLY]),
        drawn[0],
        _metrics_table(evaluation),
        FigureSection(
            "How it was learnt",
            draw_training_curve(log),
            "Training and validation loss over epochs, on a logarithmic scale.",
            f"{settings.train_cases} training and {settings.validation_cases} validation cases; "
            "patients are in one split only.",
        ),
        *drawn[1:],
    ]
    return render_report(
        "raddiag demo", sections, subtitle="Synthetic phantoms: drawn, learnt, evaluated, diagnosed"
    )


def _metrics_table(evaluation: EvaluationResult) -> TableSection:
    table = evaluation.group_table()
    rows = []
    for row, group in enumerate(table["group"]):
        if not table["classes"][row]:
            continue
        cells = [group, f"{table['evaluated'][row]} of {table['classes'][row]}"]
        for metric in METRICS:
            value = table[metric][row]
            low, high = table[f"{metric}_low"][row], table[f"{metric}_high"][row]
            interval = "" if low is None else f" ({low:.3f}–{high:.3f})"
            cells.append("–" if value is None else f"{value:.3f}{interval}")
        rows.append(cells)
    return TableSection(
        "On held-out phantoms",
        ["Disorders", "evaluated", *METRICS.values()],
        rows,
        f"{evaluation.num_cases} test cases; means over disorders with at least one positive case, "
        "with 95 % intervals from 1,000 bootstrap resamples of patients. Head, body and tail go by "
        "training cases. Thresholds for F1 and MCC were chosen on the validation cases.",
    )


def draw_training_curve(log: Sequence[Mapping[str, float]]) -> bytes:
    """Return a PNG of training and validation loss over epochs.

    Args:
        log: ``Trainer.state.log_history``: entries with ``epoch`` and ``loss`` or ``eval_loss``.
    """
    train = [(entry["epoch"], entry["loss"]) for entry in log if "loss" in entry]
    validation = [(entry["epoch"], entry["eval_loss"]) for entry in log if "eval_loss" in entry]
    figure = Figure(figsize=(7, 3), dpi=160, layout="constrained")
    axes = figure.subplots()
    for points, colour, name in (
        (train, TRAIN, "training"),
        (validation, VALIDATION, "validation"),
    ):
        epochs, losses = zip(*points, strict=True)
        axes.plot(epochs, losses, color=colour, linewidth=1.8, label=name)
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(ScalarFormatter())
    axes.yaxis.set_minor_formatter(ScalarFormatter())
    axes.set_xlabel("epoch", color=INK)
    axes.set_ylabel("loss", color=INK)
    axes.legend(frameon=False, labelcolor=INK)
    axes.margins(x=0.02)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(colors=INK, which="both")
    axes.grid(axis="y", color="#d8dce2", linewidth=0.6)
    page = io.BytesIO()
    figure.savefig(page, format="png")
    return page.getvalue()
