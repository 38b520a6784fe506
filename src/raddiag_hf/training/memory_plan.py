"""How much memory a training step takes at its peak, told before it starts."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, cast

import numpy as np
import torch
from torch import Tensor, nn

from raddiag_hf.data.batches.case_augmentation import UNKNOWN_ANATOMY, CaseAugmentation
from raddiag_hf.data.store.case_metadata import CaseMetadata
from raddiag_hf.model.configuration_raddiag import SLICE_ENCODER_TYPES, RadDiagConfig
from raddiag_hf.model.fusion import AttentionFusion, TransformerFusion
from raddiag_hf.model.modeling_raddiag import RadDiagForImageClassification
from raddiag_hf.model.slice_encoder import SliceEncoder

Precision = Literal["fp32", "bf16"]
PRECISIONS: tuple[Precision, ...] = ("fp32", "bf16")
CHUNK_SIZES = (None, 64, 32, 16, 8, 4)
"""Offered from the fastest to the smallest; None encodes all slices at once."""
HEADROOM = 1.15
"""A plan fits if this times its prediction does: libraries' workspaces and fragmentation."""
_FLOAT, _HALF = 4, 2


@dataclass(frozen=True)
class MemoryPlan:
    """The predicted peak of one training step, in bytes.

    Attributes:
        chunk_size: Slices that are encoded at once; None for all.
        precision: ``fp32``, or ``bf16`` for mixed precision (weights stay float32).
        weights: Weights and buffers, and their half-precision copies.
        gradients: Of the weights that are trained.
        optimizer: Both moments of AdamW.
        inputs: Pixels of one micro-batch.
        encoder: What the slice encoder keeps for the backward pass of one chunk.
        tokens: The same for everything after it that is alive at the same time, with each slice's
            feature vector and its gradient.
    """

    chunk_size: int | None
    precision: Precision
    weights: int
    gradients: int
    optimizer: int
    inputs: int
    encoder: int
    tokens: int

    @property
    def total(self) -> int:
        """All of it."""
        fixed = self.weights + self.gradients + self.optimizer
        return fixed + self.inputs + self.encoder + self.tokens


def plan_memory(
    config: RadDiagConfig,
    slice_counts: Sequence[int],
    *,
    num_cases: int = 1,
    chunk_size: int | None = None,
    precision: Precision = "fp32",
) -> MemoryPlan:
    """Predict the peak memory of a training step with AdamW on one device.

    The network is run without data or arithmetic, on torch's ``meta`` device, and what it would
    keep for the backward pass is added up. Not counted: workspaces of libraries and what the
    process needs before any network is there; `HEADROOM` stands for them.

    Args:
        config: Of a network with slice tokens (``encoder_type="resnet_vit"`` or ``"backbone"``).
        slice_counts: Slices of each scan of one micro-batch.
        num_cases: Cases that they belong to.
        chunk_size: Slices that are encoded at once; None for all.
        precision: ``fp32``, or ``bf16`` mixed precision.

    Raises:
        ValueError: If the encoder has no slice tokens, or there is no slice.
    """
    if config.encoder_type not in SLICE_ENCODER_TYPES:
        raise ValueError(
            f"encoder_type is {config.encoder_type!r}; memory can be planned for one of "
            f"{SLICE_ENCODER_TYPES}"
        )
    num_slices = sum(slice_counts)
    if num_slices < 1:
        raise ValueError("there is no slice to plan for")
    with torch.device("meta"):
        model = RadDiagForImageClassification(config).train()
    parameters = list(model.parameters())
    trained = sum(one.numel() for one in parameters if one.requires_grad)
    weights = sum(one.nbytes for one in [*parameters, *model.buffers()])
    if precision == "bf16":
        weights += _HALF * sum(one.numel() for one in parameters if one.ndim > 1)
    at_once = num_slices if chunk_size is None else min(chunk_size, num_slices)
    encoder = _encoder_bytes(model, at_once, precision)
    tokens = _token_bytes(model, list(slice_counts), num_cases)
    if at_once < num_slices:  # what follows the encoder is gone when the first chunk comes back
        tokens = max(0, tokens - encoder)
    features = num_slices * config.hidden_size * _FLOAT
    return MemoryPlan(
        chunk_size=chunk_size,
        precision=precision,
        weights=weights,
        gradients=_FLOAT * trained,
        optimizer=2 * _FLOAT * trained,
        inputs=num_slices * config.image_size**2 * _FLOAT,
        encoder=encoder,
        tokens=tokens + 2 * features,
    )


