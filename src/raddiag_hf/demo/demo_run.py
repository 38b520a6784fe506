"""Demo: draw phantoms, train after the recipe for them, evaluate, diagnose, report."""

import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from transformers import TrainerState
from transformers.trainer import TRAINER_STATE_NAME

from raddiag_hf.checkpoints.loading import load_model
from raddiag_hf.core.atomic_files import atomic_write
from raddiag_hf.core.checkpoint_folders import list_checkpoints
from raddiag_hf.core.progress import Progress, no_progress
from raddiag_hf.core.run_folder import RunFolder
from raddiag_hf.data.opening import open_cases
from raddiag_hf.data.publishers.loading import load_builder
from raddiag_hf.demo.demo_cases import DemoCase, held_out_case, real_cases
from raddiag_hf.demo.demo_report import demo_report
from raddiag_hf.demo.demo_settings import DemoSettings
from raddiag_hf.evaluation.evaluation_run import evaluate_model
from raddiag_hf.evaluation.evaluation_settings import EvaluationSettings, PredictionSettings
from raddiag_hf.inference.diagnose import diagnose_case
from raddiag_hf.inference.diagnosis import Diagnosis
from raddiag_hf.metrics.evaluation_result import EvaluationResult
from raddiag_hf.training.recipe import load_recipe
from raddiag_hf.training.train import train_recipe
from raddiag_hf.vocabulary import Split

IMAGE_SIZE, MAX_SLICES = 48, 6
NUM_DISORDERS = 12
"""The most frequent, few enough to be learnt in minutes."""
HEAD_FROM, TAIL_BELOW = 50, 15
"""Bounds of head and tail, scaled to a data set of hundreds rather than tens of thousands."""
CURVE_POINTS = 80
"""Points of the training curve."""
BATCH_SIZE = 8
DEMO_FILE = "demo.json"
EVALUATION_FOLDER = "evaluation"


@dataclass(frozen=True)
class DemoResult:
    """What the demo made.

    Attributes:
        report: ``report.html``.
        model_dir: The trained model, as ``from_pretrained`` and ``raddiag diagnose`` read it.
        cases_dir: The phantoms as a data set, as ``raddiag evaluate`` reads it.
        case_dir: The diagnosed phantom as a folder of DICOM series.
        evaluation: On held-out phantoms.
        diagnoses: Each case with its diagnosis, the phantom first.
    """

    report: Path
    model_dir: Path
    cases_dir: Path
    case_dir: Path
    evaluation: EvaluationResult
    diagnoses: list[tuple[DemoCase, Diagnosis]]


def run_demo(
    output_dir: Path, settings: DemoSettings | None = None, progress: Progress = no_progress
) -> DemoResult:
    """Run the demo and leave its data set, model, evaluation and report in a folder.

    Args:
        output_dir: A new or empty folder, or that of an earlier demo, which is made again.
        settings: How much to draw and to learn.
        progress: Hears of the steps.

    Raises:
        RunFolderError: If ``output_dir`` holds something that no demo made; nothing is touched.
        RunInProgressError: If another demo is at work there.
    """
    with RunFolder(output_dir, record=DEMO_FILE).claim({"made by": "raddiag demo"}):
        return _run_alone(output_dir, settings or DemoSettings(), progress)


def _run_alone(output_dir: Path, settings: DemoSettings, progress: Progress) -> DemoResult:
    """Make the demo in a folder that is its own."""
    model_dir, cases_dir, case_dir = (output_dir / name for name in ("model", "cases", "case"))
    for made in (model_dir, cases_dir, case_dir):
        shutil.rmtree(made, ignore_errors=True)
    progress("Drawing phantoms", 0, 0)
    _draw_cases(cases_dir, settings)
    log = _train(cases_dir, model_dir, settings, progress)
    loaded = load_model(str(model_dir), device="cpu")
    found = evaluate_model(
        loaded,
        cases_dir,
        Split.TEST,
        output_dir / EVALUATION_FOLDER,
        EvaluationSettings(
            head_from=HEAD_FROM,
            tail_below=TAIL_BELOW,
            prediction=PredictionSettings(overwrite=True),
        ),
        progress,
    )
    assert found is not None
    progress("Diagnosing", 0, 0)
    test = open_cases(cases_dir, [Split.TEST])[Split.TEST]
    held_out = held_out_case(test, loaded.processor, case_dir)
    diagnoses = [
        (
            case,
            diagnose_case(
                loaded.model,
                loaded.processor,
                case.scans,
                top=5,
                model_id="phantom demo model",
                domain=loaded.domain,
            ),
        )
        for case in [held_out, *real_cases()]
    ]
    report = output_dir / "report.html"
    with atomic_write(report) as path:
        page = demo_report(settings, log, found.result, diagnoses)
        path.write_text(page, encoding="utf-8")
    return DemoResult(report, model_dir, cases_dir, case_dir, found.result, diagnoses)


def _draw_cases(folder: Path, settings: DemoSettings) -> None:
    """Write the phantoms as ``raddiag dataset build phantoms`` does."""
    builder = load_builder(
        "phantoms",
        num_train=settings.train_cases,
        num_validation=settings.validation_cases,
        num_test=settings.test_cases,
        image_size=IMAGE_SIZE,
        max_slices=MAX_SLICES,
        num_disorders=NUM_DISORDERS,
        seed=settings.seed,
    )
    builder.write(folder, num_proc=os.cpu_count() or 1)


def _train(
    cases: Path, model: Path, settings: DemoSettings, progress: Progress
) -> list[dict[str, float]]:
    """Train after the recipe for phantoms, and return the log."""
    num_steps = settings.num_epochs * settings.train_cases / BATCH_SIZE
    with tempfile.TemporaryDirectory(dir=model.parent, prefix=".training-") as scratch:
        output = Path(scratch) / "run"
        recipe = load_recipe(
            "phantoms",
            [
                f"data.dataset={cases}",
                "data.options={}",
                f"training.num_train_epochs={settings.num_epochs}",
                f"training.per_device_train_batch_size={BATCH_SIZE}",
                f"training.logging_steps={max(1, round(num_steps / CURVE_POINTS))}",
                f"training.seed={settings.seed}",
                "training.report_to=none",
                "training.disable_tqdm=true",
                "training.use_cpu=true",
                f"output={output}",
            ],
        )
        train_recipe(recipe, progress).rename(model)
        state = TrainerState.load_from_json(str(list_checkpoints(output)[-1] / TRAINER_STATE_NAME))
    return list(state.log_history)
