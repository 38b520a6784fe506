"""What a forward pass costs: packed against padded as the reference does, and against the floor.

One run, the same full-size weights (random, from a seed) and the same cases for all:

- `padded`: every case padded to 4 scans x 32 slices, all of them encoded, as the reference does.
- `packed`: the model as loaded.
- `floor`: the same ResNet-50 on the real slices only, nothing else.
- `inference float32`, `inference bfloat16`: after `model.optimize_for_inference`.
- `knowledge head over linear head`: the same network with label-text embeddings (5,569 x 768)
  instead of weights behind it, the two run in turn; `linear head over itself`, run in the same
  rounds, is what chance alone makes of such a ratio.

    python benchmarks/forward.py              # about 15 minutes on 2 cores
    python benchmarks/forward.py --part heads # about 4 minutes
    python benchmarks/forward.py --quick      # narrow network, to see that the script runs
"""

import argparse
import copy
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from _machine import describe_machine, machine_slug
from raddiag_hf import RadDiagConfig, RadDiagForImageClassification

CASES: dict[str, list[int]] = {
    "one X-ray": [1],
    "CT of 24 slices": [24],
    "X-ray + CT 32 + CT 16": [1, 32, 16],
}
MIX = [[1], [1, 1], [12, 20], [24], [1, 32, 16]]
SLOTS = [7, 1, 2, 4]
PADDED_SCANS, PADDED_SLICES = 4, 32
HEAD_ROUNDS = {"one X-ray": 100, "CT of 24 slices": 12, "X-ray + CT 32 + CT 16": 6}
"""Rounds in which the heads take turns."""
MEMORY_SETTINGS = {  # the model casts pixels chunk by chunk, so half-precision ones save their size
    "chunks of 32 slices, float32 pixels": (32, torch.float32),
    "chunks of 8 slices, float16 pixels": (8, torch.float16),
    "chunks of 8 slices, float32 pixels": (8, torch.float32),
}
RESULTS = Path(__file__).parent / "results"


def build(narrow: bool, **overrides: Any) -> RadDiagForImageClassification:
    """A network with random weights and batch statistics of a trained one's size."""
    torch.manual_seed(0)
    shape: dict[str, Any] = {"num_labels": 5569, "normalize_attention_input": False}
    if narrow:
        shape |= {"resnet_width": 8, "hidden_size": 256, "intermediate_size": 256}
    model = RadDiagForImageClassification(RadDiagConfig(**(shape | overrides)))
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
            module.weight.data.uniform_(0.3, 0.5)  # keeps the residual stream from growing
    model.eval()
    if model.config.classifier_type == "knowledge":
        model.classifier.set_label_embeddings(torch.randn(model.config.num_labels, 768))
    with torch.inference_mode():  # logits spread by about 2, as the parity weights' do
        spread = model(**batch_of([[1]])).logits.std()
    for name, weight in model.classifier.named_parameters():
        if name.startswith(("fc2", "projection")):
            weight.data *= 2 / spread
    return model


def batch_of(cases: Sequence[Sequence[int]]) -> dict[str, Tensor]:
    """A packed batch of random cases, each given by the slice counts of its scans."""
    counts = [count for case in cases for count in case]
    generator = torch.Generator().manual_seed(len(counts))
    return {
        "pixel_values": torch.rand(sum(counts), 1, 256, 256, generator=generator),
        "slice_counts": torch.tensor(counts),
        "scan_counts": torch.tensor([len(case) for case in cases]),
        "modality_slots": torch.tensor([SLOTS[i] for case in cases for i in range(len(case))]),
    }


def padded_logits(model: RadDiagForImageClassification, batch: dict[str, Tensor]) -> Tensor:
    """The reference's way: encode every padding slice, and hide it afterwards with masks."""
    cases, encoder = len(batch["scan_counts"]), model.raddiag.encoder
    images = torch.zeros(cases, PADDED_SCANS, PADDED_SLICES, *batch["pixel_values"].shape[1:])
    is_real = torch.zeros(cases, PADDED_SCANS, PADDED_SLICES, dtype=torch.bool)
    slots = torch.zeros(cases, PADDED_SCANS, dtype=torch.int64)
    scans = iter(zip(batch["slice_counts"].tolist(), batch["modality_slots"], strict=True))
    slices = iter(batch["pixel_values"])
    for case, scan_count in enumerate(batch["scan_counts"].tolist()):
        for scan in range(scan_count):
            slice_count, slots[case, scan] = next(scans)
            is_real[case, scan, :slice_count] = True
            for position in range(slice_count):
                images[case, scan, position] = next(slices)
    features = encoder.encode_slices(images.flatten(0, 2))
    tokens = features.view(cases * PADDED_SCANS, PADDED_SLICES, -1)
    embeddings = encoder.slice_transformer(tokens, is_real.flatten(0, 1)).embedding
    fusion = model.raddiag.fusion
    scans_of_case = embeddings.view(cases, PADDED_SCANS, -1) + fusion.modality_embeddings(slots)
    fused = fusion.scan_transformer(scans_of_case, slots != 0).embedding
    return model.classifier(fused)


