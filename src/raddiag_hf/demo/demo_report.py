"""What the demo's report says."""

from collections.abc import Sequence

from raddiag_hf.demo.demo_cases import DemoCase
from raddiag_hf.demo.phantom_data import PhantomSplits
from raddiag_hf.demo.training_curve import draw_training_curve
from raddiag_hf.inference.diagnosis import Diagnosis
from raddiag_hf.inference.views import case_section
from raddiag_hf.metrics import EvaluationResult
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
METRICS = {"auc": "AUC", "ap": "AP", "f1": "F1", "mcc": "MCC"}


def demo_report(
    splits: PhantomSplits,
    log: Sequence[dict[str, float]],
    evaluation: EvaluationResult,
    cases: Sequence[tuple[DemoCase, Diagnosis]],
) -> str:
    """Return the demo's report as one HTML page: the phantom first, then how it was learnt."""
    drawn = [
        case_section(case.title, answer, case.scans, case.known_labels) for case, answer in cases
    ]
    sections: list[Section] = [
        TextSection("What this model knows", [PHANTOMS_ONLY]),
        drawn[0],
        _metrics_table(splits, evaluation),
        FigureSection(
            "How it was learnt",
            draw_training_curve(log),
            "Training and validation loss over epochs, on a logarithmic scale.",
            f"{len(splits.train)} training and {len(splits.validation)} validation cases; "
            "patients are in one split only.",
        ),
        *drawn[1:],
    ]
    return render_report(
        "raddiag demo", sections, subtitle="Synthetic phantoms: drawn, learnt, evaluated, diagnosed"
    )


def _metrics_table(splits: PhantomSplits, evaluation: EvaluationResult) -> TableSection:
    table = evaluation.group_table()
    rows = []
    for row, group in enumerate(table["group"]):
        if not table["classes"][row]:
            continue
        cells = [group, f"{table['evaluated'][row]} of {table['classes'][row]}"]
        for metric in METRICS:
            value = table[metric][row]
            low, high = table[f"{metric}_low"][row], table[f"{metric}_high"][row]
            cells.append("–" if value is None else f"{value:.3f} ({low:.3f}–{high:.3f})")
        rows.append(cells)
    return TableSection(
        "On held-out phantoms",
        ["Disorders", "evaluated", *METRICS.values()],
        rows,
        f"{evaluation.num_cases} test cases; means over disorders with at least one positive case, "
        "with 95 % intervals from 1,000 case-level bootstrap resamples. Head, body and tail go by "
        "training cases. Thresholds for F1 and MCC were chosen on the validation cases.",
    )
