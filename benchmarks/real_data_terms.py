"""What each term of the training from random weights is worth, on real images.

`raddiag finetune` without a model, as it is and with one term changed, on the same splits as
`real_data.py`: mean AUC on test cases over data sets and seeds. Most changes are those of the
training that could not learn from a few hundred cases, one by one.

Two symptoms of that training have terms of their own. Trained batch norms seemed to make it worse
where an epoch ended in a step of one case: its statistics went into those stored, by which all
later cases are normalised. And AUC stayed near .5 to the end with a rate and layer decay made for
pre-trained weights, and with frozen norms, whose stored statistics were those of no image.

    python benchmarks/real_data_terms.py                     # an hour and a half on one core
    python benchmarks/real_data_terms.py --sets pocus --seeds 1
    RADDIAG_SHARED=... python benchmarks/real_data_terms.py  # real images elsewhere than ../shared
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from _machine import describe_machine, machine_slug
from _real_data_sets import DATA_SETS, build_data_set
from raddiag_hf.core.atomic_files import atomic_write
from raddiag_hf.model.presets import PRESETS
from raddiag_hf.training.finetune_settings import FinetuneSettings

SHARED = Path(os.environ.get("RADDIAG_SHARED", Path(__file__).parents[2] / "shared")) / "data"
RESULTS = Path(__file__).parent / "results"
PACKAGES = ("raddiag-hf", "torch", "transformers", "monai", "datasets")
TERMS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "as it is": ({}, {}),
    "frozen batch norms": ({"train_batch_norm": False}, {}),
    "slice and scan transformers": (
        {},
        {"slice_fusion": "transformer", "fusion_type": "transformer", "num_hidden_layers": 1},
    ),
    "the same, initializer range 0.02": (
        {},
        {
            "slice_fusion": "transformer",
            "fusion_type": "transformer",
            "initializer_range": 0.02,
        },
    ),
    "rate 1e-4, layer decay 0.8": ({"learning_rate": 1e-4, "layer_decay": 0.8}, {}),
    "8 cases a step, the last of one in CT-Kidney": ({"batch_size": 8}, {}),
    "9 cases a step": ({"batch_size": 9}, {}),
    "a sigmoid for each label": ({"exclusive": False}, {}),
    "classifier of two layers": ({}, {"classifier_type": "linear"}),
    "ResNet-18": ({}, {"resnet_depth": 18}),
    "64 x 64 pixels": ({"image_size": 64}, {}),
    "no augmentation": ({"augmentation": "none"}, {}),
    "best epoch by validation loss": ({"patience": 1000}, {}),
    "20 epochs, patience 5": ({"num_epochs": 20, "patience": 5}, {}),
    "predictions of scans averaged": ({}, {"fusion_type": "mean"}),
}
"""Name -> changed settings of the fine-tuning, changed fields of the network."""


def main() -> None:
    """Run what is missing, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, default=Path("out/real_data"))
    usual = ["ct_kidney", "covid_chestxray", "pocus"]
    parser.add_argument("--sets", nargs="+", choices=list(DATA_SETS), default=usual)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--output", type=Path)
    parser.add_argument("--one", nargs=3, metavar=("TERM", "SET", "SEED"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one is not None:
        _run_one(options.work, *options.one)
        return
    content: dict[str, Any] = {"machine": describe_machine(PACKAGES), "terms": {}}
    for data_set in options.sets:
        build_data_set(data_set, SHARED / data_set, options.work / "data" / data_set)
    for number, term in enumerate(TERMS):
        rows = {
            data_set: [_run(options.work, number, data_set, seed) for seed in range(options.seeds)]
            for data_set in options.sets
        }
        content["terms"][term] = rows
        means = "  ".join(
            f"{data_set} {np.mean([row['auc'] for row in found]):.3f}"
            for data_set, found in rows.items()
        )
        seconds = np.mean([row["cpu_seconds"] for found in rows.values() for row in found])
        print(f"{term:34s} {means}  {seconds:4.0f} s", flush=True)
    output = options.output or RESULTS / f"real_data_terms_{machine_slug()}.json"
    with atomic_write(output) as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n", "utf-8")


def _run(work: Path, term: int, data_set: str, seed: int) -> dict[str, float]:
    path = work / "terms" / f"{term}-{data_set}-{seed}.json"
    if not path.is_file():
        command = [sys.executable, __file__, "--work", str(work), "--one"]
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        subprocess.run(
            [*command, str(term), data_set, str(seed)],
            check=True,
            env=environment,
            stderr=subprocess.DEVNULL,
        )
    return dict(json.loads(path.read_text("utf-8")))


def _run_one(work: Path, term: str, data_set: str, seed: str) -> None:
    from raddiag_hf.training.finetuning import finetune

    changed, network = list(TERMS.values())[int(term)]
    PRESETS["small"] |= network
    settings = FinetuneSettings(**changed, seed=int(seed), num_workers=0, device="cpu")
    output = work / "terms" / f"model-{term}-{data_set}-{seed}"
    start = time.process_time()
    record = finetune(None, work / "data" / data_set, output, settings)
    seconds = time.process_time() - start
    if record.metrics is None:
        raise SystemExit(f"{data_set} has no test cases")
    groups = record.metrics["groups"]
    auc = groups["auc"][groups["group"].index("all")]
    path = work / "terms" / f"{term}-{data_set}-{seed}.json"
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps({"auc": auc, "cpu_seconds": seconds}), "utf-8")
    shutil.rmtree(output)


if __name__ == "__main__":
    main()
