"""Weights with torchvision's names, as those of ImageNet and RadImageNet, for our ResNets."""

import logging
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from raddiag_hf.checkpoints.convert import COUNTER, read_state_dict
from raddiag_hf.core.model_source import ModelSourceError, open_model_source
from raddiag_hf.model.modeling_raddiag import RadDiagForImageClassification
from raddiag_hf.model.visual_encoders import ResNetEncoder, ResNetViTEncoder

logger = logging.getLogger(__name__)

WEIGHT_FILES = ("*.safetensors", "*.pth", "*.pt", "*.bin")
MODULES = {"0": "conv1", "1": "bn1", "4": "layer1", "5": "layer2", "6": "layer3", "7": "layer4"}
"""Place of a module in a torchvision ResNet -> its name: RadImageNet's weights have numbers."""
TRUNK_MODULES = {"0": "layer3", "1": "layer4"}
FIRST = "conv1.weight"
CLASSIFIER = ("fc.", "classifier.", "head.")


def torchvision_tensors(
    model: RadDiagForImageClassification,
    address: str,
    *,
    revision: str | None = None,
    token: str | None = None,
) -> dict[str, Tensor]:
    """Return weights with torchvision's names under those that they have in a model.

    Every tensor is accounted for: each one of the ResNet must be there and fit, a classifier's are
    left out and named in the log, any other is refused. A prefix that all names share (``module.``,
    ``backbone.``) does not matter, nor do numbers instead of names. A model of one input channel
    gets the sum over the three, which answers the same to grey pictures.

    Args:
        model: With ``encoder_type`` ``resnet_vit``, or ``resnet``: of that the 2D stem and the
            trunk take what fits, one of them at least; its 3D stem stays as it is. It is not
            changed; on the ``meta`` device, shapes are compared alone.
        address: A file (safetensors, or a pickle of tensors alone), or a folder or Hub id with one
            such file; ``ID:FILE`` where it has several.
        revision: Branch, tag or commit on the Hub.
        token: Access token; the one that is signed in by default.

    Returns:
        What ``load_state_dict(..., strict=False)`` takes.

    Raises:
        ModelSourceError: If it is not available, or does not fit the model.
        CheckpointError: If the file does not hold tensors alone.
    """
    parts = _parts(model, address)
    found = _torchvision_names(read_state_dict(_find_file(address, revision, token)), address)
    own = model.state_dict()
    taken: dict[str, Tensor] = {}
    misfits = []
    for names in parts:
        if (misfit := _misfit(found, names, own)) is not None:
            misfits.append(misfit)
            continue
        taken |= {names[name]: _with_channels(found[name], own[names[name]]) for name in names}
    if not taken:
        raise ModelSourceError(f"{address}: does not fit the model's ResNet: {misfits[0]}")
    for misfit in misfits:
        logger.warning("%s: a part of the encoder stays as it is: %s", address, misfit)
    return taken


def _parts(model: RadDiagForImageClassification, address: str) -> list[dict[str, str]]:
    """Return what can be loaded by itself: torchvision's name of each tensor -> the model's."""
    encoder, prefix = model.raddiag.encoder, "raddiag.encoder"
    if isinstance(encoder, ResNetViTEncoder):
        names = [name for name in encoder.resnet.state_dict() if not name.endswith(COUNTER)]
        return [{name: f"{prefix}.resnet.{name}" for name in names}]
    if not isinstance(encoder, ResNetEncoder):
        raise ModelSourceError(
            f"{address}: weights of a ResNet, but encoder_type is {model.config.encoder_type!r}, "
            "expected 'resnet_vit' or 'resnet'"
        )
    return [
        {
            _renumbered(name, modules): f"{prefix}.{part}.{name}"
            for name in getattr(encoder, part).state_dict()
            if not name.endswith(COUNTER)
        }
        for part, modules in (("stem_2d", MODULES), ("trunk", TRUNK_MODULES))
    ]


