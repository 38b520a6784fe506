"""How much memory a training step takes at its peak, told before it starts."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from raddiag_hf.model.configuration_raddiag import SLICE_ENCODER_TYPES, RadDiagConfig
from raddiag_hf.model.fusion import AttentionFusion, TransformerFusion
from raddiag_hf.model.modeling_raddiag import RadDiagForImageClassification
from raddiag_hf.model.slice_encoder import SliceEncoder
from raddiag_hf.training.plan.encoder_memory import (
    FLOAT_BYTES,
    EncoderMemory,
    Precision,
    kept_for_backward,
)

PRECISIONS: tuple[Precision, ...] = ("fp32", "bf16")
CHUNK_SIZES = (None, 64, 32, 16, 8, 4)
"""Offered from the fastest to the smallest; None encodes all slices at once."""
HEADROOM = 1.15
"""A plan fits if this times its prediction does: libraries' workspaces and fragmentation."""
HALF_BYTES = 2


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
    keep for the backward pass is added up, of attention its plain form, which fused kernels need
    less than. Not counted: workspaces of libraries and what the process needs before any network is
    there; `HEADROOM` stands for them.

    Args:
        config: Of the network.
        slice_counts: Slices of each scan of one micro-batch.
        num_cases: Cases that they belong to.
        chunk_size: Slices that are encoded at once; None for all.
        precision: ``fp32``, or ``bf16`` mixed precision.

    Raises:
        ValueError: If there is no slice, or a scan has more than the network takes.
    """
    _check(config, slice_counts)
    model = meta_model(config)
    encoder = EncoderMemory(model, precision).kept(slice_counts, chunk_size)
    tokens = _token_bytes(model, list(slice_counts), num_cases)
    return _plan(model, slice_counts, encoder, tokens, chunk_size, precision)


def meta_model(config: RadDiagConfig) -> RadDiagForImageClassification:
    """Return a network in training mode without memory for its weights."""
    with torch.device("meta"):
        return RadDiagForImageClassification(config).train()


def _check(config: RadDiagConfig, slice_counts: Sequence[int]) -> None:
    if sum(slice_counts) < 1:
        raise ValueError("there is no slice to plan for")
    if max(slice_counts) > config.max_slices:
        raise ValueError(
            f"a scan has {max(slice_counts)} slices, but max_slices of the network is "
            f"{config.max_slices}"
        )


def _plan(
    model: RadDiagForImageClassification,
    slice_counts: Sequence[int],
    encoder: int,
    tokens: int,
    chunk_size: int | None,
    precision: Precision,
) -> MemoryPlan:
    config, num_slices = model.config, sum(slice_counts)
    parameters = list(model.parameters())
    trained = sum(one.numel() for one in parameters if one.requires_grad)
    weights = sum(one.nbytes for one in [*parameters, *model.buffers()])
    if precision == "bf16":
        weights += HALF_BYTES * sum(one.numel() for one in parameters if one.ndim > 1)
    if chunk_size is not None and chunk_size < num_slices:
        # What follows the encoder is gone when the first chunk comes back.
        tokens = max(0, tokens - encoder)
    has_slice_tokens = config.encoder_type in SLICE_ENCODER_TYPES
    num_features = num_slices if has_slice_tokens else len(slice_counts)
    features = num_features * config.hidden_size * FLOAT_BYTES
    return MemoryPlan(
        chunk_size=chunk_size,
        precision=precision,
        weights=weights,
        gradients=FLOAT_BYTES * trained,
        optimizer=2 * FLOAT_BYTES * trained,
        inputs=num_slices * config.image_size**2 * FLOAT_BYTES,
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
    _check(config, slice_counts)
    model = meta_model(config)
    sizes = [size for size in CHUNK_SIZES if size is None or size < sum(slice_counts)]
    tokens = _token_bytes(model, list(slice_counts), num_cases)
    plans = [
        _plan(model, slice_counts, encoder.kept(slice_counts, size), tokens, size, precision)
        for precision in precisions
        for encoder in [EncoderMemory(model, precision)]
        for size in (sizes if can_chunk else [None])
    ]
    fitting = [plan for plan in plans if plan.total * HEADROOM <= memory]
    fastest_first = sorted(
        fitting, key=lambda plan: (plan.precision != "bf16", -(plan.chunk_size or 10**9))
    )
    return plans, fastest_first[0] if fastest_first else None


def available_memory() -> tuple[int, str]:
    """Return the bytes and the name of the device that a training here would use."""
    if torch.cuda.is_available():
        properties = torch.cuda.get_device_properties(0)
        return int(properties.total_memory), str(properties.name)
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"), "this machine's memory"


def _token_bytes(
    model: RadDiagForImageClassification, slice_counts: list[int], num_cases: int
) -> int:
    config = model.config
    scans, hidden = len(slice_counts), config.hidden_size
    cases = torch.empty(
        num_cases, -(-scans // num_cases), hidden, device="meta", requires_grad=True
    )
    runs: list[tuple[nn.Module, Tensor]] = []
    if isinstance(encoder := model.raddiag.encoder, SliceEncoder):
        slices = torch.empty(scans, max(slice_counts), hidden, device="meta", requires_grad=True)
        runs.append((encoder.slice_fusion, slices))
    fusion = model.raddiag.fusion
    if isinstance(fusion, TransformerFusion):
        runs.append((fusion.scan_transformer, cases))
    elif isinstance(fusion, AttentionFusion):
        runs.append((fusion.scan_attention, cases))
    total = 4 * num_cases * config.num_labels * FLOAT_BYTES
    for module, tokens in runs:
        is_real = torch.ones(tokens.shape[:2], dtype=torch.bool, device="meta")
        total += kept_for_backward(partial(module, tokens, is_real), module)
    return total
