"""Figures of an evaluation: which there are, what they say, and their files."""

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from matplotlib import rc_context, rcParams
from matplotlib.figure import Figure

from raddiag_hf.core.atomic_files import atomic_write
from raddiag_hf.core.fonts import undrawable_in
from raddiag_hf.evaluation.evaluation_folder import FIGURE_FORMATS, FIGURE_NAMES
from raddiag_hf.evaluation.figures.calibration_figure import draw_calibration
from raddiag_hf.evaluation.figures.class_roc_figure import draw_class_roc, most_frequent_labels
from raddiag_hf.evaluation.figures.curve_figures import draw_precision_recall, draw_roc
from raddiag_hf.evaluation.figures.palette import LIGHT, Palette
from raddiag_hf.evaluation.figures.probability_figure import draw_probabilities
from raddiag_hf.evaluation.figures.subgroup_figures import draw_breakdown, draw_normal_abnormal
from raddiag_hf.evaluation.model_evaluation import ModelEvaluation
from raddiag_hf.metrics.bootstrap_settings import BootstrapSettings
from raddiag_hf.metrics.calibration import reliability
from raddiag_hf.metrics.mean_curves import mean_precision_recall
from raddiag_hf.metrics.predictions import ALL

_DOTS_PER_INCH = 200


@dataclass(frozen=True)
class EvaluationFigure:
    """One figure, not yet drawn.

    Attributes:
        name: Of its files, without an ending.
        title: Heading.
        draw: Draws it in the colours of a palette.
        description: What it shows, for those who do not see it.
        caption: How to read it.
    """

    name: str
    title: str
    draw: Callable[[Palette], Figure]
    description: str
    caption: str

    def render(self, file_format: str, palette: Palette = LIGHT) -> bytes:
        """Return the figure as ``"png"`` or ``"pdf"`` on white, or as ``"svg"`` without a ground.

        The same figure gives the same bytes.
        """
        page = io.BytesIO()
        with rc_context(palette.style()):
            figure = self.draw(palette)
            # A browser has fonts of its own; what it is to draw has to be text, not outlines.
            rcParams["svg.fonttype"] = "none" if undrawable_in(figure) else "path"
            figure.savefig(
                page,
                format=file_format,
                dpi=_DOTS_PER_INCH,
                facecolor="none" if file_format == "svg" else "white",
                metadata={"png": {}, "pdf": {"CreationDate": None}, "svg": {"Date": None}}[
                    file_format
                ],
            )
        return page.getvalue()


def evaluation_figures(evaluation: ModelEvaluation) -> list[EvaluationFigure]:
    """Return the figures that there is something to draw in, in the order of the report."""
    result, breakdown = evaluation.result, evaluation.breakdown
    figures = []
    if result.groups[ALL].evaluated:
        figures += [_roc(evaluation), _class_roc(evaluation), _precision_recall(evaluation)]
    figures.append(_calibration(evaluation))
    if result.groups[ALL].evaluated:
        figures.append(_probabilities(evaluation))
    if any(one.result.groups[ALL].evaluated for one in breakdown.normal_abnormal):
        figures.append(_normal(evaluation))
    for name, title, subgroups, words in (
        ("modality", "By modality", breakdown.by_modality, "a scan of each modality"),
        ("anatomy", "By region", breakdown.by_anatomy, "each region"),
    ):
        if any(one.result.groups[ALL].evaluated for one in subgroups):
            figures.append(
                EvaluationFigure(
                    name,
                    title,
                    lambda palette, subgroups=subgroups: draw_breakdown(  # type: ignore[misc]
                        result, subgroups, palette
                    ),
                    f"Mean AUC and average precision of the cases with {words}.",
                    "Means over the labels that occur in those cases and are absent from some of "
                    "them, which differ from row to row.",
                )
            )
    return figures


