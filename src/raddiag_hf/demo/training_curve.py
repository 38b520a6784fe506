"""The course of a training as one drawing."""

import io
from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure
from matplotlib.ticker import ScalarFormatter

INK, TRAIN, VALIDATION = "#3d4450", "#2f6f9f", "#c9702b"


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
