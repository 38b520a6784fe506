"""Explain an opened case, with a bar on standard error."""

from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from raddiag_hf.cli.opened_case import OpenedCase

if TYPE_CHECKING:
    from raddiag_hf.inference.explain.explanation import Explanation
    from raddiag_hf.inference.explain.saliency import ScoreCamSettings


def run_explanation(
    case: OpenedCase, label: str | None, settings: "ScoreCamSettings", progress: Console
) -> "Explanation":
    """Explain a label, or the most probable one; see `explain_case`."""
    from raddiag_hf.inference.explain.explanation import explain_case

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=progress, transient=True) as bars:
        task = bars.add_task("Explaining", total=None)

        def report(scan: int, done: int, total: int) -> None:
            what = f"Explaining scan {scan + 1} of {len(case.scans)}: masks"
            bars.update(task, description=what, completed=done, total=total)

        return explain_case(
            case.loaded.model,
            case.loaded.processor,
            case.scans,
            label=label,
            settings=settings,
            model_id=case.loaded.model_id,
            model_revision=case.loaded.revision,
            progress=report,
        )