def _renumbered(name: str, modules: Mapping[str, str]) -> str:
    number, _, rest = name.partition(".")
    return f"{modules[number]}.{rest}"


def _misfit(
    found: Mapping[str, Tensor], names: Mapping[str, str], own: Mapping[str, Tensor]
) -> str | None:
    """Return why tensors do not fit a part of a model, in words; None if they do."""
    modules = {name.partition(".")[0] for name in names}
    if absent := sorted(names.keys() - found.keys()):
        return f"{len(absent)} tensors are missing, the first is {absent[0]}"
    of_part = {name for name in found if name.partition(".")[0] in modules}
    if foreign := sorted(of_part - names.keys()):
        return f"it is deeper: {foreign[0]} is one of {len(foreign)} tensors too many"
    for name, target in names.items():
        there, wanted = tuple(found[name].shape), tuple(own[target].shape)
        if there != wanted and not (name == FIRST and wanted == (there[0], 1, *there[2:])):
            return f"{name} has shape {there}, expected {wanted}"
    return None


def _with_channels(tensor: Tensor, wanted: Tensor) -> Tensor:
    """Return a tensor; of a first convolution that is to read one channel, the channels' sum."""
    return tensor if tensor.shape == wanted.shape else tensor.sum(1, keepdim=True)


def _torchvision_names(tensors: Mapping[str, Tensor], address: str) -> dict[str, Tensor]:
    """Return the tensors of a ResNet by torchvision's names, without prefix and classifier.

    Raises:
        ModelSourceError: If there is no ResNet, or a tensor belongs neither to it nor to a
            classifier.
    """
    prefix, has_numbers = _prefix(tensors, address)
    found, left_out = {}, []
    for key, tensor in tensors.items():
        name = key.removeprefix(prefix)
        if has_numbers and name.partition(".")[0] in MODULES:
            name = _renumbered(name, MODULES)
        if name.endswith(COUNTER):
            continue
        if key.startswith(prefix) and name.partition(".")[0] in MODULES.values():
            found[name] = tensor
        elif name.startswith(CLASSIFIER):
            left_out.append(key)
        else:
            raise ModelSourceError(f"{address}: {key} is no tensor of a torchvision ResNet")
    if left_out:
        logger.info("%s: the classifier is left out: %s", address, ", ".join(sorted(left_out)))
    return found


def _prefix(tensors: Mapping[str, Tensor], address: str) -> tuple[str, bool]:
    """Return what stands before the names of a ResNet, and whether its modules have numbers.

    Raises:
        ModelSourceError: If there is no ResNet.
    """
    for first, block, has_numbers in (
        (FIRST, "layer1.0.conv1.weight", False),
        ("0.weight", "4.0.conv1.weight", True),
    ):
        for key in tensors:
            prefix = key.removesuffix(first)
            if prefix != key and f"{prefix}{block}" in tensors:
                return prefix, has_numbers
    raise ModelSourceError(
        f"{address}: has no {FIRST}, so it is no ResNet with torchvision's names; other vision "
        "models start `raddiag finetune --start backbone:ID`"
    )


def _find_file(address: str, revision: str | None, token: str | None) -> Path:
    """Return the file that an address names, downloaded where it is on the Hub.

    Raises:
        ModelSourceError: If it is not available, or the address has several or none.
    """
    path = Path(address).expanduser()
    if path.is_file():
        return path
    place, _, wanted = (address, "", "") if path.exists() else address.partition(":")
    source, _ = open_model_source(place, "", revision, token)
    patterns = (wanted,) if wanted else WEIGHT_FILES
    folder = source.fetch_folder(patterns)
    files = sorted({file for pattern in patterns for file in folder.glob(pattern)})
    if len(files) != 1:
        names = ", ".join(file.name for file in files) or "none"
        raise ModelSourceError(
            f"{address}: expected one file of weights, found {names}; name it as {place}:FILE"
        )
    return files[0]
