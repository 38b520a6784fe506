"""The reliability diagram: what a probability was worth."""

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from raddiag_hf.evaluation.figures.palette import COLUMN_INCHES, LIGHT, Palette
from raddiag_hf.metrics.calibration import Reliability

FEW_PREDICTIONS = 10
"""The frequency in a bin of fewer predictions is mostly chance: it is a cross off the line."""


def draw_calibration(
    calibrated: Reliability,
    uncalibrated: Reliability | None = None,
    temperature: float = 1.0,
    palette: Palette = LIGHT,
) -> Figure:
    """Draw observed frequencies over predicted probabilities, and how many predictions there are.

    Args:
        calibrated: Of the probabilities that the model gives, by bins of equal width.
        uncalibrated: Of those at temperature 1; None where that is the temperature.
        temperature: By which the logits were divided.
        palette: Colours.
    """
    figure = Figure(figsize=(COLUMN_INCHES, 4.4), layout="constrained")
    axes, counts = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
    axes.axline((0, 0), slope=1, color=palette.axis, linewidth=0.8, linestyle=(0, (2, 2)))
    if uncalibrated is not None:
        axes.plot(
            *_points(uncalibrated, uncalibrated.counts >= FEW_PREDICTIONS),
            color=palette.quiet,
            linestyle=(0, (4, 2)),
            linewidth=1,
            marker="o",
            markersize=4,
            markerfacecolor="none",
            label=_label(uncalibrated, "As the model puts out"),
        )
    name = "Probabilities" if uncalibrated is None else f"Temperature {temperature:.4g}"
    axes.plot(
        *_points(calibrated, calibrated.counts >= FEW_PREDICTIONS),
        color=palette.metrics["auc"],
        linewidth=1.5,
        marker="o",
        markersize=4.5,
        label=_label(calibrated, name),
    )
    is_rare = (calibrated.counts > 0) & (calibrated.counts < FEW_PREDICTIONS)
    if is_rare.any():
        axes.plot(
            *_points(calibrated, is_rare),
            color=palette.quiet,
            linestyle="none",
            marker="x",
            markersize=4,
            label=f"Fewer than {FEW_PREDICTIONS} predictions",
        )
    figure.legend(loc="outside upper left")
    limit = max(_highest(found) for found in (calibrated, uncalibrated) if found is not None)
    axes.set_xlim(0, limit)
    axes.set_ylim(0, limit)
    axes.grid()
    axes.set_ylabel("Observed frequency")
    counts.stairs(
        calibrated.counts, calibrated.edges, fill=True, color=palette.metrics["auc"], alpha=0.75
    )
    counts.set_yscale("symlog", linthresh=1)
    counts.set_ylim(bottom=0)
    counts.set_yticks(_decades(int(calibrated.counts.max())))
    counts.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    counts.grid(axis="y")
    counts.set_ylabel("Predictions")
    counts.set_xlabel(f"Predicted probability (n = {calibrated.counts.sum():,} predictions)")
    return figure


def _points(found: Reliability, is_shown: NDArray[np.bool_]) -> tuple[list[float], list[float]]:
    return found.mean_probabilities[is_shown].tolist(), found.frequencies[is_shown].tolist()


def _highest(found: Reliability) -> float:
    """Return the end of what is to be shown; probabilities of rare classes are all small."""
    last = int(np.flatnonzero(found.counts)[-1])
    return min(1.02, 1.05 * max(float(found.edges[last + 1]), float(np.nanmax(found.frequencies))))


def _label(found: Reliability, name: str) -> str:
    text = f"{name}: ECE {found.error:.4f}"
    if found.error_interval is None or np.isnan(found.error_interval.low):
        return text
    low, high = float(found.error_interval.low), float(found.error_interval.high)
    return f"{text} ({low:.4f}–{high:.4f})"


def _decades(most: int) -> list[int]:
    """Return at most four powers of ten from 1 to the largest that is not more than ``most``."""
    largest = int(np.log10(max(most, 1)))
    return [10**power for power in range(0, largest + 1, 1 + largest // 4)]
