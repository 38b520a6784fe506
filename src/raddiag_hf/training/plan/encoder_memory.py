"""What a visual encoder keeps for the backward pass, for any number of slices."""

from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn

from raddiag_hf.model.modeling_raddiag import RadDiagForImageClassification
from raddiag_hf.model.slice_encoder import SliceEncoder
from raddiag_hf.model.visual_encoders import VolumeEncoder

Precision = Literal["fp32", "bf16"]
FLOAT_BYTES = 4


class EncoderMemory:
    """Bytes of the activations that are alive at once in training.

    Two and three rows are encoded without arithmetic; every row costs as much as the third.

    Args:
        model: On torch's ``meta`` device, in training mode and float32.
        precision: ``fp32``, or ``bf16`` mixed precision.
    """

    def __init__(self, model: RadDiagForImageClassification, precision: Precision) -> None:
        self.encoder, self.image_size = model.raddiag.encoder, model.config.image_size
        self.dtype = torch.bfloat16 if precision == "bf16" else torch.float32
        self._costs: dict[int, tuple[int, int]] = {}

    def kept(self, slice_counts: Sequence[int], chunk_size: int | None) -> int:
        """Return the bytes for scans of so many slices, in chunks (None: all at once)."""
        is_volume = isinstance(self.encoder, VolumeEncoder)  # equal depths go through it together
        groups = Counter(slice_counts) if is_volume else {1: sum(slice_counts)}
        kept, largest_chunk = 0, 0
        for depth, count in groups.items():
            at_once = count if chunk_size is None else max(1, chunk_size // depth)
            num_chunks = -(-count // at_once)
            constant, of_row = self._cost(depth)
            found = constant + of_row * -(-count // num_chunks)
            if num_chunks == 1:  # is not computed twice
                kept += found
            else:
                largest_chunk = max(largest_chunk, found)
                if is_volume:  # the pixels, gathered by depth
                    kept += count * depth * self.image_size**2 * FLOAT_BYTES
        return kept + largest_chunk

    def _cost(self, depth: int) -> tuple[int, int]:
        """Return what does not grow with the rows encoded together, and what each of them takes."""
        if depth not in self._costs:
            self.encoder.to(self.dtype)
            shape = (depth, self.image_size, self.image_size)
            two, three = (
                kept_for_backward(
                    partial(self._encode, torch.empty(rows, *shape, device="meta")), self.encoder
                )
                for rows in (2, 3)  # a batch norm of a tiny map needs two
            )
            self.encoder.float()
            self._costs[depth] = (3 * two - 2 * three, three - two)
        return self._costs[depth]

    def _encode(self, rows: Tensor) -> Tensor:
        if isinstance(self.encoder, SliceEncoder):
            return self.encoder.encode_slices(rows)
        return cast(VolumeEncoder, self.encoder).encode_volumes(rows)


def kept_for_backward(run: Callable[[], Any], module: nn.Module) -> int:
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
