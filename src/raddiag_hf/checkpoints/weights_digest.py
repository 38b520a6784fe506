"""Tell the weights of two models apart."""

import hashlib

import torch
from torch import nn


def weights_digest(model: nn.Module, prefix: bytes = b"") -> str:
    """Return a SHA-256 of ``prefix``, all parameters and all buffers, in hexadecimal.

    Names, types, shapes and values count; devices do not.
    """
    digest = hashlib.sha256(prefix)
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        content = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
        digest.update(content.numpy().data)
    return digest.hexdigest()
