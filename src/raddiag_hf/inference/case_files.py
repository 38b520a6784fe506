"""Files of a case: records for programs, a report and pictures for people, maps for viewers."""

import gzip
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nibabel
import numpy as np

from raddiag_hf.core.atomic_files import atomic_write
from raddiag_hf.imaging.scan import Scan
from raddiag_hf.imaging.source_grid import SourceGrid, source_grid
from raddiag_hf.inference.diagnosis import Diagnosis
from raddiag_hf.inference.explain.explanation import Explanation, ScanExplanation
from raddiag_hf.inference.explain.overlays import overlay_figure
from raddiag_hf.inference.explain.saliency_grid import saliency_slices
from raddiag_hf.inference.views import case_section
from raddiag_hf.reports.report import render_report

RECORD_FILE, OVERLAY_FOLDER = "explanation.json", "overlays"
_OVERLAY = re.compile(r"scan-\d+-[a-z-]+(-slice-\d{3,})?\.png|scan-\d+-[a-z-]+\.nii\.gz")


def write_case_files(
    output_dir: Path,
    diagnosis: Diagnosis,
    scans: Sequence[Scan],
    explanation: Explanation | None = None,
) -> Path:
    """Write ``diagnosis.json`` and ``report.html``, each whole or not at all; return the latter.

    With an explanation its files are written too; without one those of an earlier explanation are
    removed: they belong to another diagnosis, and may be another patient's.

    Args:
        output_dir: Made where it does not exist; older files of these names are replaced.
        diagnosis: The answer.
        scans: The scans that were diagnosed, in the order of ``diagnosis.scans``.
        explanation: Shown in the report, where there is one.

    Raises:
        OSError: If the folder cannot be made or written.
    """
    page = render_report("Case diagnosis", [case_section("", diagnosis, scans, (), explanation)])
    record = json.dumps(diagnosis.to_dict(), indent=2, ensure_ascii=False, allow_nan=False)
    if explanation is None:
        remove_explanation_files(output_dir)
    else:
        write_explanation_files(output_dir, explanation, scans)
    output_dir.mkdir(parents=True, exist_ok=True)
    with atomic_write(output_dir / "diagnosis.json") as path:
        path.write_text(record + "\n", encoding="utf-8")
    report = output_dir / "report.html"
    with atomic_write(report) as path:
        path.write_text(page, encoding="utf-8")
    return report


def write_explanation_files(
    output_dir: Path, explanation: Explanation, scans: Sequence[Scan]
) -> Path:
    """Write ``overlays/*.png``, ``overlays/*.nii.gz`` and ``explanation.json``; return the latter.

    Maps are whole numbers, percent of the scan's highest value, in shape and affine of the scan's
    file where that is known. Files are numbered as the scans are, so that no name of a file or a
    patient gets into theirs.

    Args:
        output_dir: Made where it does not exist; files of an earlier explanation are removed.
        explanation: Of these scans.
        scans: In the order of ``explanation.scans``.

    Raises:
        OSError: If the folder cannot be made or written.
    """
    remove_explanation_files(output_dir)
    folder = output_dir / OVERLAY_FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    record = explanation.to_dict()
    for number, (scan, explained) in enumerate(zip(scans, explanation.scans, strict=True)):
        stem = f"scan-{number + 1}-{str(scan.modality).split()[0].lower()}"
        record["scans"][number] |= _write_scan(folder, stem, scan, explained, explanation.label)
    path = output_dir / RECORD_FILE
    with atomic_write(path) as temporary:
        text = json.dumps(record, indent=2, ensure_ascii=False, allow_nan=False)
        temporary.write_text(text + "\n", encoding="utf-8")
    return path


def remove_explanation_files(output_dir: Path) -> None:
    """Remove what `write_explanation_files` wrote there: it may be another patient's.

    Files of other names stay.

    Raises:
        OSError: If one cannot be removed.
    """
    (output_dir / RECORD_FILE).unlink(missing_ok=True)
    folder = output_dir / OVERLAY_FOLDER
    if not folder.is_dir():
        return
    for path in folder.iterdir():
        if _OVERLAY.fullmatch(path.name):
            path.unlink()
    if not any(folder.iterdir()):
        folder.rmdir()


def _write_scan(
    folder: Path, stem: str, scan: Scan, explained: ScanExplanation, label: str
) -> dict[str, Any]:
    """Write one scan's files; return what the record says of them."""
    names = []
    for index in explained.key_slices:
        names.append(f"{stem}-slice-{index + 1:03d}.png" if len(scan.volume) > 1 else f"{stem}.png")
        note = explained.why_shown(index)
        with atomic_write(folder / names[-1]) as path:
            path.write_bytes(overlay_figure(scan, explained.saliency.values, index, label, note))
    grid = source_grid(scan)
    with atomic_write(folder / f"{stem}.nii.gz") as path:
        _write_map(path, scan, explained, grid)
    return {
        "overlays": [f"{OVERLAY_FOLDER}/{name}" for name in names],
        "map": f"{OVERLAY_FOLDER}/{stem}.nii.gz",
        "map_position_known": grid.space_code > 0,
        "map_alignment": grid.statement,
    }


def _write_map(path: Path, scan: Scan, explained: ScanExplanation, grid: SourceGrid) -> None:
    """Write the map as NIfTI; its header has nothing of the source but shape and affine."""
    depth, height, width = scan.volume.shape
    volume = np.empty((depth, height, width), dtype=np.uint8)
    for index, plane in enumerate(saliency_slices(explained.saliency.values, volume.shape)):
        volume[index] = np.rint(100 * plane)
    image = nibabel.Nifti1Image(grid.turn(volume), grid.affine)
    image.set_sform(grid.affine, code=grid.space_code)
    image.set_qform(grid.affine, code=grid.space_code, strip_shears=True)
    image.header.set_xyzt_units("mm")
    with gzip.open(path, "wb", compresslevel=4) as stream:
        image.to_stream(stream)
