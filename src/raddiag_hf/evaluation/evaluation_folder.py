"""Folder of an evaluation: its files, what the tables say, and how stale results are removed."""

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from raddiag_hf.core.atomic_files import atomic_write
from raddiag_hf.core.processes import is_first_process
from raddiag_hf.core.run_folder import RunFolder
from raddiag_hf.evaluation.prediction_table import read_provenance
from raddiag_hf.evaluation.report.tables import TABLE_FILES, EvaluatedModel, write_tables
from raddiag_hf.labels.bands import BandRule, CountedCases
from raddiag_hf.metrics.confusion import describe_accuracy
from raddiag_hf.metrics.top_k import TopKRecall

METRICS_FILE, PREDICTIONS_FILE = "metrics.json", "predictions.parquet"
CALIBRATION_FILE = "calibration_predictions.parquet"
REPORT_FILE, FIGURE_FOLDER = "report.html", "figures"
FIGURE_NAMES = (
    "roc",
    "class_roc",
    "precision_recall",
    "calibration",
    "probabilities",
    "normal_abnormal",
    "modality",
    "anatomy",
)
WORK_FOLDER = ".evaluating"
FIGURE_FORMATS = ("png", "pdf")

FUSION_WORDS = {
    "random": "the predictions of one of them",
    "max": "the highest prediction of each label",
    "mean": "the mean probability of each label",
}
"""How late fusion makes one prediction of those of several scans."""

FILE_FORMAT = 1
"""Version of ``metrics.json`` and ``comparison.json``."""


def check_folder(folder: Path) -> None:
    """Refuse a folder that is not empty and that no evaluation made.

    Raises:
        RunFolderError: As it says. An evaluation leaves, whole or begun, its predictions.
        EvaluationInputError: If a file is named as predictions are, and is no table of them.
    """
    is_ours = False
    for path in (folder / PREDICTIONS_FILE, folder / CALIBRATION_FILE):
        if path.exists():
            read_provenance(path)  # a name alone does not tell whose file it is
            is_ours = True
        is_ours |= path.with_name(f"{path.stem}.parts").is_dir()
    is_ours |= (folder / WORK_FOLDER).is_dir()
    if not is_ours:
        RunFolder(folder, record=PREDICTIONS_FILE).refuse_foreign()


@contextmanager
def only_evaluation(folder: Path) -> Iterator[None]:
    """Keep other evaluations out of a folder, from its check to its last file.

    Raises:
        RunFolderError: As `check_folder`.
        RunInProgressError: If another evaluation is at work there.
    """
    if not is_first_process():
        yield
        return
    check_folder(folder)
    work, was_there = folder / WORK_FOLDER, folder.exists()
    with RunFolder(folder, work=work).lock():
        try:
            yield
        finally:
            shutil.rmtree(work, ignore_errors=True)
            if not was_there and not any(folder.iterdir()):
                folder.rmdir()


def write_metrics(content: Mapping[str, Any], folder: Path) -> None:
    """Write ``metrics.json``, ``table.md`` and ``table.tex``; a report of other metrics is removed.

    Args:
        content: What `ModelEvaluation.to_dict` returned.
        folder: Of the evaluation.
    """
    remove_report(folder)
    write_json(content, folder / METRICS_FILE)
    write_tables(folder, [evaluated_model(content)], table_notes(content))


def write_json(content: Mapping[str, Any], path: Path) -> None:
    """Write what programs read."""
    with atomic_write(path) as temporary:
        text = json.dumps(content, ensure_ascii=False, allow_nan=False, indent=1)
        temporary.write_text(text + "\n", "utf-8")


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


def evaluated_model(content: Mapping[str, Any], name: str | None = None) -> EvaluatedModel:
    """Return the rows of an evaluation's table.

    Args:
        content: What `ModelEvaluation.to_dict` returned.
        name: What to call the model; by default its folder's name or Hub id.
    """
    data = short_name(content["dataset"])
    granularity = f"{data}: {content['label_column']}, {content['split']}"
    return EvaluatedModel(name or short_name(content["model"]), granularity, content["groups"])


def short_name(location: str) -> str:
    """Return a Hub id as it is, and of a folder its last part."""
    is_hub_id = location.count("/") == 1 and location[0] not in "./~"
    return location if is_hub_id else Path(location).name


def table_notes(content: Mapping[str, Any]) -> list[str]:
    """Return what a reader of the table has to know, in sentences."""
    notes = [
        f"All indicators in percent, means over the classes that can be evaluated, on "
        f"{content['num_cases']} {content['split']} cases of {short_name(content['dataset'])}."
    ]
    if (bootstrap := content["bootstrap"]) is not None:
        notes.append(
            f"In brackets: {100 * bootstrap['confidence']:g} % intervals from "
            f"{bootstrap['resamples']} bootstrap resamples of {bootstrap['resampled_unit']}s."
        )
    if (fusion := content.get("fusion")) in FUSION_WORDS:
        notes.append(f"Scans were classified one by one; of each case: {FUSION_WORDS[fusion]}.")
    if (bands := content.get("bands")) is not None:
        notes.append(BandRule(**bands | {"counted": CountedCases(bands["counted"])}).describe())
    if (top_k := content.get("top_k_recall")) is not None:
        notes.append(TopKRecall(**top_k).describe())
    if content["threshold_description"] is not None:
        by = "Decisions" if content.get("exclusive_labels") else "Thresholds"
        notes.append(f"{by}: {content['threshold_description']}.")
    if (found := content.get("confusion")) is not None:
        notes.append(f"{describe_accuracy(found)}.")
    return notes
