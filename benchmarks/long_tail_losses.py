"""What the losses for the long tail do to head, body and tail, on phantoms.

Each loss, and the plain cross-entropy with rare labels repeated, trains the same narrow network
from the same weights on the same phantom cases. The learning rate is chosen for each on validation
cases, by mean average precision over all labels; test cases are looked at once. Reported are AUC
and AP of head, body and tail for every seed with bootstrap intervals over test cases, and the
paired difference to ``bce`` of the same seed. Phantoms are easier than patients and a few thousand
cases are few: this compares losses, it does not say what they reach.

    python benchmarks/long_tail_losses.py              # writes results/long_tail_losses.json
    python benchmarks/long_tail_losses.py --quick      # a few cases, writes no result
"""

import argparse
import json
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array
from torch import Tensor

from _machine import describe_machine
from raddiag_hf import RadDiagConfig, RadDiagForImageClassification, RadDiagImageProcessor
from raddiag_hf.data.batches.collate import collate_cases
from raddiag_hf.data.batches.repetition import repeat_factors
from raddiag_hf.data.batches.sampling import BalancedBatchSampler
from raddiag_hf.labels.bands import band_columns
from raddiag_hf.labels.label_set import LabelSet
from raddiag_hf.metrics import (
    BootstrapSettings,
    EvaluationResult,
    compare_predictions,
    evaluate_predictions,
)
from raddiag_hf.metrics.comparison import PairedComparison
from raddiag_hf.phantoms.cases import NORMAL, draw_case, phantom_disorders

RESULTS = Path(__file__).parent / "results"
LABELS = LabelSet((NORMAL, *(disorder.name for disorder in phantom_disorders())))
PROCESSOR = RadDiagImageProcessor(image_size=32, max_slices=6)
WIDTH, BATCH_SIZE = 8, 16
METHODS = ("bce", "bce_repeated", "focal", "asymmetric", "class_balanced", "logit_adjusted")
METRICS = ("auc", "ap")
Packed = dict[str, Tensor]


@dataclass(frozen=True)
class Settings:
    """How much is drawn and trained.

    Attributes:
        num_cases: Of the three splits: training, validation, test.
        num_epochs: Passes over the training cases.
        learning_rates: Tried for each method; the best on validation is reported.
        seeds: Of weights and order; the cases are the same.
        head_from, tail_below: Bounds of head and tail in training cases.
        repeat_threshold: Share of cases from which labels are not repeated.
        resamples: Of the bootstrap.
    """

    num_cases: tuple[int, int, int] = (1500, 1000, 3000)
    num_epochs: int = 12
    learning_rates: tuple[float, ...] = (1e-3, 3e-3)
    seeds: tuple[int, ...] = (0, 1, 2)
    head_from: int = 60
    tail_below: int = 15
    repeat_threshold: float = 0.05
    resamples: int = 500


QUICK = Settings((64, 64, 64), 1, (1e-3, 3e-3), (0,), 6, 3, 0.05, 50)


def draw_split(num_cases: int, seed: int, workers: ProcessPoolExecutor) -> list[Packed]:
    """Return packed phantom cases."""
    return list(workers.map(partial(_draw, seed), range(num_cases), chunksize=16))


def _draw(seed: int, index: int) -> Packed:
    torch.set_num_threads(1)
    case = draw_case(seed, index, image_size=PROCESSOR.image_size, max_slices=PROCESSOR.max_slices)
    return dict(
        PROCESSOR(
            [scan.volume for scan in case.scans],
            [scan.modality for scan in case.scans],
            key_slices=case.key_slices,
            labels=LABELS.encode(case.disorders)[None],
        )
    )


def labels_of(cases: Sequence[Packed]) -> NDArray[np.float32]:
    """Return the labels of packed cases, ``(cases, labels)``."""
    return torch.cat([case["labels"] for case in cases]).numpy()