def seconds(run: Callable[[], Any], repeats: int) -> float:
    """The median of several timed runs, after one that warms up."""
    run()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def seconds_in_turn(
    runs: Mapping[str, Callable[[], Any]], rounds: int
) -> dict[str, NDArray[np.float64]]:
    """Return the seconds of every run in every round, ``(rounds,)`` each, after one that warms up.

    All run once in a round, and take turns at coming first, so that a machine that grows slower or
    faster meanwhile favours none.
    """
    for run in runs.values():
        run()
    taken: dict[str, list[float]] = {name: [] for name in runs}
    names = list(runs)
    for number in range(rounds):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            start = time.perf_counter()
            runs[name]()
            taken[name].append(time.perf_counter() - start)
    return {name: np.array(values) for name, values in taken.items()}


def paired_ratio(numerator: NDArray[np.float64], denominator: NDArray[np.float64]) -> list[float]:
    """Return the median of the ratios of the rounds, and its 95 % bootstrap interval."""
    ratios = numerator / denominator
    drawn = np.random.default_rng(0).choice(ratios, (2000, len(ratios)))
    low, high = np.quantile(np.median(drawn, axis=1), [0.025, 0.975])
    return [round(float(value), 4) for value in (np.median(ratios), low, high)]


def compare_heads(narrow: bool) -> dict[str, Any]:
    """Time the same network with a linear and with a knowledge head, whole and the heads alone."""
    linear, knowledge = build(narrow), build(narrow, classifier_type="knowledge")
    knowledge.raddiag = linear.raddiag
    results: dict[str, Any] = {}
    for name, counts in CASES.items():
        batch = batch_of([counts])
        heads = {
            "linear": lambda batch=batch: linear(**batch),
            "knowledge": lambda batch=batch: knowledge(**batch),
            "linear again": lambda batch=batch: linear(**batch),
        }
        print(name)
        results[name] = ratios_of_heads(heads, HEAD_ROUNDS[name])
    case = torch.randn(1, linear.config.hidden_size)
    alone = {
        "linear": lambda: linear.classifier(case),
        "knowledge": lambda: knowledge.classifier(case),
        "linear again": lambda: linear.classifier(case),
    }
    print("the heads alone")
    results["the heads alone"] = ratios_of_heads(alone, 200)
    return results


def ratios_of_heads(heads: Mapping[str, Callable[[], Any]], rounds: int) -> dict[str, Any]:
    """Time linear, knowledge and again linear head, and print the ratios."""
    taken = seconds_in_turn(heads, rounds)
    result = {
        "rounds": rounds,
        "seconds": {name: float(np.median(taken[name])) for name in ("linear", "knowledge")},
        "knowledge head over linear head": paired_ratio(taken["knowledge"], taken["linear"]),
        "linear head over itself": paired_ratio(taken["linear again"], taken["linear"]),
    }
    for what in ("knowledge head over linear head", "linear head over itself"):
        ratio, low, high = result[what]
        print(f"  {what}: {ratio:.3f}x ({low:.3f} to {high:.3f}), {rounds} rounds", flush=True)
    return result


