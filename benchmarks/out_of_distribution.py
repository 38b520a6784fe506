"""Does a model tell cases that are unlike those of its training? Real sets against each other.

A model is fine-tuned on each of the five public sets of `_real_data_sets` as a user would, and
meets its own test cases and test cases of the other four. Its out-of-distribution score is that of
the model as saved, through `load_model`. For each pair of sets: the AUROC of the score, test cases
of the other set against its own, with a 95 % interval of bootstrapped cases; and how many of either
count as far, where 5 % of its own should.

COVID and ChestX-ray14 are both mostly chest films: their AUROC is not expected to be high, and the
mean over pairs of different kinds leaves them out. The score (a Gaussian with 32 axes rather than
neighbours or clusters) was chosen on these very sets.

    python benchmarks/out_of_distribution.py                      # without a backbone
    python benchmarks/out_of_distribution.py --backbone DINOV2    # a transformers folder, too
    RADDIAG_SHARED=... python benchmarks/out_of_distribution.py   # real images elsewhere
"""

import argparse
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import rankdata

from _machine import describe_machine, machine_slug
from _real_data_sets import DATA_SETS, build_data_set
from raddiag_hf.checkpoints.loading import load_model
from raddiag_hf.core.atomic_files import atomic_write
from raddiag_hf.data.opening import open_cases
from raddiag_hf.training.finetune_settings import FinetuneSettings
from raddiag_hf.training.finetuning import finetune
from raddiag_hf.training.methods.scan_embeddings import embed_scans_of

SHARED = Path(os.environ.get("RADDIAG_SHARED", Path(__file__).parents[2] / "shared")) / "data"
RESULTS = Path(__file__).parent / "results"
PACKAGES = ("raddiag-hf", "torch", "transformers")
STARTS = {"scratch": "no weights", "backbone": "backbone"}
SAME_KIND = {"cxr14", "covid_chestxray"}
DRAWS = 1000
CAUTIONS = (
    "The score was chosen on these very sets. The last column leaves out COVID and ChestX-ray14 "
    "against each other: both are mostly chest films. Brain-Tumor is tested on the publisher's "
    "Testing folder, while training and validation images are of the other one: 5 % is not kept "
    "there.\n"
)

Distances = NDArray[np.float64]


def main() -> None:
    """Run what is missing, and write the tables."""
    options = _options()
    starts = ["scratch"] if options.backbone is None else list(STARTS)
    for name in options.sets:
        build_data_set(name, SHARED / name, options.work / "data" / name)
    content: dict[str, Any] = {"machine": describe_machine(PACKAGES), "starts": {}}
    for start in starts:
        models = {name: _measure(options, start, name) for name in options.sets}
        content["starts"][start] = models
        print(_table(start, models), flush=True)
    output = options.output or RESULTS / f"out_of_distribution_{machine_slug()}.json"
    with atomic_write(output) as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n", "utf-8")
    machine = content["machine"]
    head = (
        "Out-of-distribution score of models fine-tuned on one set (rows), test cases of other "
        "sets against its own: AUROC [95 % interval], share of them that counts as far; "
        f"{machine['cpu']}, {machine['date']}, `benchmarks/out_of_distribution.py`.\n"
    )
    tables = [CAUTIONS, *(_table(start, models) for start, models in content["starts"].items())]
    with atomic_write(output.with_suffix(".md")) as temporary:
        temporary.write_text("\n".join([head, *tables]), "utf-8")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, default=Path("out/out_of_distribution"))
    parser.add_argument("--sets", nargs="+", choices=list(DATA_SETS), default=list(DATA_SETS))
    parser.add_argument("--backbone", type=Path, help="folder that transformers' AutoModel reads")
    parser.add_argument("--most", type=int, default=60, help="test cases of each other set")
    parser.add_argument("--output", type=Path)
    return parser.parse_args()