def train(
    method: str, cases: Sequence[Packed], settings: Settings, learning_rate: float, seed: int
) -> RadDiagForImageClassification:
    """Return a network trained with one method."""
    labels = labels_of(cases)
    loss = method.removesuffix("_repeated")
    config = RadDiagConfig(
        image_size=PROCESSOR.image_size,
        max_slices=PROCESSOR.max_slices,
        num_channels=1,
        resnet_depth=10,
        resnet_width=WIDTH,
        hidden_size=8 * WIDTH,
        intermediate_size=8 * WIDTH,
        num_attention_heads=4,
        num_labels=len(LABELS),
        classification_loss=loss,
        train_label_counts=labels.sum(0).astype(int).tolist(),
        num_train_cases=len(cases),
    )
    torch.manual_seed(seed)
    model = RadDiagForImageClassification(config).train()
    repeated = method.endswith("_repeated")
    sampler = BalancedBatchSampler(
        [len(case["pixel_values"]) for case in cases],
        BATCH_SIZE,
        seed=seed,
        repeat_factors=(
            repeat_factors(csr_array(labels > 0), settings.repeat_threshold) if repeated else None
        ),
    )
    # The same number of steps for all, so that repeating rare labels is no longer training.
    num_steps = settings.num_epochs * (len(cases) // BATCH_SIZE)
    optimizer = torch.optim.AdamW(model.parameters(), learning_rate, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, learning_rate, total_steps=num_steps, pct_start=0.1
    )
    step, epoch = 0, 0
    while step < num_steps:
        sampler.set_epoch(epoch)
        for batch in list(sampler)[: num_steps - step]:
            output = model(**collate_cases([cases[index % len(cases)] for index in batch]))
            optimizer.zero_grad()
            output.loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            step += 1
        epoch += 1
    return model.eval()


@torch.inference_mode()
def predict(model: RadDiagForImageClassification, cases: Sequence[Packed]) -> NDArray[np.float32]:
    """Return the logits of packed cases, ``(cases, labels)``."""
    logits = []
    for start in range(0, len(cases), 64):
        batch = collate_cases(cases[start : start + 64])
        batch.pop("labels")
        logits.append(model(**batch).logits)
    return torch.cat(logits).numpy()


def describe(
    result: EvaluationResult, paired: PairedComparison, group: str, metric: str
) -> dict[str, Any]:
    """Return a metric of a group with its interval, and its difference to the plain loss."""
    interval, difference = result.intervals.macro[group][metric], paired.groups[group][metric]
    return {
        "value": round(result.groups[group].values[metric], 4),
        "interval": [round(float(interval.low), 4), round(float(interval.high), 4)],
        "difference_to_bce": round(float(difference.difference), 4),
        "difference_interval": [round(float(difference.low), 4), round(float(difference.high), 4)],
    }


def run(settings: Settings, num_workers: int) -> dict[str, Any]:
    """Train and evaluate every method with every seed."""
    begin = time.perf_counter()
    with ProcessPoolExecutor(num_workers, mp_context=get_context("spawn")) as workers:
        splits = [draw_split(count, seed, workers) for seed, count in enumerate(settings.num_cases)]
    print(
        f"drew {sum(settings.num_cases)} cases in {time.perf_counter() - begin:.0f} s", flush=True
    )
    training, validation, test = splits
    counts = labels_of(training).sum(0).astype(int)
    groups = band_columns(counts, head_from=settings.head_from, tail_below=settings.tail_below)
    report: dict[str, Any] = {
        "labels_in_group": {name: len(columns) for name, columns in groups.items()},
        "runs": [],
    }
    bootstrap = BootstrapSettings(resamples=settings.resamples)
    for seed in settings.seeds:
        plain: NDArray[np.float32] | None = None
        for method in METHODS:
            begin = time.perf_counter()
            best_value, best_rate, logits = -1.0, 0.0, np.zeros(0, np.float32)
            for rate in settings.learning_rates:
                model = train(method, training, settings, rate, seed)
                found = evaluate_predictions(labels_of(validation), predict(model, validation))
                value = found.groups["all"].values["ap"]
                if value > best_value:
                    best_value, best_rate, logits = value, rate, predict(model, test)
            if plain is None:
                plain = logits
            result = evaluate_predictions(
                labels_of(test), logits, groups=groups, bootstrap=bootstrap
            )
            paired = compare_predictions(
                labels_of(test), logits, plain, groups=groups, bootstrap=bootstrap
            )
            one: dict[str, Any] = {
                "method": method,
                "seed": seed,
                "learning_rate": best_rate,
                "seconds": round(time.perf_counter() - begin, 1),
                "groups": {
                    group: {metric: describe(result, paired, group, metric) for metric in METRICS}
                    for group in result.groups
                },
            }
            report["runs"].append(one)
            found = {name: group["ap"]["value"] for name, group in one["groups"].items()}
            print(f"seed {seed} {method}: AP {found} in {one['seconds']} s", flush=True)
    report["means_over_seeds"] = {
        method: {
            group: {
                metric: float(
                    np.mean(
                        [
                            one["groups"][group][metric]["value"]
                            for one in report["runs"]
                            if one["method"] == method
                        ]
                    )
                )
                for metric in METRICS
            }
            for group in ("head", "body", "tail", "all")
        }
        for method in METHODS
    }
    return report


def main() -> None:
    """Run the comparison and write ``results/long_tail_losses.json``."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="a few cases; writes no result")
    parser.add_argument("--num-workers", type=int, default=2, help="processes that draw cases")
    arguments = parser.parse_args()
    settings = QUICK if arguments.quick else Settings()
    report = run(settings, arguments.num_workers)
    if arguments.quick:
        return
    content = {
        "machine": describe_machine(["torch", "monai", "numpy"]),
        "settings": asdict(settings) | {"num_labels": len(LABELS), "batch_size": BATCH_SIZE},
        **report,
    }
    path = RESULTS / "long_tail_losses.json"
    path.write_text(json.dumps(content, indent=2) + "\n")
    print(f"wrote {path}")


if __name__ == "__main__":
    main()
