"""Model card of a trained model, rendered from the record of its run."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from huggingface_hub import ModelCardData
from jinja2 import Environment, PackageLoader, StrictUndefined

from raddiag_hf.checkpoints.training_kinds import TrainingKinds
from raddiag_hf.core.atomic_files import atomic_write
from raddiag_hf.evaluation.report.tables import count
from raddiag_hf.metrics.confusion import describe_accuracy
from raddiag_hf.reports.markdown import in_markdown
from raddiag_hf.training.finetune_settings import Method
from raddiag_hf.training.record import TrainingRecord

METRICS = ("auc", "ap", "f1", "mcc", "acc")
MOST_LABELS = 50
"""Labels that are listed, in the table the most frequent first."""

TITLES = {
    "from-scratch": "trained on",
    "continued": "trained further on",
    Method.LINEAR_PROBE: "adapted by a linear probe to",
    Method.ATTENTIVE_PROBE: "adapted by an attentive probe to",
    Method.LORA: "adapted by low-rank adapters to",
    Method.FULL: "adapted by full fine-tuning to",
}
"""Method of a `TrainingRecord` -> what comes before the number of labels."""


def write_model_card(folder: Path | str, record: TrainingRecord) -> Path:
    """Write the card as ``README.md`` of a model folder, and return its path."""
    path = Path(folder) / "README.md"
    with atomic_write(path) as temporary:
        temporary.write_text(render_model_card(record), "utf-8")
    return path


def render_model_card(record: TrainingRecord) -> str:
    """Return the model card of a training in Markdown.

    It has counts of cases and patients, and names none. A field that the record does not fill is an
    error, never a blank.
    """
    environment = Environment(
        loader=PackageLoader("raddiag_hf.model_cards", ""),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # Markdown, not HTML
    )
    environment.filters["counts"] = _counts
    environment.filters["kinds"] = lambda found: in_markdown(str(TrainingKinds.from_list(found)))
    environment.filters["plain"] = in_markdown
    environment.filters["counted"] = count
    environment.filters["capitalize_first"] = lambda text: text[:1].upper() + text[1:]
    is_on_hub = record.base_model is not None and "/" in record.base_model
    metrics = record.metrics or {}
    shown = [name for name in METRICS if name in metrics.get("groups", {})]
    classes = _class_rows(record, shown)
    return environment.get_template("trained.md.jinja").render(
        metadata=_metadata(record, is_on_hub),
        record=record,
        title=TITLES["from-scratch" if record.base_model is None else record.method],
        base=_base(record.base_model, is_on_hub),
        is_adapter=record.is_adapter,
        metrics=shown,
        groups=_group_rows(metrics, shown),
        classes=classes[:MOST_LABELS],
        most_labels=MOST_LABELS,
        accuracy=_accuracy(metrics),
        num_hidden=max(0, len(classes) - MOST_LABELS),
    )


def _base(name: str | None, is_on_hub: bool) -> str:
    if name is None:
        return "random weights"
    return f"[{name}](https://huggingface.co/{name})" if is_on_hub else f"`{name}`"


def _accuracy(metrics: Mapping[str, Any]) -> str | None:
    """Return how often the most probable of exclusive labels is right; None of other labels."""
    found = metrics.get("confusion")
    return None if found is None else describe_accuracy(found)


def _metadata(record: TrainingRecord, is_on_hub: bool) -> str:
    """Return the front matter that the Hub reads."""
    data = ModelCardData(
        library_name="peft" if record.is_adapter else "transformers",
        pipeline_tag="image-classification",
        tags=["raddiag", "radiology", "medical-imaging"],
        base_model=record.base_model if is_on_hub else None,
    )
    return str(data.to_yaml()).strip()


def _counts(found: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in found.items())


def _group_rows(metrics: Mapping[str, Any], shown: list[str]) -> list[dict[str, Any]]:
    table = metrics.get("groups", {"group": []})
    return [
        {
            "name": name,
            "evaluated": table["evaluated"][row],
            "values": [_with_interval(table, metric, row) for metric in shown],
        }
        for row, name in enumerate(table["group"])
        if table["evaluated"][row] or name == "all"
    ]


def _class_rows(record: TrainingRecord, shown: list[str]) -> list[dict[str, Any]]:
    if record.metrics is None:
        return []
    table = record.metrics["classes"]
    train = record.data["splits"]["train"]
    num_cases = record.metrics["num_cases"]
    rows = [
        {
            "name": in_markdown(name),
            "num_trained": train["positives"][name],
            "train_positives": _positives(
                train["positives"][name], train.get("known_cases", {}).get(name), train["cases"]
            ),
            "test_positives": _positives(
                table["positives"][row], table["known_cases"][row], num_cases
            ),
            "values": [_with_interval(table, metric, row) for metric in shown],
        }
        for row, name in enumerate(table["class"])
    ]
    return sorted(rows, key=lambda row: -row["num_trained"])


def _positives(positives: int, known: int | None, cases: int) -> str:
    """Return the number of positive cases, and of known ones where these are not all."""
    return f"{positives}" if known in (None, cases) else f"{positives} of {known} known"


def _with_interval(table: Mapping[str, Any], metric: str, row: int) -> str:
    value = table[metric][row]
    if value is None:
        return "undefined"
    low, high = table[f"{metric}_low"][row], table[f"{metric}_high"][row]
    return f"{value:.3f}" if low is None else f"{value:.3f} [{low:.3f}, {high:.3f}]"
