"""The table on the terminal: everything that counts, at any width."""

from dataclasses import replace

import pytest
from rich.console import Console

from raddiag_hf.cli.diagnosis_table import WIDEST, render_diagnosis
from tests.fixtures.diagnoses import FINDINGS, make_diagnosis


def lines(diagnosis, width=100):
    console = Console(width=width, color_system=None)
    with console.capture() as capture:
        console.print(render_diagnosis(diagnosis))
    return capture.get().splitlines()


def text(diagnosis, width=100):
    return " ".join(" ".join(lines(diagnosis, width)).split())


def test_findings_stand_with_probability_and_threshold():
    table = text(make_diagnosis())
    assert "Finding Probability Threshold" in table
    assert "71.0% 31.0%" in table
    assert "10.0% 28.0%" in table
    assert "1 of 5 labels reaches its threshold." in table


def test_without_thresholds_there_is_no_such_column():
    findings = tuple(replace(f, threshold=None, predicted=None) for f in FINDINGS)
    table = text(make_diagnosis(findings=findings, predicted_count=None))
    assert "Threshold" not in table
    assert "carries no thresholds" in table


def test_of_exclusive_labels_the_most_probable_is_said_to_be_predicted():
    findings = tuple(
        replace(f, threshold=None, predicted=place == 0) for place, f in enumerate(FINDINGS)
    )
    table = text(make_diagnosis(findings=findings, has_exclusive_labels=True))
    assert "Threshold" not in table
    assert "exactly one of the 5 labels: the most probable is predicted." in table


def test_scans_stand_with_modality_slices_share_and_effect():
    table = text(make_diagnosis())
    assert "CT, axial 32 of 40 17" in table
    assert "70.0% +1.32" in table
    assert "30.0% −0.56" in table
    assert "Effect: logit of “Segond fracture”" in table


def test_one_scan_has_no_effect():
    diagnosis = make_diagnosis()
    alone = replace(diagnosis.scans[0], share=1.0, effect=None)
    assert "Effect:" not in text(replace(diagnosis, scans=(alone,)))


def test_warnings_and_disclaimer_stand_there():
    table = text(make_diagnosis(warnings=("2 files were left out.",)))
    assert "Note: 2 files were left out." in table
    assert table.endswith("Research software, not a medical device.")


@pytest.mark.parametrize("width", [70, 80, 110, 300])
def test_long_names_fit_every_width(width):
    findings = (replace(FINDINGS[0], label="Posterolateral corner injury " * 5), *FINDINGS)
    diagnosis = make_diagnosis(findings=findings)
    scans = tuple(replace(scan, scan_id="SERIES" * 20) for scan in diagnosis.scans)
    rows = lines(replace(diagnosis, scans=scans), width)
    assert max(map(len, rows)) <= min(width, WIDEST)
    assert len(rows) < 40
    assert any("70.0%" in row and "+1.32" in row for row in rows)


def test_brackets_in_names_are_not_markup():
    findings = (replace(FINDINGS[0], label="[red]Cyst[/red]"),)
    diagnosis = make_diagnosis(findings=findings, warnings=("[bold]x",))
    scans = tuple(replace(scan, scan_id="[dim]a[/]") for scan in diagnosis.scans)
    table = text(replace(diagnosis, scans=scans))
    assert all(name in table for name in ("[red]Cyst[/red]", "[dim]a[/]", "[bold]x"))