def choose_plan(
    config: RadDiagConfig,
    slice_counts: Sequence[int],
    memory: int,
    *,
    num_cases: int = 1,
    precisions: Sequence[Precision] = PRECISIONS,
    can_chunk: bool = True,
) -> tuple[list[MemoryPlan], MemoryPlan | None]:
    """Predict every choice of precision and chunk size, and choose the fastest that fits.

    Chunks cost one more forward pass of the encoder, bf16 saves time; so bf16 comes before fp32
    where both fit, and large chunks before small ones.

    Args:
        config: As `plan_memory`, with its other arguments.
        slice_counts: Slices of each scan of one micro-batch.
        memory: Bytes that the device has.
        num_cases: Cases that the scans belong to.
        precisions: Which to offer.
        can_chunk: False where batch statistics forbid it.

    Returns:
        All plans, and the chosen one: None if none fits.
    """
    sizes = [size for size in CHUNK_SIZES if size is None or size < sum(slice_counts)]
    plans = [
        plan_memory(config, slice_counts, num_cases=num_cases, chunk_size=size, precision=precision)
        for precision in precisions
        for size in (sizes if can_chunk else [None])
    ]
    fitting = [plan for plan in plans if plan.total * HEADROOM <= memory]
    fastest_first = sorted(
        fitting, key=lambda plan: (plan.precision != "bf16", -(plan.chunk_size or 10**9))
    )
    return plans, fastest_first[0] if fastest_first else None


def heaviest_batch(
    metadata: CaseMetadata,
    num_cases: int,
    max_slices: int,
    *,
    grey_picture_slices: int = 1,
    augmentation: CaseAugmentation | None = None,
) -> list[int]:
    """Return the encoded slices of each scan of the cases that have most.

    Args:
        metadata: Of the training cases.
        num_cases: Cases of a micro-batch.
        max_slices: The image processor's.
        grey_picture_slices: The image processor's.
        augmentation: Where it mixes, a case counts with the heaviest cases that it can be mixed
            with, each of another known anatomy.
    """
    depths = metadata.scan_depths
    slices = np.where(depths == 1, grey_picture_slices, np.minimum(depths, max_slices))
    starts = np.searchsorted(metadata.scan_cases, np.arange(1, len(metadata)))
    scans = np.split(slices, starts)
    work = np.array([one.sum() for one in scans])
    num_partners = 0
    if augmentation is not None and augmentation.mixing_probability:
        num_partners = augmentation.max_mixed_cases - 1
    of_anatomy = [
        int(rows[work[rows].argmax()])
        for anatomy in np.unique(metadata.anatomies)
        if anatomy != UNKNOWN_ANATOMY
        for rows in [np.flatnonzero(metadata.anatomies == anatomy)]
    ]
    of_anatomy.sort(key=lambda row: -work[row])

    def with_partners(row: int) -> list[int]:
        anatomy = metadata.anatomies[row]
        if anatomy == UNKNOWN_ANATOMY:
            return [row]
        others = [one for one in of_anatomy if metadata.anatomies[one] != anatomy]
        return [row, *others[:num_partners]]

    mixtures = sorted(map(with_partners, range(len(work))), key=lambda rows: -work[rows].sum())
    return [int(count) for rows in mixtures[:num_cases] for row in rows for count in scans[row]]


def available_memory() -> tuple[int, str]:
    """Return the bytes and the name of the device that a training here would use."""
    if torch.cuda.is_available():
        properties = torch.cuda.get_device_properties(0)
        return int(properties.total_memory), str(properties.name)
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"), "this machine's memory"


def _encoder_bytes(
    model: RadDiagForImageClassification, num_slices: int, precision: Precision
) -> int:
    config = model.config
    encoder = cast(SliceEncoder, model.raddiag.encoder)
    if precision == "bf16":
        encoder = encoder.to(torch.bfloat16)
    pixels = torch.empty(num_slices, 1, config.image_size, config.image_size, device="meta")
    kept = _kept_for_backward(partial(encoder.encode_slices, pixels), encoder)
    encoder.float()
    return kept


def _token_bytes(
    model: RadDiagForImageClassification, slice_counts: list[int], num_cases: int
) -> int:
    config = model.config
    scans, hidden = len(slice_counts), config.hidden_size
    slices = torch.empty(scans, max(slice_counts), hidden, device="meta", requires_grad=True)
    cases = torch.empty(
        num_cases, -(-scans // num_cases), hidden, device="meta", requires_grad=True
    )
    runs: list[tuple[nn.Module, Tensor]] = [
        (cast(SliceEncoder, model.raddiag.encoder).slice_fusion, slices)
    ]
    fusion = model.raddiag.fusion
    if isinstance(fusion, TransformerFusion):
        runs.append((fusion.scan_transformer, cases))
    elif isinstance(fusion, AttentionFusion):
        runs.append((fusion.scan_attention, cases))
    total = 4 * num_cases * config.num_labels * _FLOAT
    for module, tokens in runs:
        is_real = torch.ones(tokens.shape[:2], dtype=torch.bool, device="meta")
        total += _kept_for_backward(partial(module, tokens, is_real), module)
    return total


def _kept_for_backward(run: Callable[[], Any], module: nn.Module) -> int:
    """Return the bytes of all tensors saved for the backward pass, beside the module's weights."""
    weights = {id(one.untyped_storage()) for one in module.parameters()}
    kept: dict[int, torch.UntypedStorage] = {}

    def remember(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[id(storage)] = storage  # kept alive, so that ids stay unique
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(remember, lambda tensor: tensor):
        run()
    return sum(storage.nbytes() for key, storage in kept.items() if key not in weights)
