"""`raddiag explain`: where in a case the answer for a label comes from."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich import box
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from raddiag_hf.checkpoints.model_choice import ModelChoice
from raddiag_hf.cli.case import CaseArguments, open_case
from raddiag_hf.cli.console import SafeConsole, check_output_folder, say
from raddiag_hf.cli.options import with_options
from raddiag_hf.core.plain_text import printable_json
from raddiag_hf.reports.sections import DISCLAIMER, percent, signed

if TYPE_CHECKING:
    from raddiag_hf.inference.explain.explanation import Explanation, ScanExplanation

EXAMPLES = """
**Examples**

`raddiag explain study/ --model ./model --label top --output why`

`raddiag explain --scan mri=knee.nii.gz -m ./model --label "Meniscal tear" -o why --masks 128`
"""

TOP = "top"
"""The label that means the most probable one."""


@with_options
def explain(
    *,
    case: CaseArguments,
    model: ModelChoice,
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            metavar="DIR",
            help="Write explanation.json and, in overlays/, pictures and NIfTI maps there.",
        ),
    ],
    label: Annotated[
        str, typer.Option(metavar="NAME|top", help="Which label; top is the most probable one.")
    ] = TOP,
    masks: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Groups of activation channels, each of which costs an encoding of its scan; "
            "32 by default.",
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print explanation.json, and nothing else.")
    ] = False,
) -> None:
    """Show which scans, slices and places a diagnosis comes from, by Score-CAM.

    Every scan gets pictures of its key slices with a heat map, and the whole map as NIfTI with the
    shape and the affine of its file.
    """
    check_output_folder(output)

    from raddiag_hf.inference.case_files import write_explanation_files
    from raddiag_hf.inference.explain.explanation import label_index
    from raddiag_hf.inference.explain.saliency import ScoreCamSettings

    opened = open_case(case, model)
    wanted = None if label == TOP else label
    if wanted is not None:
        label_index(opened.loaded.model, wanted)  # refused before a bar is drawn
    settings = ScoreCamSettings() if masks is None else ScoreCamSettings(max_masks=masks)
    explanation = opened.explain(wanted, settings)
    path = write_explanation_files(output, explanation, opened.case.scans)
    say(f"Explanation: {path}")
    if as_json:
        typer.echo(printable_json(json.loads(path.read_text(encoding="utf-8"))))
    else:
        SafeConsole().print(render_explanation(explanation))


def render_explanation(explanation: "Explanation") -> RenderableType:
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


def _cells(scan: "ScanExplanation") -> tuple[Text, ...]:
    part = scan.contribution
    cells = (
        part.modality if part.plane == "Unknown" else f"{part.modality} {part.plane.lower()}",
        percent(part.share),
        "only scan" if part.effect is None else signed(part.effect),
        "–" if scan.attention_share is None else percent(scan.attention_share),
        "map is empty" if scan.peak is None else ", ".join(str(place + 1) for place in scan.peak),
    )
    return tuple(Text(cell) for cell in cells)