def save_figures(figures: Mapping[str, EvaluationFigure], folder: Path) -> list[Path]:
    """Write each figure as PNG and as PDF, and return the paths; files of others are removed.

    Args:
        figures: By name.
        folder: Made where it is not. Only names that figures of evaluations have are touched.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name in FIGURE_NAMES:
        for file_format in FIGURE_FORMATS:
            path = folder / f"{name}.{file_format}"
            if name not in figures:
                path.unlink(missing_ok=True)
                continue
            content = figures[name].render(file_format)
            with atomic_write(path) as temporary:
                temporary.write_bytes(content)
            paths.append(path)
    return paths


def _roc(evaluation: ModelEvaluation) -> EvaluationFigure:
    result = evaluation.result
    band = ""
    if result.intervals is not None:
        band = f" Bands: {100 * result.intervals.confidence:g} % intervals at each rate."
    return EvaluationFigure(
        "roc",
        "ROC",
        lambda palette: draw_roc(result, evaluation.bands, palette),
        "Mean ROC curves of groups of labels.",
        f"At each false-positive rate, the mean recall of the labels of a group.{band}",
    )


def _class_roc(evaluation: ModelEvaluation) -> EvaluationFigure:
    table = evaluation.table
    columns = most_frequent_labels(table.targets)
    return EvaluationFigure(
        "class_roc",
        "ROC of single labels",
        lambda palette: draw_class_roc(
            table.targets, {"model": table.logits}, table.label_names, columns, palette
        ),
        "ROC curves of the labels with the most positive cases.",
        "raddiag compare draws several models over each other.",
    )


def _precision_recall(evaluation: ModelEvaluation) -> EvaluationFigure:
    table, found = evaluation.table, evaluation.result.intervals
    bootstrap, band = None, ""
    if found is not None:
        bootstrap = BootstrapSettings(
            resamples=found.resamples,
            seed=found.seed,
            confidence=found.confidence,
            method=found.method,
            patient_ids=table.patient_ids if found.resampled_unit == "patient" else None,
        )
        band = f" Bands: {100 * found.confidence:g} % intervals at each recall."
    curves = mean_precision_recall(
        table.targets, table.logits, groups=evaluation.groups, bootstrap=bootstrap
    )
    return EvaluationFigure(
        "precision_recall",
        "Precision and recall",
        lambda palette: draw_precision_recall(evaluation.result, curves, evaluation.bands, palette),
        "Mean precision-recall curves of groups of labels.",
        "At each recall, the mean precision of the labels of a group; a label that is guessed has "
        f"the precision of its frequency.{band}",
    )


def _calibration(evaluation: ModelEvaluation) -> EvaluationFigure:
    table, temperature = evaluation.table, evaluation.rule.temperature
    calibrated = evaluation.reliability["equal_width"]
    uncalibrated = None
    if temperature != 1.0:
        uncalibrated = reliability(table.targets, evaluation.rule.uncalibrated(table.logits))
    lowest = calibrated.counts[0] / calibrated.counts.sum()
    return EvaluationFigure(
        "calibration",
        "Calibration",
        lambda palette: draw_calibration(calibrated, uncalibrated, temperature, palette),
        "Observed frequencies over predicted probabilities, and the number of predictions.",
        "On the diagonal, three in ten of the predictions of 0.3 are right. All labels together; "
        f"{_share(float(lowest))} of the predictions lie in the lowest bin. ECE: expected "
        "calibration error.",
    )


def _probabilities(evaluation: ModelEvaluation) -> EvaluationFigure:
    result = evaluation.result
    dashed = "" if result.thresholds is None else " Dashed: threshold."
    return EvaluationFigure(
        "probabilities",
        "Probabilities of positive and negative cases",
        lambda palette: draw_probabilities(evaluation.table, result, palette),
        "Distribution of the probabilities of some labels over positive, intra-negative and "
        "inter-negative cases.",
        "Intra-negative cases are of a region in which the label occurs, inter-negative ones of "
        "other regions. By AUC the three best labels, two in the middle and the worst, of those "
        "with five positive cases or more. The axis is linear in the logit; each histogram is "
        f"drawn to the same height. Upright: median.{dashed}",
    )


def _normal(evaluation: ModelEvaluation) -> EvaluationFigure:
    breakdown = evaluation.breakdown
    return EvaluationFigure(
        "normal_abnormal",
        "Normal against abnormal",
        lambda palette: draw_normal_abnormal(breakdown.normal_abnormal, palette),
        f"How well the label {breakdown.normal_label} tells normal from abnormal, by region.",
        "AP of a guess is the share of normal cases, so it compares within a row, not between "
        "rows.",
    )


def _share(fraction: float) -> str:
    return f"{100 * fraction:.1f} %" if fraction < 0.9995 else "more than 99.9 %"
