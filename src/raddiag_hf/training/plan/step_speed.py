"""How fast a training step is: measured here, or estimated for a device that is not."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from datasets import Dataset

from raddiag_hf.core.errors import InputError
from raddiag_hf.data.batches.case_augmentation import CaseAugmentation
from raddiag_hf.data.batches.training_cases import CasePacker, TrainingCases
from raddiag_hf.data.store.case import Case, case_features, encode_case
from raddiag_hf.data.store.scan_record import CaseScan
from raddiag_hf.imaging.scan import Scan
from raddiag_hf.labels.label_set import LabelSet
from raddiag_hf.model.configuration_raddiag import RadDiagConfig
from raddiag_hf.model.image_processing_raddiag import RadDiagImageProcessor
from raddiag_hf.model.modeling_raddiag import RadDiagForImageClassification
from raddiag_hf.training.plan.encoder_memory import EncoderMemory
from raddiag_hf.training.plan.memory import MemoryPlan, meta_model
from raddiag_hf.vocabulary import Modality

MEASURED_STEPS = 2
MEASURED_SLICES_ON_CPU = 8
"""Slices of a measured step without a GPU: seconds for the published network."""
TRAFFIC = 29
"""Bytes that a training step moves for each byte that the encoder keeps for the backward pass:
NVIDIA's published ResNet-50 (DeepLearningExamples, PyTorch, mixed precision, channels first, an
A100 of 1,555 GB/s) trains on 1,186 images of 224 x 224 a second. Convolutions and batch norms wait
for memory, not for arithmetic."""
OPTIMIZER_TRAFFIC = 28
"""Bytes that AdamW moves for each weight: weight, gradient and two moments, most of them back."""
RECOMPUTED = 4 / 3
"""What chunks cost: one more forward pass, a third of a step."""
LOADING_SECONDS = 3.0
"""How long loading is measured at most."""


@dataclass(frozen=True)
class Device:
    """A device for a plan.

    Attributes:
        name: As its maker calls it.
        memory: Bytes.
        bandwidth: Of its memory, in bytes a second.
    """

    name: str
    memory: int
    bandwidth: float


DEVICES = {
    "h200": Device("NVIDIA H200", 141 * 10**9, 4.8e12),
    "h100": Device("NVIDIA H100 80 GB", 80 * 10**9, 3.35e12),
    "a100": Device("NVIDIA A100 80 GB", 80 * 10**9, 2.04e12),
    "a100-40gb": Device("NVIDIA A100 40 GB", 40 * 10**9, 1.555e12),
    "l40s": Device("NVIDIA L40S", 48 * 10**9, 0.864e12),
    "l4": Device("NVIDIA L4", 24 * 10**9, 0.3e12),
    "rtx5090": Device("NVIDIA RTX 5090", 32 * 10**9, 1.79e12),
    "rtx4090": Device("NVIDIA RTX 4090", 24 * 10**9, 1.01e12),
    "rtx3090": Device("NVIDIA RTX 3090", 24 * 10**9, 0.936e12),
}
"""Name -> what its maker's data sheet says."""


@dataclass(frozen=True)
class StepSpeed:
    """What a training step costs on one device.

    Attributes:
        slices_per_second: Forward and backward passes.
        optimizer_seconds: One step of AdamW.
        source: ``measured on ...`` or ``estimated for ...``, in words.
    """

    slices_per_second: float
    optimizer_seconds: float
    source: str


def find_device(name: str) -> Device:
    """Return a device by its name, however spelt.

    Raises:
        InputError: If nothing is known of it.
    """
    wanted = name.lower().replace("nvidia", "").replace(" ", "").replace("_", "-")
    if wanted not in DEVICES:
        raise InputError(f"nothing is known of {name!r}; expected one of {', '.join(DEVICES)}")
    return DEVICES[wanted]


def estimate_speed(config: RadDiagConfig, plan: MemoryPlan, device: Device) -> StepSpeed:
    """Estimate a step from the bandwidth of a device's memory; within a factor of two, at best.

    Args:
        config: Of the network.
        plan: Precision and chunks.
        device: Which.
    """
    model = meta_model(config)
    scans = [config.max_slices] * 8
    kept = EncoderMemory(model, plan.precision).kept(scans, None)
    seconds = TRAFFIC * kept / sum(scans) / device.bandwidth
    if plan.chunk_size is not None:
        seconds *= RECOMPUTED
    num_trained = sum(one.numel() for one in model.parameters() if one.requires_grad)
    return StepSpeed(
        slices_per_second=1 / seconds,
        optimizer_seconds=OPTIMIZER_TRAFFIC * num_trained / device.bandwidth,
        source=(
            f"estimated for one {device.name} from its memory bandwidth and NVIDIA's published "
            "ResNet-50 on an A100; a factor of two either way"
        ),
    )


