"""The files of a diagnosis: one for programs, one for people."""

import json
from collections.abc import Sequence
from pathlib import Path

from raddiag_hf.core.atomic_files import atomic_write
from raddiag_hf.imaging.scan import Scan
from raddiag_hf.inference.diagnosis import Diagnosis
from raddiag_hf.inference.explain.explanation import Explanation
from raddiag_hf.reports.report import render_report
from raddiag_hf.reports.sections import CaseSection


def write_case_files(
    output_dir: Path,
    diagnosis: Diagnosis,
    scans: Sequence[Scan],
    explanation: Explanation | None = None,
) -> Path:
    """Write ``diagnosis.json`` and ``report.html``, each whole or not at all; return the latter.

    Args:
        output_dir: Made where it does not exist; older files of these names are replaced.
        diagnosis: The answer.
        scans: The scans that were diagnosed, in the order of ``diagnosis.scans``.
        explanation: Shown in the report, where there is one.

    Raises:
        OSError: If the folder cannot be made or written.
    """
    page = render_report("Case diagnosis", [CaseSection("", diagnosis, scans, (), explanation)])
    record = json.dumps(diagnosis.to_dict(), indent=2, ensure_ascii=False, allow_nan=False)
    output_dir.mkdir(parents=True, exist_ok=True)
    with atomic_write(output_dir / "diagnosis.json") as path:
        path.write_text(record + "\n", encoding="utf-8")
    report = output_dir / "report.html"
    with atomic_write(report) as path:
        path.write_text(page, encoding="utf-8")
    return report
