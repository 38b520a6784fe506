"""`raddiag finetune` against the forty lines that its users would write, on real images.

Five public sets (the shares of patients in the shared folder) are built, and split so that
neighbours stay together; see `_real_data_sets`. Every method learns from the same training cases,
chooses on the same validation cases, and is measured once on the same test cases; methods that
start at random run with several seeds. The defaults of `finetune` were found on these very sets.
Differences of mean AUC (over labels and seeds) have 95 % intervals from a bootstrap of patients,
paired: both methods on the same resampled patients.

CPU seconds are those of reading, training and predicting, of one process with one thread; starting
Python and importing packages is not counted. Every run is kept in the work folder, so that an
interrupted benchmark goes on where it stopped.

    python benchmarks/real_data.py                      # without a backbone: half an hour
    python benchmarks/real_data.py --backbone DINOV2    # a transformers folder; two hours more
    python benchmarks/real_data.py --sets pocus --seeds 1
    RADDIAG_SHARED=... python benchmarks/real_data.py   # real images elsewhere than ../shared
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from _machine import describe_machine, machine_slug
from _real_data_sets import DATA_SETS, build_data_set
from raddiag_hf.core.atomic_files import atomic_write

SHARED = Path(os.environ.get("RADDIAG_SHARED", Path(__file__).parents[2] / "shared")) / "data"
RESULTS = Path(__file__).parent / "results"
PACKAGES = ("raddiag-hf", "torch", "transformers", "scikit-learn", "monai", "datasets")
BASELINES = {
    "raw": "logistic regression, 64 x 64 pixels",
    "resnet": "plain ResNet-10",
    "frozen": "logistic regression, frozen backbone",
}
OURS = {
    "finetune": "finetune, no weights",
    "backbone": "finetune, backbone",
    "lora": "finetune, backbone, lora",
    "full": "finetune, backbone, full",
}
NEEDS_BACKBONE = ("frozen", "backbone", "lora", "full")
ONE_SEED = ("raw", "frozen", "backbone", "lora", "full")
"""Deterministic but for folds, or an hour on a CPU for one data set."""
DRAWS = 1000

Scores = NDArray[np.float64]


def main() -> None:
    """Run what is missing, and write the table."""
    options = _options()
    if options.one is not None:
        _run_one(options.work, *options.one, options.backbone)
        return
    methods = [
        name
        for name in options.methods
        if options.backbone is not None or name not in NEEDS_BACKBONE
    ]
    content: dict[str, Any] = {"machine": describe_machine(PACKAGES), "data_sets": {}}
    for data_set in options.sets:
        build_data_set(data_set, SHARED / data_set, options.work / "data" / data_set)
        for method in methods:
            for seed in range(_num_seeds(options, method)):
                _run(options, data_set, method, seed)
        content["data_sets"][data_set] = _compare(options, data_set, methods)
        print(_table(DATA_SETS[data_set], content["data_sets"][data_set]), flush=True)
    output = options.output or RESULTS / f"real_data_{machine_slug()}.json"
    with atomic_write(output) as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n", "utf-8")
    with atomic_write(output.with_suffix(".md")) as temporary:
        temporary.write_text(_markdown(content), "utf-8")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, default=Path("out/real_data"))
    parser.add_argument("--sets", nargs="+", choices=list(DATA_SETS), default=list(DATA_SETS))
    every = [*BASELINES, *OURS]
    parser.add_argument("--methods", nargs="+", choices=every, default=every)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--backbone", type=Path, help="folder that transformers' AutoModel reads")
    parser.add_argument("--output", type=Path)
    parser.add_argument("--one", nargs=3, metavar=("SET", "METHOD", "SEED"), help=argparse.SUPPRESS)
    return parser.parse_args()


def _num_seeds(options: argparse.Namespace, method: str) -> int:
    return 1 if method in ONE_SEED else options.seeds


def _result_file(work: Path, data_set: str, method: str, seed: int | str) -> Path:
    return work / "runs" / f"{data_set}-{method}-{seed}.npz"


def _run(options: argparse.Namespace, data_set: str, method: str, seed: int) -> None:
    """Run a method in a process of its own, unless it was."""
    if _result_file(options.work, data_set, method, seed).is_file():
        return
    command = [sys.executable, __file__, "--work", str(options.work)]
    if options.backbone is not None:
        command += ["--backbone", str(options.backbone)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    command += ["--one", data_set, method, str(seed)]
    ended = subprocess.run(command, check=False, env=environment, stderr=subprocess.PIPE, text=True)
    if ended.returncode:
        raise SystemExit(f"{data_set}, {method}, seed {seed} failed:\n{ended.stderr[-2000:]}")


def _run_one(work: Path, data_set: str, method: str, seed: str, backbone: Path | None) -> None:
    folder = work / "data" / data_set
    if method in BASELINES:
        scores, seconds = _baseline(folder, method, int(seed), backbone)
    else:
        output = work / "models" / f"{data_set}-{method}-{seed}"
        scores, seconds = _finetune(folder, output, method, int(seed), backbone)
    labels, patients = _truth(folder)
    path = _result_file(work, data_set, method, seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as temporary, temporary.open("wb") as file:
        np.savez(file, scores=scores, labels=labels, patients=patients, seconds=seconds)


def _baseline(folder: Path, method: str, seed: int, backbone: Path | None) -> tuple[Scores, float]:
    import _plain_baselines as plain

    start = time.process_time()
    splits = {name: plain.read_slices(folder, name) for name in ("train", "validation", "test")}
    reading = time.process_time() - start
    if method == "raw":
        scores, seconds = plain.raw_pixels(splits)
    elif method == "resnet":
        scores, seconds = plain.plain_resnet(splits, seed)
    elif backbone is not None:
        scores, seconds = plain.frozen_backbone(splits, backbone)
    else:
        raise SystemExit("frozen needs --backbone")
    return scores, reading + seconds


def _finetune(
    folder: Path, output: Path, method: str, seed: int, backbone: Path | None
) -> tuple[Scores, float]:
    """Fine-tune as a user would, and predict the test cases with the model that is saved."""
    from raddiag_hf.checkpoints.loading import load_model
    from raddiag_hf.evaluation.evaluation_run import evaluate_model
    from raddiag_hf.evaluation.evaluation_settings import EvaluationSettings, PredictionSettings
    from raddiag_hf.metrics.bootstrap_settings import BootstrapSettings
    from raddiag_hf.training.finetune_settings import FinetuneSettings, Method
    from raddiag_hf.training.finetuning import finetune

    adapts = {"lora": Method.LORA, "full": Method.FULL}
    settings = FinetuneSettings(adapts.get(method), seed=seed, num_workers=0, device="cpu")
    address = None if method == "finetune" else f"backbone:{backbone}"
    start = time.process_time()
    finetune(address, folder, output, settings)
    seconds = time.process_time() - start
    prediction = PredictionSettings(num_workers=0)
    none = EvaluationSettings(prediction=prediction, bootstrap=BootstrapSettings(resamples=0))
    found = evaluate_model(
        load_model(str(output), device="cpu"), folder, "test", output / "test", none
    )
    if found is None:
        raise SystemExit("the evaluation ran in another process")
    return np.asarray(found.table.logits, np.float64), seconds


def _truth(folder: Path) -> tuple[NDArray[np.float32], NDArray[np.str_]]:
    from raddiag_hf.data.opening import open_cases

    test = open_cases(folder, ["test"])["test"]
    return test.labels, np.array(test.patient_ids)


def _compare(options: argparse.Namespace, data_set: str, methods: list[str]) -> dict[str, Any]:
    """Return AUC and CPU seconds of every method, and paired differences of ours to theirs."""
    found: dict[str, list[Any]] = {}
    for method in methods:
        seeds = range(_num_seeds(options, method))
        paths = [_result_file(options.work, data_set, method, seed) for seed in seeds]
        found[method] = [np.load(path) for path in paths]
    some = found[methods[0]][0]
    labels, patients = some["labels"] > 0, some["patients"]
    rows = {name: np.flatnonzero(patients == name) for name in np.unique(patients)}
    random, names = np.random.default_rng(0), list(rows)
    draws = [
        np.concatenate([rows[name] for name in random.choice(names, len(names))])
        for _ in range(DRAWS)
    ]
    samples = {
        method: np.array([_mean_auc(labels, runs, draw) for draw in draws])
        for method, runs in found.items()
    }
    everything = np.arange(len(labels))
    result: dict[str, Any] = {"test_cases": len(labels), "methods": {}, "differences": []}
    for method, runs in found.items():
        by_seed = [_mean_auc(labels, [run], everything) for run in runs]
        result["methods"][method] = {
            "auc": float(np.mean(by_seed)),
            "interval": np.nanpercentile(samples[method], [2.5, 97.5]).tolist(),
            "by_seed": by_seed,
            "cpu_seconds": float(np.mean([run["seconds"] for run in runs])),
        }
    for ours in (name for name in methods if name in OURS):
        for theirs in (name for name in methods if name in BASELINES):
            low, high = np.nanpercentile(samples[ours] - samples[theirs], [2.5, 97.5])
            aucs = [result["methods"][name]["auc"] for name in (ours, theirs)]
            result["differences"].append(
                {"ours": ours, "theirs": theirs, "auc": aucs[0] - aucs[1], "interval": [low, high]}
            )
    return result


def _mean_auc(labels: NDArray[np.bool_], runs: list[Any], cases: NDArray[np.intp]) -> float:
    """Return the mean over runs and over the labels that have positives and negatives."""
    truth = labels[cases]
    kept = np.flatnonzero(truth.any(0) & ~truth.all(0))
    if not len(kept):
        return float("nan")
    truth = truth[:, kept]
    positives = truth.sum(0)
    negatives = len(cases) - positives
    found = []
    for run in runs:
        ranks = rankdata(run["scores"][cases][:, kept], axis=0)
        above = (ranks * truth).sum(0) - positives * (positives + 1) / 2
        found.append((above / (positives * negatives)).mean())
    return float(np.mean(found))


def _markdown(content: dict[str, Any]) -> str:
    """Return a row for each method: mean AUC over seeds, and CPU seconds; then the differences."""
    found, machine = content["data_sets"], content["machine"]
    titles = [f"{DATA_SETS[name]} ({one['test_cases']} test cases)" for name, one in found.items()]
    lines = [
        f"Mean test AUC over labels and seeds, CPU seconds; {machine['cpu']}, {machine['date']}, "
        "`benchmarks/real_data.py`.",
        "",
        f"| | {' | '.join(titles)} |",
        f"|---|{'---|' * len(titles)}",
    ]
    for method, name in (BASELINES | OURS).items():
        rows = [one["methods"].get(method) for one in found.values()]
        cells = [f"{row['auc']:.3f}, {row['cpu_seconds']:.0f} s" if row else "" for row in rows]
        if any(cells):
            lines.append(f"| {name} | {' | '.join(cells)} |")
    lines += ["", "Differences, paired, with 95 % intervals of patients:", ""]
    lines += [f"| | {' | '.join(titles)} |", f"|---|{'---|' * len(titles)}"]
    for ours in OURS:
        for theirs in BASELINES:
            cells = []
            for one in found.values():
                rows = [r for r in one["differences"] if (r["ours"], r["theirs"]) == (ours, theirs)]
                cells += [
                    f"{row['auc']:+.3f} ({row['interval'][0]:+.3f} to {row['interval'][1]:+.3f})"
                    for row in rows
                ] or [""]
            if any(cells):
                lines.append(f"| {OURS[ours]} minus {BASELINES[theirs]} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _table(title: str, result: dict[str, Any]) -> str:
    lines = [f"\n{title}, {result['test_cases']} test cases"]
    for method, row in result["methods"].items():
        low, high = row["interval"]
        lines.append(
            f"  {(BASELINES | OURS)[method]:38s} AUC {row['auc']:.3f} ({low:.3f}-{high:.3f})"
            f"  {row['cpu_seconds']:5.0f} s"
        )
    for row in result["differences"]:
        low, high = row["interval"]
        lines.append(
            f"  {row['ours']:>10s} - {row['theirs']:8s} {row['auc']:+.3f} ({low:+.3f} {high:+.3f})"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
