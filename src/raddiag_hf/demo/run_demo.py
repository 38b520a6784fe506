"""Draw phantoms, train, evaluate, diagnose, report: the whole way, step by step."""

import json
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from raddiag_hf.checkpoints.loading import load_model
from raddiag_hf.core.atomic_files import atomic_write
from raddiag_hf.demo.demo_cases import DemoCase, held_out_case, real_cases
from raddiag_hf.demo.demo_report import demo_report
from raddiag_hf.demo.phantom_data import draw_phantom_splits
from raddiag_hf.demo.phantom_training import (
    demo_processor,
    evaluate_on_phantoms,
    train_on_phantoms,
)
from raddiag_hf.inference.diagnose import diagnose_case
from raddiag_hf.inference.diagnosis import Diagnosis
from raddiag_hf.metrics import EvaluationResult

StepReport = Callable[[str, int, int], None]
"""Called with what is being done, steps done, and steps in all (0 where they are not counted)."""


@dataclass(frozen=True)
class DemoResult:
    """What the demo made.

    Attributes:
        report: ``report.html``.
        model_dir: The trained model, as ``from_pretrained`` and ``raddiag diagnose`` read it.
        case_dir: The diagnosed phantom as a folder of DICOM series.
        evaluation: On held-out phantoms.
        diagnoses: Each case with its diagnosis, the phantom first.
    """

    report: Path
    model_dir: Path
    case_dir: Path
    evaluation: EvaluationResult
    diagnoses: list[tuple[DemoCase, Diagnosis]]


def run_demo(
    output_dir: Path,
    *,
    num_cases: tuple[int, int, int],
    num_epochs: float,
    seed: int,
    report_step: StepReport,
) -> DemoResult:
    """Run the demo and write its report, model, phantom case and metrics to a folder.

    Args:
        output_dir: What an earlier run left in it is replaced; nothing else is touched.
        num_cases: Training, validation and test cases.
        num_epochs: Passes over the training cases.
        seed: Of the phantoms and of the training.
        report_step: Hears of the progress.
    """
    output_dir.mkdir(parents=True, exist_ok=True)
    processor = demo_processor()
    report_step("Drawing phantoms", 0, 0)
    splits = draw_phantom_splits(
        processor, num_cases, seed=seed, num_workers=max(1, os.cpu_count() or 1)
    )
    with tempfile.TemporaryDirectory() as scratch:
        trainer, log = train_on_phantoms(
            splits,
            Path(scratch),
            num_epochs=num_epochs,
            seed=seed,
            report_progress=lambda done, total: report_step("Training", done, total),
        )
        report_step("Evaluating on held-out cases", 0, 0)
        evaluation = evaluate_on_phantoms(trainer, splits)

    model_dir, case_dir = output_dir / "model", output_dir / "case"
    for made in (model_dir, case_dir):
        shutil.rmtree(made, ignore_errors=True)
    trainer.model.save_pretrained(model_dir)
    processor.save_pretrained(model_dir)

    report_step("Diagnosing", 0, 0)
    loaded = load_model(str(model_dir), device="cpu")
    cases = [held_out_case(splits, processor, case_dir), *real_cases()]
    diagnoses = [
        (
            case,
            diagnose_case(
                loaded.model, loaded.processor, case.scans, top=5, model_id="phantom demo model"
            ),
        )
        for case in cases
    ]
    with atomic_write(output_dir / "metrics.json") as path:
        path.write_text(json.dumps(evaluation.to_dict(), indent=2) + "\n")
    report = output_dir / "report.html"
    with atomic_write(report) as path:
        path.write_text(demo_report(splits, log, evaluation, diagnoses), encoding="utf-8")
    return DemoResult(report, model_dir, case_dir, evaluation, diagnoses)
