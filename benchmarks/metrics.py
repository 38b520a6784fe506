"""What evaluation costs at the paper's size, against a loop of scikit-learn over the classes.

7,772 cases x 5,569 classes with about 14,900 positives, long-tailed; scores tie as the float32
sigmoid of large logits does. In one run:

- `loop`: AUC, AP, the best F1, MCC, accuracy and recall@FPR by scikit-learn, class by class. It is
  timed on a random part of the classes that have positives and extrapolated to all of them.
- `point metrics`: all of these for all classes, and the mean ROC curves of head, body and tail.
- `official`: the same in the reference implementation's definitions.
- `bootstrap`: 1,000 resamples of every metric of every class and group and of the ROC curves, with
  intervals. It is set against repeating the loop 1,000 times (extrapolated).

Both must agree to 1e-12 on the classes that the loop ran over.

    python benchmarks/metrics.py              # about half a minute
    python benchmarks/metrics.py --quick      # 1,000 cases x 500 classes, writes no result
"""

import argparse
import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    matthews_corrcoef,
    precision_recall_curve,
    roc_auc_score,
    roc_curve,
)

from _machine import describe_machine, machine_slug
from raddiag_hf.labels.bands import band_columns
from raddiag_hf.metrics import (
    BootstrapSettings,
    EvaluationResult,
    evaluate_predictions,
)

RESULTS = Path(__file__).parent / "results"
TEST_SHARE = 0.19
POINT_TARGET, BOOTSTRAP_TARGET, MEMORY_TARGET_GB = 50.0, 1000.0, 4.0
TOLERANCE = 1e-12

Scores = NDArray[np.float32]
Labels = NDArray[np.bool_]
Result = TypeVar("Result")