def compare(repeats: int, narrow: bool) -> dict[str, Any]:
    """Time every way of running every case."""
    model = build(narrow)
    fast = {
        "inference float32": copy.deepcopy(model).optimize_for_inference(torch.float32),
        "inference bfloat16": copy.deepcopy(model).optimize_for_inference(torch.bfloat16),
    }
    results: dict[str, Any] = {}
    for name, counts in CASES.items():
        batch = batch_of([counts])
        pixels = batch["pixel_values"]
        expected = padded_logits(model, batch)
        packed = model(**batch).logits
        row = {
            "padded": seconds(lambda batch=batch: padded_logits(model, batch), 1),
            "packed": seconds(lambda batch=batch: model(**batch), repeats),
            "floor": seconds(
                lambda pixels=pixels: model.raddiag.encoder.encode_slices(pixels), repeats
            ),
        }
        parity = {"packed": float((packed - expected).abs().max())}
        for way, optimised in fast.items():
            row[way] = seconds(lambda batch=batch, m=optimised: m(**batch), repeats)
            parity[way] = float((optimised(**batch).logits.float() - expected).abs().max())
        results[name] = {
            "seconds": row,
            "speedup over padded": {w: row["padded"] / s for w, s in row.items() if w != "padded"},
            "largest logit difference": parity,
            "spread of logits": float(expected.std()),
        }
        show(name, results[name])
    batch = batch_of(MIX)
    packed_s = seconds(lambda: model(**batch), repeats)
    floor_s = seconds(lambda: model.raddiag.encoder.encode_slices(batch["pixel_values"]), repeats)
    results["mix of 5 cases"] = {
        "seconds": {"packed": packed_s, "floor": floor_s},
        "packed over floor": packed_s / floor_s,
    }
    print(
        f"mix of 5 cases: packed {packed_s:.2f} s, floor {floor_s:.2f} s, {packed_s / floor_s:.3f}x"
    )
    return results


def show(name: str, result: dict[str, Any]) -> None:
    """Print one case."""
    print(f"{name} (logits spread by {result['spread of logits']:.2f})")
    for way, value in result["seconds"].items():
        speedup = result["speedup over padded"].get(way, 1.0)
        gap = result["largest logit difference"].get(way)
        print(
            f"  {way:20s} {value:8.3f} s  {speedup:7.1f}x"
            + (f"  logits within {gap:.1e}" if gap is not None else "")
        )


def peak_memory_mb(num_scans: int, setting: str, narrow: bool) -> float:
    """Peak memory of a process that diagnoses one case of full scans, its input included."""
    command = [sys.executable, __file__, "--memory-of", str(num_scans), "--setting", setting]
    command += ["--quick"] if narrow else []
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def diagnose_once(num_scans: int, setting: str, narrow: bool) -> None:
    """Run one case and print this process's peak resident memory in MB."""
    chunk_size, dtype = MEMORY_SETTINGS[setting]
    model = build(narrow, encoder_chunk_size=chunk_size)
    with torch.inference_mode():
        model(
            pixel_values=torch.rand(num_scans * PADDED_SLICES, 1, 256, 256, dtype=dtype),
            slice_counts=torch.full((num_scans,), PADDED_SLICES),
            scan_counts=torch.tensor([num_scans]),
            modality_slots=torch.ones(num_scans, dtype=torch.int64),
        )
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def compare_memory(narrow: bool) -> dict[str, Any]:
    """Peak memory of a large case over that of a small one, for every setting."""
    results: dict[str, Any] = {"weights": "float32, input included"}
    for setting in MEMORY_SETTINGS:
        memory = {f"{n} scans": peak_memory_mb(n, setting, narrow) for n in (4, 40)}
        ratio = memory["40 scans"] / memory["4 scans"]
        print(f"peak memory, MB, {setting}: {memory}, {ratio:.3f}x", flush=True)
        results[setting] = memory | {"ratio": ratio}
    return results


def main() -> None:
    """Run everything and write the result of this machine."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="a narrow network; writes no result")
    parser.add_argument("--repeats", type=int, default=3, help="timed runs; the median counts")
    parser.add_argument(
        "--part",
        choices=["all", "memory", "time", "heads"],
        default="all",
        help="what to measure again",
    )
    parser.add_argument("--memory-of", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--setting", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.memory_of:
        diagnose_once(arguments.memory_of, arguments.setting, arguments.quick)
        return
    report: dict[str, Any] = {
        "machine": describe_machine(["torch", "transformers", "monai"]) | {"seed": 0}
    }
    if arguments.part in ("all", "memory"):
        report["peak memory, MB"] = compare_memory(arguments.quick)
    if arguments.part in ("all", "time"):
        with torch.inference_mode():
            report["cases"] = compare(arguments.repeats, arguments.quick)
    if arguments.part in ("all", "heads"):
        with torch.inference_mode():
            report["heads"] = compare_heads(arguments.quick)
    if not arguments.quick:
        RESULTS.mkdir(exist_ok=True)
        path = RESULTS / f"forward_{machine_slug()}.json"
        earlier = json.loads(path.read_text()) if path.exists() else {}
        path.write_text(json.dumps(earlier | report, indent=2) + "\n")
        print(f"wrote {path}")


if __name__ == "__main__":
    main()
