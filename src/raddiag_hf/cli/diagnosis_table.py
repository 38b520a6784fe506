"""A diagnosis on the terminal: ranked findings, then what each scan did."""

from rich import box
from rich.console import Group, RenderableType
from rich.constrain import Constrain
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from raddiag_hf.inference.diagnosis import Diagnosis, ScanContribution
from raddiag_hf.inference.views import domain_statement, threshold_statement
from raddiag_hf.reports.sections import DISCLAIMER, percent, signed
from raddiag_hf.vocabulary import Plane

WIDEST = 110
"""Columns beyond which a wider terminal makes the tables harder to read."""

BAR_WIDTH = 20
"""Columns of a probability bar that stands for 100%."""

SHARE_WIDTH = 10
"""Columns of a share bar that stands for 100%."""


def render_diagnosis(diagnosis: Diagnosis) -> RenderableType:
    """Return a diagnosis as something that rich prints."""
    provenance = diagnosis.provenance
    origin = Text(
        f"{provenance.model_id} on {provenance.device} in {provenance.dtype}, "
        f"{provenance.seconds:.2f} s. {DISCLAIMER}",
        style="dim",
    )
    explanation = "Key: the slice with most attention."
    if len(diagnosis.scans) > 1:
        explanation = (
            f"Effect: logit of “{diagnosis.findings[0].label}” with all scans minus without this "
            f"one. Share: the size of that among all scans. {explanation}"
        )
    alarms = [] if diagnosis.domain is None else diagnosis.domain.warnings
    notes = [
        Text(f"Note: {warning}", style="yellow")
        for warning in diagnosis.warnings
        if warning not in alarms
    ]
    domain = Text(f"Trained on: {domain_statement(diagnosis)}.", style="dim")
    lines = Padding(
        Group(
            *(_below(Text(f"Before trusting this: {alarm}", style="bold red")) for alarm in alarms),
            _findings(diagnosis),
            _below(Text(threshold_statement(diagnosis), style="dim")),
            _scans(diagnosis),
            _below(Text(explanation, style="dim"), *notes, Text(), domain, origin),
        ),
        (0, 1, 1, 1),
    )
    return Constrain(lines, WIDEST)


def _below(*lines: Text) -> Padding:
    """Return lines set flush with the text of the table above."""
    return Padding(Group(*lines), (0, 1))


def _findings(diagnosis: Diagnosis) -> Table:
    has_thresholds = any(finding.threshold is not None for finding in diagnosis.findings)
    table = _table()
    table.add_column("Finding", ratio=1, overflow="fold")
    table.add_column("Probability", width=BAR_WIDTH)
    table.add_column(justify="right", no_wrap=True)
    if has_thresholds:
        table.add_column("Threshold", justify="right", no_wrap=True, style="dim")
    for finding in diagnosis.findings:
        style = "bold" if finding.predicted else ""
        cells: list[RenderableType] = [
            Text(finding.label, style=style),
            _bar(finding.probability, "cyan" if finding.predicted is not False else "bright_black"),
            Text(percent(finding.probability), style=style),
        ]
        if finding.threshold is not None:
            cells.append(percent(finding.threshold))
        table.add_row(*cells)
    return table


def _scans(diagnosis: Diagnosis) -> Table:
    table = _table()
    table.add_column("Scan", ratio=1, no_wrap=True, min_width=14)
    table.add_column("Modality", no_wrap=True)
    table.add_column("Slices", justify="right", no_wrap=True)
    table.add_column("Key", justify="right", no_wrap=True)
    table.add_column("Share", width=SHARE_WIDTH)
    table.add_column(justify="right", no_wrap=True)
    table.add_column("Effect", justify="right", no_wrap=True)
    for scan in diagnosis.scans:
        is_against = scan.effect is not None and scan.effect < 0
        table.add_row(
            Text(scan.scan_id),
            scan.modality
            if scan.plane == Plane.UNKNOWN
            else f"{scan.modality}, {scan.plane.lower()}",
            _slices(scan),
            "" if scan.key_slice is None else str(scan.key_slice + 1),
            _bar(scan.share, "yellow" if is_against else "cyan"),
            percent(scan.share),
            "" if scan.effect is None else signed(scan.effect),
        )
    return table


def _slices(scan: ScanContribution) -> str:
    if scan.encoded_slices < scan.source_slices:
        return f"{scan.encoded_slices} of {scan.source_slices}"
    return str(scan.source_slices)


def _table() -> Table:
    return Table(
        box=box.SIMPLE_HEAD, padding=(0, 2, 0, 0), expand=True, pad_edge=False, header_style="dim"
    )


def _bar(fraction: float, style: str) -> ProgressBar:
    return ProgressBar(
        total=1.0, completed=fraction, style="grey23", complete_style=style, finished_style=style
    )