def long_tailed(cases: int, classes: int, positives: int, seed: int) -> tuple[Labels, Scores]:
    """Labels whose class frequencies fall as a power of the rank, and tied float32 sigmoids."""
    generator = np.random.default_rng(seed)
    expected = np.arange(1, classes + 1) ** -0.9
    counts = generator.poisson(expected / expected.sum() * positives)
    labels = np.zeros((cases, classes), dtype=np.bool_)
    for column, count in enumerate(np.minimum(counts, cases // 2)):
        labels[generator.choice(cases, count, replace=False), column] = True
    logits = generator.standard_normal((cases, classes), dtype=np.float32)
    logits *= 5.0
    logits[labels] += 9.0
    return labels, expit(logits - 2.0)


def loop_metrics(labels: Labels, scores: Scores, columns: NDArray[np.intp]) -> NDArray[np.float64]:
    """Return every metric of some classes, shape ``(classes, metrics)``, one class at a time."""
    rows = []
    for column in columns:
        truth, column_scores = labels[:, column], scores[:, column]
        precision, recall, thresholds = precision_recall_curve(truth, column_scores)
        total = precision + recall
        f1 = np.divide(2 * precision * recall, total, out=np.zeros_like(total), where=total > 0)
        # Of equal F1 the lowest threshold, whichever of them rounds highest.
        best = int(np.flatnonzero(f1 >= f1.max() * (1.0 - TOLERANCE))[0])
        predicted = column_scores >= thresholds[best]
        rates, recalls, _ = roc_curve(truth, column_scores, drop_intermediate=False)
        rows.append(
            [
                roc_auc_score(truth, column_scores),
                average_precision_score(truth, column_scores),
                f1[best],
                matthews_corrcoef(truth, predicted),
                accuracy_score(truth, predicted),
                *(recalls[rates <= rate].max() for rate in (0.01, 0.05, 0.1)),
            ]
        )
    return np.array(rows)


def timed(function: Callable[[], Result]) -> tuple[float, Result]:
    """Return the seconds that a call took, and its value."""
    start = time.perf_counter()
    value = function()
    return time.perf_counter() - start, value


def peak_memory_gb() -> float:
    """Return this process's peak resident memory, data and libraries included."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2


def compare(arguments: argparse.Namespace) -> dict[str, Any]:
    """Time everything on one data set."""
    labels, scores = long_tailed(
        arguments.cases, arguments.classes, arguments.positives, arguments.seed
    )
    support = labels.sum(axis=0)
    groups = band_columns((support / TEST_SHARE).astype(np.int64))
    evaluable = np.flatnonzero(support)
    bootstrap = BootstrapSettings(resamples=arguments.resamples, seed=arguments.seed)

    def evaluate(**options: Any) -> EvaluationResult:
        return evaluate_predictions(labels, scores, groups=groups, **options)

    point_s, point = timed(lambda: evaluate(thresholds="oracle"))
    official_s, _ = timed(lambda: evaluate(mode="official"))
    resampled_s, _ = timed(lambda: evaluate(thresholds="oracle", bootstrap=bootstrap))
    memory_gb = peak_memory_gb()

    part = np.random.default_rng(arguments.seed).choice(
        evaluable, min(arguments.loop_classes, len(evaluable)), replace=False
    )
    part_s, expected = timed(lambda: loop_metrics(labels, scores, part))
    found = np.stack([values[part] for values in point.per_class.values()], axis=1)
    loop_s = part_s / len(part) * len(evaluable)
    return {
        "cases": arguments.cases,
        "classes": arguments.classes,
        "positives": int(support.sum()),
        "classes with positives": len(evaluable),
        "classes with one positive": int((support == 1).sum()),
        "positives that tie with a negative": tied_positives(labels, scores),
        "resamples": arguments.resamples,
        "seed": arguments.seed,
        "seconds": {
            "loop, timed part": part_s,
            "loop, all classes (extrapolated)": loop_s,
            "loop, all resamples (extrapolated)": loop_s * arguments.resamples,
            "point metrics": point_s,
            "official point metrics": official_s,
            "point metrics and bootstrap": resampled_s,
        },
        "classes in the timed part": len(part),
        "speedup": {
            "point metrics": loop_s / point_s,
            "official point metrics": loop_s / official_s,
            "bootstrap": loop_s * arguments.resamples / resampled_s,
        },
        "largest difference from the loop": float(np.abs(found - expected).max()),
        "peak memory, GB": memory_gb,
    }


def tied_positives(labels: Labels, scores: Scores) -> int:
    """Count the positives whose score a negative of the same class shares."""
    count = 0
    for column in np.flatnonzero(labels.any(axis=0)):
        truth, column_scores = labels[:, column], scores[:, column]
        count += int(np.isin(column_scores[truth], column_scores[~truth]).sum())
    return count


def show(report: dict[str, Any]) -> None:
    """Print the report as a table."""
    for name, value in report.items():
        if isinstance(value, dict):
            print(name)
            for inner, number in value.items():
                print(f"  {inner:36s} {number:14,.2f}")
        else:
            print(
                f"{name:38s} {value:>14,}" if isinstance(value, int) else f"{name:38s} {value:.3g}"
            )


def main() -> int:
    """Run the comparison, write its result, and return 1 where a target is missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="small data; writes no result")
    parser.add_argument("--cases", type=int, default=7772)
    parser.add_argument("--classes", type=int, default=5569)
    parser.add_argument("--positives", type=int, default=14857, help="expected number")
    parser.add_argument("--resamples", type=int, default=1000)
    parser.add_argument("--loop-classes", type=int, default=100, help="classes that the loop runs")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.cases, arguments.classes, arguments.positives = 1000, 500, 3000
        arguments.resamples, arguments.loop_classes = 100, 20
    report = compare(arguments)
    show(report)
    if arguments.quick:
        return 0
    machine = describe_machine(["numpy", "scipy", "scikit-learn"])
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"metrics_{machine_slug()}.json"
    path.write_text(json.dumps({"machine": machine} | report, indent=2) + "\n")
    print(f"wrote {path}")
    met = (
        report["speedup"]["point metrics"] >= POINT_TARGET
        and report["speedup"]["bootstrap"] >= BOOTSTRAP_TARGET
        and report["peak memory, GB"] < MEMORY_TARGET_GB
        and report["largest difference from the loop"] <= TOLERANCE
    )
    print("all targets met" if met else "A TARGET IS MISSED")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