def measure_speed(
    config: RadDiagConfig, plan: MemoryPlan, slice_counts: Sequence[int], device: torch.device
) -> StepSpeed:
    """Time steps of a network with random weights on random pixels.

    Args:
        config: Of the network.
        plan: Precision and chunks.
        slice_counts: Slices of each scan of a micro-batch that fits; without a GPU, the first few.
        device: Where.
    """
    if device.type != "cuda":
        ends = np.cumsum(slice_counts) <= MEASURED_SLICES_ON_CPU
        slice_counts = [one for one, fits in zip(slice_counts, ends, strict=True) if fits] or [
            min(slice_counts[0], MEASURED_SLICES_ON_CPU)
        ]
    num_slices = sum(slice_counts)
    chunk_size = plan.chunk_size
    if chunk_size is not None:  # of few slices, chunks are smaller, so that they are computed twice
        chunk_size = min(chunk_size, max(1, num_slices // 2))
    values = config.to_dict() | {"encoder_chunk_size": chunk_size}
    model = RadDiagForImageClassification(RadDiagConfig.from_dict(values)).to(device).train()
    batch = {
        "pixel_values": torch.rand(num_slices, 1, config.image_size, config.image_size),
        "slice_counts": torch.tensor(slice_counts),
        "scan_counts": torch.tensor([len(slice_counts)]),
        "modality_slots": torch.ones(len(slice_counts), dtype=torch.long),
        "key_slices": torch.zeros(len(slice_counts), dtype=torch.long),
        "labels": torch.zeros(1, config.num_labels),
    }
    batch = {name: value.to(device) for name, value in batch.items()}
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.0)
    passes, updates = [], []
    for _ in range(1 + MEASURED_STEPS):  # the first one is not representative
        optimizer.zero_grad(set_to_none=True)
        start = _now(device)
        with torch.autocast(device.type, torch.bfloat16, enabled=plan.precision == "bf16"):
            loss = model(**batch).loss
        loss.backward()
        between = _now(device)
        optimizer.step()
        passes.append(between - start)
        updates.append(_now(device) - between)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "this machine's CPU"
    return StepSpeed(
        slices_per_second=num_slices / min(passes[1:]),
        optimizer_seconds=min(updates[1:]),
        source=f"measured on {name} with {num_slices} slices",
    )


def measure_loading(cases: TrainingCases) -> float:
    """Return how long one core takes to decode, resample and augment one slice, in seconds.

    Args:
        cases: As training reads them; some of them are read.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as in the workers of a DataLoader
    try:
        cases[0]
        start, num_slices, row = time.perf_counter(), 0, 0
        while not row or (time.perf_counter() - start < LOADING_SECONDS and row < len(cases)):
            num_slices += len(cases[row]["pixel_values"])
            row += 1
        return (time.perf_counter() - start) / num_slices
    finally:
        torch.set_num_threads(threads)


def synthetic_cases(
    config: RadDiagConfig, augmentation: CaseAugmentation | None, num_cases: int = 8
) -> TrainingCases:
    """Return cases of one volume as large as the network takes, to measure loading without data."""
    random = np.random.default_rng(0)
    depth, size = config.max_slices, config.image_size
    ramp = np.linspace(0, 1000, size, dtype=np.float32)
    label_set = LabelSet(("any label", "another"))
    features = case_features(label_set)
    rows = []
    for number in range(num_cases):
        volume = ramp + ramp[:, None] + random.normal(0, 20, (depth, size, size))
        scan = Scan(volume.astype(np.int16).astype(np.float32), Modality.CT, scan_id="CT")
        name = f"case-{number}"
        case = Case(name, name, "synthetic", (CaseScan(scan, key_slice=0),), {"labels": ()})
        rows.append(encode_case(case, features))
    processor = RadDiagImageProcessor(image_size=size, max_slices=depth)
    packer = CasePacker(features, processor)
    return TrainingCases(Dataset.from_list(rows, features=features), packer, augmentation)


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()
