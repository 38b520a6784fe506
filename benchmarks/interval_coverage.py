"""How often bootstrap intervals of long-tailed means hold the value that they should hold.

Test sets are drawn again and again from one population of long-tailed classes. A 95 % interval
should hold the mean of the point estimates, which is what a test set of this size estimates, in
95 % of the draws. `percentile` takes the percentiles of the resampled values, `centred` moves them
by the bootstrap's estimate of its bias.

    python benchmarks/interval_coverage.py              # about two minutes
    python benchmarks/interval_coverage.py --quick      # few draws, writes no result
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from _machine import describe_machine
from raddiag_hf.metrics import BootstrapSettings, evaluate_predictions

RESULTS = Path(__file__).parent / "results"
CASES, CLASSES = 1500, 250
METHODS = ("percentile", "centred")
GROUPS = {"head": (15.0, np.inf), "body": (3.0, 15.0), "tail": (0.0, 3.0)}


def coverage(draws: int, resamples: int, seed: int) -> dict[str, Any]:
    """Return by method and group the share of draws whose interval holds the target, by metric."""
    generator = np.random.default_rng(seed)
    expected = np.clip(200.0 / np.arange(1, CLASSES + 1), 0.4, 100.0)
    separation = generator.uniform(1.5, 3.5, CLASSES)
    groups = {
        name: np.flatnonzero((expected >= low) & (expected < high))
        for name, (low, high) in GROUPS.items()
    }
    points: list[NDArray[np.float64]] = []
    ends: dict[str, list[NDArray[np.float64]]] = {method: [] for method in METHODS}
    for draw in range(draws):
        labels = generator.random((CASES, CLASSES)) < expected / CASES
        scores = generator.standard_normal((CASES, CLASSES)) + labels * separation
        for method in METHODS:
            result = evaluate_predictions(
                labels,
                scores - 0.75 * separation,
                thresholds=np.full(CLASSES, 0.5),
                groups=groups,
                bootstrap=BootstrapSettings(resamples=resamples, seed=draw, method=method),
            )
            table = result.group_table()
            names = result.metric_names
            ends[method].append(
                np.array([[table[f"{n}_low"], table[f"{n}_high"]] for n in names], dtype=float)
            )
        points.append(np.array([table[name] for name in names], dtype=float))
    target = np.mean(points, axis=0)
    report: dict[str, Any] = {}
    for method, found in ends.items():
        low, high = np.moveaxis(np.array(found), 2, 0)
        held = ((low <= target) & (target <= high)).mean(axis=0)
        report[method] = {
            group: dict(zip(names, held[:, index].round(3).tolist(), strict=True))
            for index, group in enumerate(result.groups)
        }
    return report


def main() -> None:
    """Run the simulation and write ``results/interval_coverage.json``."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="few draws; writes no result")
    parser.add_argument("--draws", type=int, default=300)
    parser.add_argument("--resamples", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.draws, arguments.resamples = 10, 50
    report = coverage(arguments.draws, arguments.resamples, arguments.seed)
    for method, groups in report.items():
        print(f"{method}: share of 95 % intervals that hold the target")
        for group, values in groups.items():
            print(
                f"  {group:5s} " + "  ".join(f"{name} {held:.2f}" for name, held in values.items())
            )
    if not arguments.quick:
        RESULTS.mkdir(exist_ok=True)
        path = RESULTS / "interval_coverage.json"
        settings = {
            "cases": CASES,
            "classes": CLASSES,
            "draws": arguments.draws,
            "resamples": arguments.resamples,
            "seed": arguments.seed,
        }
        content = {
            "machine": describe_machine(["numpy", "scipy"]),
            "settings": settings,
            "coverage": report,
        }
        path.write_text(json.dumps(content, indent=2) + "\n")
        print(f"wrote {path}")


if __name__ == "__main__":
    main()
