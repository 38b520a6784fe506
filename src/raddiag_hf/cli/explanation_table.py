"""An explanation on the terminal: what each scan did, and where to look in it."""

from rich import box
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from raddiag_hf.inference.explain.explanation import Explanation, ScanExplanation
from raddiag_hf.reports.wording import DISCLAIMER, percent, signed


def render_explanation(explanation: Explanation) -> RenderableType:
    """Return an explanation as something that rich prints."""
    head = Text.assemble(
        (explanation.label, "bold"),
        f"  {percent(explanation.probability)}, logit {signed(explanation.logit)}",
    )
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading, justify in (
        ("Scan", "left"),
        ("Share", "right"),
        ("Effect", "right"),
        ("Attention", "right"),
        ("Peak (slice, row, column)", "left"),
    ):
        table.add_column(heading, justify=justify)  # type: ignore[arg-type]  # a literal in rich
    for scan in explanation.scans:
        table.add_row(*_cells(scan))
    numbered = enumerate(explanation.scans, start=1)
    without_gain = [str(number) for number, scan in numbered if scan.saliency.gain <= 0]
    caution = (
        f"No higher score than a black scan: scan {', '.join(without_gain)}; a map there only "
        "compares parts of the scan with each other. "
        if without_gain
        else ""
    )
    notes = (
        "Share and effect: the logit with all scans minus without this one. Attention: of the "
        "case's token among scans. Peak: the map's highest place, counted from 1. "
        f"{caution}{DISCLAIMER}"
    )
    return Padding(Group(head, table, Text(notes, style="dim")), (0, 1, 1, 1))


def _cells(scan: ScanExplanation) -> tuple[Text, ...]:
    part = scan.contribution
    cells = (
        part.modality if part.plane == "Unknown" else f"{part.modality} {part.plane.lower()}",
        percent(part.share),
        "only scan" if part.effect is None else signed(part.effect),
        "–" if scan.attention_share is None else percent(scan.attention_share),
        "map is empty" if scan.peak is None else ", ".join(str(place + 1) for place in scan.peak),
    )
    return tuple(Text(cell) for cell in cells)
