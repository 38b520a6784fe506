"""The ablation as JSON and as Markdown tables."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from _ablation_statistics import difference, summarise
from raddiag_hf.core.atomic_files import atomic_write
from raddiag_hf.metrics.sampled_metrics import metric_range

SHOWN = (
    "auc",
    "auc_within_anatomy",
    "auc_within_lesions",
    "auc_within_site",
    "auc_within_kind",
    "ap",
    "f1",
    "mcc",
)
"""Metrics in the Markdown tables; the JSON holds all."""


class Named(Protocol):
    """What a variant is here."""

    @property
    def name(self) -> str:
        """Its name in the tables."""
        ...


def write_report(
    about: dict[str, Any],
    results: Mapping[Any, Sequence[dict[str, Any]]],
    oracles: Mapping[Any, Sequence[dict[str, Any]]],
    comparisons: Iterable[tuple[Named, Named]],
    path: Path | None,
) -> str:
    """Summarise all runs, write JSON and Markdown, and return the Markdown.

    Args:
        about: What was run, where.
        results: By variant, one entry per seed: ``loss``, ``seconds`` and ``metrics``.
        oracles: The same without ``loss`` and ``seconds`` for scores that nobody trained.
        comparisons: Pairs of variants, the one that is expected to be better first.
        path: Of the JSON file, beside which the Markdown goes; None to write nothing.
    """
    variants = {
        variant.name: {
            "training_loss": [round(run["loss"], 4) for run in runs],
            "seconds": [round(run["seconds"]) for run in runs],
            "metrics": _summaries(runs),
        }
        for variant, runs in results.items()
    }
    compared = {**results, **oracles}
    differences = {
        f"{a.name} - {b.name}": _differences(compared[a], compared[b])
        for a, b in comparisons
        if a in compared and b in compared
    }
    report = about | {
        "variants": variants,
        "oracles": {oracle.name: {"metrics": _summaries(runs)} for oracle, runs in oracles.items()},
        "differences": differences,
    }
    text = _markdown(report)
    if path is not None:
        path.parent.mkdir(exist_ok=True)
        with atomic_write(path) as temporary:
            temporary.write_text(json.dumps(report, indent=1) + "\n")
        with atomic_write(path.with_suffix(".md")) as temporary:
            temporary.write_text(text)
    return text


def _summaries(runs: Sequence[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return _nested(
        {
            (group, metric): summarise(
                [run["metrics"][group, metric] for run in runs], metric_range(metric)
            )
            for group, metric in runs[0]["metrics"]
        }
    )


def _differences(
    a: Sequence[dict[str, Any]], b: Sequence[dict[str, Any]]
) -> dict[str, dict[str, Any]]:
    return _nested(
        {
            key: summarise(
                difference([run["metrics"][key] for run in a], [run["metrics"][key] for run in b]),
                (-1.0, 1.0),
            )
            for key in a[0]["metrics"]
            if key in b[0]["metrics"]
        }
    )


def _nested(flat: Mapping[tuple[str, str], Any]) -> dict[str, dict[str, Any]]:
    nested: dict[str, dict[str, Any]] = {}
    for (group, metric), value in flat.items():
        nested.setdefault(group, {})[metric] = value
    return nested


def _markdown(report: Mapping[str, Any]) -> str:
    seeds = len(report["settings"]["seeds"])
    lines = [
        "# Knowledge and fusion on phantoms",
        "",
        f"Means over {seeds} seeds, in percent, with 95 % intervals for other patients and other "
        "seeds. Differences are paired over patients and seeds; the JSON beside this file holds "
        "the intervals over patients alone and over seeds alone, and every seed.",
        "",
        "The columns auc_within rank each label among some cases only: those of its region; those "
        "of its region with a lesion; those with a lesion at its site; those of its region with a "
        "lesion of its kind. What these cases share is worth nothing there. An oracle knows what "
        "it is named after and nothing else: what a variant has beyond it is its own.",
        "",
        "Labels: " + ", ".join(f"{n} {group}" for group, n in report["labels_in_group"].items()),
        "",
    ]
    for title, content in (
        (
            "Variants",
            {name: v["metrics"] for name, v in (report["variants"] | report["oracles"]).items()},
        ),
        ("Differences", report["differences"]),
    ):
        groups = list(dict.fromkeys(group for metrics in content.values() for group in metrics))
        for group in groups:
            shown = [m for m in SHOWN if any(m in c.get(group, {}) for c in content.values())]
            lines += [f"## {title}: {group}", "", f"| | {' | '.join(shown)} |"]
            lines += ["|---" * (1 + len(shown)) + "|"]
            for name, metrics in content.items():
                if group in metrics:
                    cells = [_cell(metrics[group].get(metric)) for metric in shown]
                    lines.append(f"| {name} | {' | '.join(cells)} |")
            lines.append("")
    return "\n".join(lines)


def _cell(found: Mapping[str, Any] | None) -> str:
    if found is None:
        return ""
    if found["over_both"] is None:  # a single seed
        return f"{100 * found['mean']:.1f}"
    low, high = found["over_both"]
    return f"{100 * found['mean']:.1f} ({100 * low:.1f}, {100 * high:.1f})"
