"""Saliency by Score-CAM through the whole case: where in a scan a score comes from."""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy.cluster.vq import kmeans2
from torch import Tensor
from transformers import BatchFeature

from raddiag_hf.core.progress import Progress, no_progress
from raddiag_hf.inference.explain.activations import activation_maps, default_layer
from raddiag_hf.model.chunking import INFERENCE_CHUNK_SIZE
from raddiag_hf.model.modeling_raddiag import (
    RadDiagForImageClassification,
)

WEIGHTINGS = ("contrast", "increase")


@dataclass(frozen=True)
class ScoreCamSettings:
    """How thoroughly to explain.

    Attributes:
        max_masks: The most masks, each of which costs an encoding of the whole scan. Channels
            beyond it are grouped; see `group_channels`. 2,048 makes it Score-CAM to the letter for
            a ResNet-50.
        layer: Whose activation maps; see `available_layers`. None: `default_layer`.
        slices_at_once: Slices that go through the encoder together; bounds memory and changes no
            value. Encoders that read volumes take one volume at least. None: the model's
            ``encoder_chunk_size``, or 8.
        weighting: ``increase``: a map's weight is the logit that its masked scan gains over a black
            scan, as Score-CAM has it. ``contrast``: that minus the mean gain of all maps. Any part
            of a scan tells the network what it is looking at, so nearly every mask raises nearly
            every logit over black, and plain increases add up to the mean activation, whatever the
            label; their differences are what is particular to it.
    """

    max_masks: int = 32
    layer: str | None = None
    slices_at_once: int | None = None
    weighting: str = "contrast"

    def __post_init__(self) -> None:
        if self.weighting not in WEIGHTINGS:
            raise ValueError(f"weighting is {self.weighting!r}, expected one of {WEIGHTINGS}")
        for name, number in (
            ("max_masks", self.max_masks),
            ("slices_at_once", self.slices_at_once),
        ):
            if number is not None and number < 1:
                raise ValueError(f"{name} is {number}, expected at least 1")

    def chunk_size(self, model: RadDiagForImageClassification) -> int:
        """Return how many slices to encode together."""
        return self.slices_at_once or model.config.encoder_chunk_size or INFERENCE_CHUNK_SIZE


@dataclass(frozen=True, eq=False)
class SaliencyMap:
    """Where in one scan the score of a label comes from.

    Attributes:
        values: In [0, 1], float32, ``(encoded slices, map height, map width)``; the highest of the
            scan is 1. High where a part, shown alone, raises the score more than other parts do
            (``increase``: where it raises it); it need not raise it at all. All 0 where no part
            stands out.
        layer: The layer whose activation maps were weighted.
        num_masks: How many masked copies of the scan were scored.
        gain: Logit of the label with the scan minus that with the scan black.
    """

    values: NDArray[np.float32]
    layer: str
    num_masks: int
    gain: float


