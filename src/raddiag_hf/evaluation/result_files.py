"""What an evaluation leaves in its folder, and how it is removed once it is no longer true."""

from pathlib import Path

METRICS_FILE, PREDICTIONS_FILE = "metrics.json", "predictions.parquet"
CALIBRATION_FILE = "calibration_predictions.parquet"
TABLE_FILES = ("table.md", "table.tex")
REPORT_FILE, FIGURE_FOLDER = "report.html", "figures"
FIGURE_NAMES = (
    "roc",
    "precision_recall",
    "calibration",
    "probabilities",
    "normal_abnormal",
    "modality",
    "anatomy",
)
FIGURE_FORMATS = ("png", "pdf")


def remove_results(folder: Path) -> None:
    """Remove what was computed from predictions, which stay: metrics, tables, report, figures.

    Raises:
        OSError: If a file cannot be removed.
    """
    for name in (METRICS_FILE, *TABLE_FILES):
        (folder / name).unlink(missing_ok=True)
    remove_report(folder)


def remove_report(folder: Path) -> None:
    """Remove report and figures; files of other names stay.

    Raises:
        OSError: If a file cannot be removed.
    """
    (folder / REPORT_FILE).unlink(missing_ok=True)
    figures = folder / FIGURE_FOLDER
    for name in FIGURE_NAMES:
        for file_format in FIGURE_FORMATS:
            (figures / f"{name}.{file_format}").unlink(missing_ok=True)
    if figures.is_dir() and not any(figures.iterdir()):
        figures.rmdir()
