"""What a training step costs: packed against padded, chunked against not, bf16 against float32.

One run, the same weights (random, from a seed), the same optimizer and the same cases for all:

- `packed` against `padded`: a mixed batch as it is packed, and every case padded to 6 scans x 32
  slices with black slices that are encoded too, as the reference does.
- `whole` against `chunks of N`: the paper's setting (6 scans x 32 slices at 256 x 256, one case a
  step) with all slices at once, and with recomputation; batch norm frozen in both.
- `float32` against `bf16`: the same in mixed precision.

Time is the median of whole steps (forward, backward, AdamW); memory is measured in a step of its
own, and beside it stands what `raddiag train --plan` predicts. A setting that needs more memory
than there is is left out, and the reason is written down.

    python benchmarks/training.py              # on 2 cores 5 minutes, with 2 scans x 8 slices
    python benchmarks/training.py --quick      # narrow network, to see that the script runs
"""

import argparse
import json
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from _machine import describe_machine, machine_slug
from _peak_memory import measure_peak_memory
from raddiag_hf import RadDiagConfig, RadDiagForImageClassification
from raddiag_hf.training.plan.encoder_memory import Precision
from raddiag_hf.training.plan.memory import HEADROOM, available_memory, plan_memory

RESULTS = Path(__file__).parent / "results"
PAPER_CASES = [[32] * 6]
MIXED_CASES = [[1], [1, 1], [12, 20], [24], [1, 32, 16]]
"""Slices of each scan: radiographs, an ultrasound, CTs, and a case of several modalities."""


class Settings:
    """Sizes of one run of the benchmark."""

    def __init__(self, device: torch.device, quick: bool) -> None:
        on_gpu = device.type == "cuda"
        self.device = device
        self.steps = 5 if on_gpu and not quick else 2
        self.paper_cases, self.mixed_cases = PAPER_CASES, MIXED_CASES
        self.padded_to = (6, 32)
        self.chunk_sizes: Sequence[int] = (64, 32, 8)
        self.shape: dict[str, Any] = {"num_labels": 5569}
        if not on_gpu or quick:  # minutes on two cores instead of hours
            self.paper_cases, self.mixed_cases = [[8, 8]], [[1], [4, 1]]
            self.padded_to = (2, 6)
            self.chunk_sizes = (8, 4)
        if quick:
            self.shape |= {
                "resnet_depth": 18, "resnet_width": 8, "hidden_size": 64, "intermediate_size": 64,
                "image_size": 64, "num_labels": 20,
            }  # fmt: skip


def build(
    settings: Settings, chunk_size: int | None, frozen: bool
) -> RadDiagForImageClassification:
    """The published network with random weights."""
    torch.manual_seed(0)
    config = RadDiagConfig(
        **settings.shape, encoder_chunk_size=chunk_size, freeze_batch_norm=frozen
    )
    return RadDiagForImageClassification(config).to(settings.device).train()


def batch_of(cases: Sequence[Sequence[int]], config: RadDiagConfig) -> dict[str, Tensor]:
    """Random pixels of cases, given by the slices of their scans."""
    counts = torch.tensor([count for case in cases for count in case])
    size = config.image_size
    return {
        "pixel_values": torch.rand(int(counts.sum()), 1, size, size),
        "slice_counts": counts,
        "scan_counts": torch.tensor([len(case) for case in cases]),
        "modality_slots": torch.ones(len(counts), dtype=torch.long),
        "key_slices": torch.zeros(len(counts), dtype=torch.long),
        "labels": (torch.rand(len(cases), config.num_labels) < 0.01).float(),
    }


def measure(
    settings: Settings,
    cases: Sequence[Sequence[int]],
    *,
    chunk_size: int | None = None,
    precision: Precision = "fp32",
    frozen: bool = True,
) -> dict[str, Any]:
    """Seconds and peak memory of a training step, or why it was left out."""
    device = settings.device
    model = build(settings, chunk_size, frozen)
    slices = [count for case in cases for count in case]
    plan = plan_memory(
        model.config, slices, num_cases=len(cases), chunk_size=chunk_size, precision=precision
    )
    found: dict[str, Any] = {
        "cases": len(cases), "slices": sum(slices), "planned_gb": round(plan.total / 1e9, 3)
    }  # fmt: skip
    if plan.total * HEADROOM > available_memory()[0]:
        return found | {"left_out": f"needs more than the {available_memory()[1]} has"}
    batch = {name: value.to(device) for name, value in batch_of(cases, model.config).items()}
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5)
    mixed = torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        with mixed:
            loss = model(**batch).loss
        loss.backward()
        optimizer.step()

    def timed() -> float:
        start = time.perf_counter()
        step()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return time.perf_counter() - start

    timed()
    seconds = [timed() for _ in range(settings.steps)]
    optimizer.zero_grad(set_to_none=True)
    beside = sum(one.nbytes for one in (*model.parameters(), *model.buffers(), *batch.values()))
    beside += sum(
        value.nbytes
        for state in optimizer.state.values()
        for value in state.values()
        if isinstance(value, Tensor)
    )
    return found | {
        "seconds": round(statistics.median(seconds), 4),
        "peak_gb": round((measure_peak_memory(step, device) + beside) / 1e9, 3),
    }


def compare(settings: Settings) -> dict[str, dict[str, Any]]:
    """All settings by name."""
    scans, slices = settings.padded_to
    padded = [[slices] * scans for _ in settings.mixed_cases]
    paper = settings.paper_cases
    size_of_case = f"{len(paper[0])} scans x {paper[0][0]} slices"
    results = {
        "mixed batch, packed, float32": measure(settings, settings.mixed_cases, frozen=False),
        "mixed batch, padded, float32": measure(settings, padded, frozen=False),
    }
    for precision, name in (("fp32", "float32"), ("bf16", "bf16")):
        for size in (None, *settings.chunk_sizes):
            how = "whole" if size is None else f"chunks of {size}"
            results[f"{size_of_case}, {how}, {name}"] = measure(
                settings, paper, chunk_size=size, precision=precision
            )
    return results


def main() -> None:
    """Measure, print and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="narrow network; nothing is written")
    quick = parser.parse_args().quick
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    settings = Settings(device, quick)
    results = compare(settings)
    for name, found in results.items():
        numbers = (
            found.get("left_out")
            or f"{found['seconds']:8.3f} s  {found['peak_gb']:7.3f} GB  "
            f"(planned {found['planned_gb']:.3f} GB)"
        )
        print(f"{name:42} {found['slices']:4} slices  {numbers}")
    if quick:
        return
    machine = describe_machine(["torch", "monai", "transformers"])
    slug = machine_slug()
    if device.type == "cuda":
        machine["gpu"] = torch.cuda.get_device_name(device)
        slug = "-".join(machine["gpu"].lower().split())
    path = RESULTS / f"training_{slug}.json"
    path.write_text(
        json.dumps(
            {
                "machine": machine,
                "paper_case": settings.paper_cases,
                "mixed_cases": settings.mixed_cases,
                "padded_to": settings.padded_to,
                "results": results,
            },
            indent=1,
        )
        + "\n"
    )
    print(f"wrote {path}")


if __name__ == "__main__":
    main()