def score_cam(
    model: RadDiagForImageClassification,
    batch: BatchFeature,
    scan_embeddings: Tensor,
    scan_index: int,
    label_index: int,
    settings: ScoreCamSettings | None = None,
    progress: Progress = no_progress,
) -> SaliencyMap:
    """Explain one scan of a case: which places, kept alone, speak most for the label.

    Each activation map is stretched to [0, 1] over all slices of the scan together, brought to the
    size of the input, and multiplied with the scan's pixels. The masked scan goes through slice
    encoder, slice transformer, fusion and head together with the other scans of the case, whose
    embeddings are reused. The logit so gained over a black scan, less the mean gain of all maps
    unless the weighting is ``increase``, is the map's weight: one for the whole scan, so maps of
    different slices can be compared. The result is the positive part of the weighted sum.

    Args:
        model: In evaluation mode.
        batch: One case, as `pack_case` returns it.
        scan_embeddings: Of all scans of the case, ``(scans, hidden)``.
        scan_index: Which scan to explain.
        label_index: Which logit.
        settings: How thoroughly; the defaults if None.
        progress: Called after every few masks.

    Source:
        Wang et al., Score-CAM, CVPR Workshops 2020: masks, increase of the score over a baseline,
        positive part of the weighted sum. Weights do not pass through the softmax of its algorithm
        1, under which maps that lower the score would count as reasons for it.
    """
    settings = settings or ScoreCamSettings()
    counts = batch["slice_counts"].tolist()
    start = sum(counts[:scan_index])
    pixels = batch["pixel_values"][start : start + counts[scan_index]]
    layer = settings.layer or default_layer(model, len(pixels))
    chunk_size = settings.chunk_size(model)
    activations = activation_maps(model, pixels, layer, chunk_size)
    maps = group_channels(activations.values, settings.max_masks)
    score = _CaseScore(model, batch, scan_embeddings, scan_index, label_index, chunk_size)
    with torch.inference_mode():
        black, whole = score.of_scans(torch.stack([torch.zeros_like(pixels), pixels])).tolist()
        weights: list[float] = []
        masks_at_once = max(1, chunk_size // len(pixels))
        for first in range(0, len(maps), masks_at_once):
            few = maps[first : first + masks_at_once]
            masks = _as_masks(few, pixels)
            weights += (score.of_scans(masks * pixels) - black).tolist()
            progress("Scoring masks", len(weights), len(maps))
        gains = maps.new_tensor(weights)
        if settings.weighting == "contrast" and len(gains) > 1:
            gains = gains - gains.mean()
        combined = torch.einsum("m,mdhw->dhw", gains, maps).relu()
    depth, height, width = combined.shape
    if depth != len(pixels):
        combined = _resize(combined[None], (len(pixels), height, width))[0]
    values = combined / combined.max().clamp_min(torch.finfo(combined.dtype).tiny)
    return SaliencyMap(values.cpu().numpy(), layer, len(maps), whole - black)


def group_channels(maps: Tensor, count: int) -> Tensor:
    """Return at most ``count`` maps, each the sum of channels that light up in the same places.

    Channels are grouped by k-means over their normalised maps, so that all of them take part,
    however few forward passes there are. With as many groups as channels this is Score-CAM itself.

    Args:
        maps: Shape ``(channels, depth, height, width)``.
        count: The most maps to return, at least 1.

    Returns:
        Shape ``(groups, depth, height, width)``, the strongest group first. Channels that are the
        same everywhere point nowhere and are left out; there may be no group at all.
    """
    channels = maps.flatten(1)
    spread = channels.amax(1) - channels.amin(1)
    maps, channels = maps[spread > 0], channels[spread > 0]
    if len(maps) > count:
        shapes = normalize_maps(maps).flatten(1).double().cpu().numpy()
        shapes = shapes / np.linalg.norm(shapes, axis=1, keepdims=True)
        _, members = kmeans2(shapes, count, minit="++", seed=0, missing="warn")
        groups = [maps[torch.from_numpy(members == group)] for group in range(count)]
        maps = torch.stack([group.sum(0) for group in groups if len(group)])
    energy = maps.flatten(1).square().sum(1)
    return maps[energy.argsort(descending=True, stable=True)]


def normalize_maps(maps: Tensor) -> Tensor:
    """Stretch each map to [0, 1] over its whole scan: all slices, rows and columns together.

    A slice in which a channel stays dark stays dark, instead of being stretched to full brightness
    by itself.
    """
    axes = tuple(range(1, maps.ndim))
    low, high = maps.amin(axes, keepdim=True), maps.amax(axes, keepdim=True)
    return (maps - low) / (high - low).clamp_min(torch.finfo(maps.dtype).tiny)


@dataclass(frozen=True)
class _CaseScore:
    """The logit of one label for a case of which one scan is replaced."""

    model: RadDiagForImageClassification
    batch: BatchFeature
    scan_embeddings: Tensor
    scan_index: int
    label_index: int
    chunk_size: int

    def of_scans(self, scans: Tensor) -> Tensor:
        """Return the logit with each of ``(scans, slices, 1, H, W)`` in place: float32, CPU."""
        counts = torch.full((len(scans),), scans.shape[1], device=scans.device)
        encoded = self.model.raddiag.encoder(scans.flatten(0, 1), counts, self.chunk_size, False)
        cases = self.scan_embeddings.expand(len(scans), -1, -1).clone()
        cases[:, self.scan_index] = encoded.scan_embeddings
        slots = self.batch["modality_slots"].repeat(len(scans))
        sizes = torch.full((len(scans),), cases.shape[1], device=scans.device)
        logits = self.model.classify_scans(cases.flatten(0, 1), slots, sizes)
        return logits[:, self.label_index].float().cpu()


def _as_masks(maps: Tensor, pixels: Tensor) -> Tensor:
    """Return masks for the slices of a scan, ``(masks, slices, 1, H, W)`` in [0, 1]."""
    size = (len(pixels), *pixels.shape[-2:])
    return _resize(normalize_maps(maps), size)[:, :, None].to(pixels.dtype)


def _resize(maps: Tensor, size: tuple[int, int, int]) -> Tensor:
    """Bring maps to a depth, height and width, linear along each: ``(maps, *size)``."""
    return F.interpolate(maps[:, None], size=size, mode="trilinear", align_corners=False)[:, 0]