def _measure(options: argparse.Namespace, start: str, name: str) -> dict[str, Any]:
    """Return what the score of one model says of all sets, computing it unless it was."""
    kept = options.work / "runs" / f"{start}-{name}.json"
    if kept.is_file():
        found: dict[str, Any] = json.loads(kept.read_text())
        if set(options.sets) <= {name, *found["others"]}:
            return found
    address = None if start == "scratch" else f"backbone:{options.backbone}"
    model = options.work / "models" / f"{start}-{name}"
    settings = FinetuneSettings(num_workers=0, device="cpu")
    record = finetune(address, options.work / "data" / name, model, settings)
    loaded = load_model(str(model), device="cpu")
    if loaded.domain is None or loaded.domain.embeddings is None:
        raise SystemExit(f"{model}: has no out-of-distribution score")
    known = loaded.domain.embeddings
    distances: dict[str, Distances] = {}
    for other in options.sets:
        cases = open_cases(options.work / "data" / other, ["test"])["test"]
        if other != name and len(cases) > options.most:
            chosen = np.random.default_rng(0).permutation(len(cases))[: options.most]
            cases = cases.select(np.sort(chosen), "test")
        found = embed_scans_of(
            loaded.model, cases.pack(loaded.processor), torch.device("cpu"), num_workers=0
        )
        distances[other] = known.case_distances(found.embeddings.numpy(), found.scan_counts.numpy())
    own = distances.pop(name)
    result = {
        "training_scans": known.num_scans,
        "validation_cases": known.num_cases,
        "bytes": (model / "training_embeddings.safetensors").stat().st_size,
        "own": _share(own, known.limit) | {"of_record": record.ood_score},
        "others": {
            other: _share(far, known.limit) | _auroc(own, far) for other, far in distances.items()
        },
    }
    kept.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(kept) as temporary:
        temporary.write_text(json.dumps(result), "utf-8")
    return result


def _share(distances: Distances, limit: float) -> dict[str, Any]:
    return {"cases": len(distances), "alarms": int((distances > limit).sum())}


def _auroc(own: Distances, far: Distances) -> dict[str, Any]:
    draw = np.random.default_rng(0).choice
    samples = [_area(draw(own, len(own)), draw(far, len(far))) for _ in range(DRAWS)]
    interval = np.percentile(samples, [2.5, 97.5]).tolist()
    return {"auroc": _area(own, far), "interval": interval}


def _area(own: Distances, far: Distances) -> float:
    """Return how often a far case lies further than one of its own; ties count half."""
    ranks = rankdata(np.concatenate([own, far]))[len(own) :]
    return float((ranks.mean() - (len(far) + 1) / 2) / len(own))


def _table(start: str, models: dict[str, Any]) -> str:
    """Return a row for each model and a column for each set that it meets."""
    names = [DATA_SETS[name] for name in models]
    lines = [
        f"## {STARTS[start]}\n",
        f"| trained on | validation cases | own test cases far | {' | '.join(names)} | mean of "
        "other kinds |",
        f"|---|---|---|{'---|' * len(names)}---|",
    ]
    for name, found in models.items():
        own = found["own"]
        cells = [str(found["validation_cases"]), f"{own['alarms']} of {own['cases']}"]
        for other in models:
            if other == name:
                cells.append("")
                continue
            one = found["others"][other]
            low, high = one["interval"]
            share = one["alarms"] / one["cases"]
            cells.append(f"{one['auroc']:.2f} [{low:.2f}, {high:.2f}], {share:.0%}")
        of_kinds = [one for other, one in found["others"].items() if {name, other} != SAME_KIND]
        if of_kinds:
            mean = np.mean([one["auroc"] for one in of_kinds])
            share = sum(one["alarms"] for one in of_kinds) / sum(one["cases"] for one in of_kinds)
            cells.append(f"{mean:.3f}, {share:.0%}")
        lines.append(f"| {DATA_SETS[name]} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
