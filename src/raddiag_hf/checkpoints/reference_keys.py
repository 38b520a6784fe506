"""Keys of the authors' state dict, and what each of them is called here."""

import re

DEAD = re.compile(
    r"resnet2D\.fc\."
    r"|(attention1D|vitFuse)\.transformer_encoder\."
    r"(multi_headed_attention|feed_forward|encoder_layer)\."
    r"|(attention1D|vitFuse)\.transformer_encoder\.encoder\.layers\.\d+\.sublayer\.0\.norm\."
    r"|bioLORD\."
)
"""Tensors that no forward pass reads: ImageNet's classifier, templates of which the live layers are
copies, the normalisation whose result is thrown away, and the text encoder, whose work the label
embeddings hold."""

_LAYER = r"(?P<room>attention1D|vitFuse)\.transformer_encoder\.encoder\.layers\.(?P<layer>\d+)\."
_ROOMS = {
    "attention1D": "raddiag.encoder.slice_transformer",
    "vitFuse": "raddiag.fusion.scan_transformer",
}
_LAYER_PARTS = {
    "self_attn.linears.0": "attention.query",
    "self_attn.linears.1": "attention.key",
    "self_attn.linears.2": "attention.value",
    "self_attn.linears.3": "attention.output",
    "feed_forward.w_1": "fc1",
    "feed_forward.w_2": "fc2",
    "sublayer.1.norm": "feed_forward_norm",
}
_NORM_LETTERS = {"a": "weight", "b": "bias"}
_WHOLE = {
    "attention1D.cls_token": "raddiag.encoder.slice_transformer.cls_token",
    "attention1D.pos_emb": "raddiag.encoder.slice_transformer.position_embeddings",
    "vitFuse.cls_token": "raddiag.fusion.scan_transformer.cls_token",
    "vitFuse.mod_embed": "raddiag.fusion.modality_embeddings.weight",
}
_HEADS = {
    "fc.0": "classifier.fc1",
    "fc.2": "classifier.fc2",
    "fc2.0": "classifier.fc1",  # the fine-tuning code's name for the same head
    "fc2.2": "classifier.fc2",
    "fcke": "classifier.projection",
}


def translate_key(key: str) -> str | None:
    """Return what a tensor of the authors' state dict is called in `RadDiagForImageClassification`.

    Returns:
        None if the reference has no such live tensor; see `DEAD` for those that it has but never
        reads.
    """
    if key in _WHOLE:
        return _WHOLE[key]
    if key.startswith("resnet2D."):
        return "raddiag.encoder.resnet." + key.removeprefix("resnet2D.")
    if match := re.fullmatch(_LAYER + r"(?P<part>.+)\.(?P<leaf>[^.]+)", key):
        part, leaf = _LAYER_PARTS.get(match["part"]), match["leaf"]
        if part is None:
            return None
        return f"{_ROOMS[match['room']]}.layers.{match['layer']}.{part}." + (
            _NORM_LETTERS.get(leaf, leaf)
        )
    if match := re.fullmatch(
        r"(attention1D|vitFuse)\.transformer_encoder\.encoder\.norm\.(a|b)", key
    ):
        return f"{_ROOMS[match[1]]}.norm.{_NORM_LETTERS[match[2]]}"
    head, _, leaf = key.rpartition(".")
    return f"{_HEADS[head]}.{leaf}" if head in _HEADS else None


def is_normalization_weight(key: str) -> bool:
    """Say whether a tensor is the gain of the reference's home-made layer normalisation."""
    return key.endswith(".norm.a")
