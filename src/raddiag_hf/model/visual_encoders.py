"""Visual encoders of the paper: packed slices in, one embedding per scan out (Figure 7a)."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from transformers.activations import ACT2FN

from .backbone import BackboneEncoder
from .chunking import encode_in_chunks
from .configuration_raddiag import RESNET_BLOCKS, RadDiagConfig
from .packing import group_index
from .slice_encoder import ScanEncoding, SliceEncoder
from .transformer import TokenEncoder

if TYPE_CHECKING:
    from monai.networks.nets import ResNet


class ResNetViTEncoder(SliceEncoder):
    """A 2D ResNet on every slice, then a transformer over the slices of a scan.

    A 2D image is a scan of one slice. This is the published network's encoder; with
    ``slice_fusion="attention"`` slices are pooled instead.
    """

    def __init__(self, config: RadDiagConfig) -> None:
        super().__init__()
        self.resnet = _resnet(config.resnet_depth, config, spatial_dims=2)
        self.add_slice_fusion(config)

    def encode_slices(self, pixel_values: Tensor) -> Tensor:
        """Return one feature vector per slice: ``(slices, 1, H, W)`` -> ``(slices, hidden)``."""
        weight = self.resnet.conv1.weight  # an adapter around the convolution has it too
        slices = pixel_values.to(weight.dtype).expand(-1, weight.shape[1], -1, -1)
        return self.resnet(slices)


class VolumeEncoder(nn.Module):
    """What encoders without slice tokens share: scans of equal depth are encoded together."""

    def encode_volumes(self, volumes: Tensor) -> Tensor:
        """Return one embedding per volume: ``(scans, depth, H, W)`` -> ``(scans, hidden)``."""
        raise NotImplementedError

    def forward(
        self,
        pixel_values: Tensor,
        slice_counts: Tensor,
        chunk_size: int | None,
        output_attentions: bool,
    ) -> ScanEncoding:
        """Encode packed slices; there are no slice tokens, hence no scores or attentions."""
        embeddings = _encode_by_depth(self, pixel_values, slice_counts, chunk_size)
        return ScanEncoding(embeddings, None, () if output_attentions else None)


class ResNetEncoder(VolumeEncoder):
    """A 2D and a 3D stem that end at one resolution, and a shared 2D trunk.

    The 3D stem's feature maps are averaged over depth. The stems are the first two stages of
    ResNets of ``stem_depth``, the trunk the last two of one of ``resnet_depth``.
    """

    def __init__(self, config: RadDiagConfig) -> None:
        super().__init__()
        self.num_channels = config.num_channels
        self.stem_2d = _stem(_resnet(config.stem_depth, config, spatial_dims=2))
        self.stem_3d = nn.Sequential(
            _depth_padding(volume_resnet := _resnet(config.stem_depth, config, spatial_dims=3)),
            *_stem(volume_resnet),
        )
        trunk = _resnet(config.resnet_depth, config, spatial_dims=2)
        self.trunk = nn.Sequential(trunk.layer3, trunk.layer4, trunk.avgpool, nn.Flatten())

    def encode_volumes(self, volumes: Tensor) -> Tensor:
        """Return one embedding per volume: ``(scans, depth, H, W)`` -> ``(scans, hidden)``."""
        volumes = volumes.to(next(self.stem_2d.parameters()).dtype)
        channels = volumes[:, None].expand(-1, self.num_channels, -1, -1, -1)
        if volumes.shape[1] == 1:
            features = self.stem_2d(channels[:, :, 0])
        else:
            features = self.stem_3d(channels).mean(2)
        return self.trunk(features)


class ViTEncoder(VolumeEncoder):
    """Patches of 2D images and cubes of 3D volumes, embedded apart, read by shared layers."""

    def __init__(self, config: RadDiagConfig) -> None:
        super().__init__()
        self.patch_size, self.cube_depth = config.patch_size, config.cube_depth
        patches = (config.image_size // config.patch_size) ** 2
        cubes = patches * -(-config.max_slices // config.cube_depth)
        self.embed_patches = _embedding_mlp(config.patch_size**2, config)
        self.embed_cubes = _embedding_mlp(config.patch_size**2 * config.cube_depth, config)
        self.patch_positions = nn.Parameter(torch.zeros(1, patches, config.hidden_size))
        self.cube_positions = nn.Parameter(torch.zeros(1, cubes, config.hidden_size))
        self.shared_transformer = TokenEncoder(
            config, config.num_hidden_layers, config.num_attention_heads
        )

    def encode_volumes(self, volumes: Tensor) -> Tensor:
        """Return one embedding per volume: ``(scans, depth, H, W)`` -> ``(scans, hidden)``."""
        volumes = volumes.to(self.patch_positions.dtype)
        if volumes.shape[1] == 1:
            cubes = self._cut(volumes, depth=1)
            tokens = self.embed_patches(cubes) + self.patch_positions
        else:
            cubes = self._cut(volumes, depth=self.cube_depth)
            tokens = self.embed_cubes(cubes) + self.cube_positions[:, : cubes.shape[1]]
        is_real = tokens.new_ones(tokens.shape[:2], dtype=torch.bool)
        return self.shared_transformer(tokens, is_real).embedding

    def _cut(self, volumes: Tensor, depth: int) -> Tensor:
        """Cut volumes into cubes: ``(scans, cubes, depth * patch * patch)``.

        A last cube that is not full is filled by repeating the last slice.
        """
        missing = -volumes.shape[1] % depth
        volumes = torch.cat([volumes, volumes[:, -1:].expand(-1, missing, -1, -1)], dim=1)
        scans, slices, height, width = volumes.shape
        size = self.patch_size
        grid = volumes.reshape(
            scans, slices // depth, depth, height // size, size, width // size, size
        )
        return grid.permute(0, 1, 3, 5, 2, 4, 6).reshape(scans, -1, depth * size * size)


ENCODERS = {
    "resnet_vit": ResNetViTEncoder,
    "resnet": ResNetEncoder,
    "vit": ViTEncoder,
    "backbone": BackboneEncoder,
}


def _encode_by_depth(
    encoder: VolumeEncoder,
    pixel_values: Tensor,
    slice_counts: Tensor,
    chunk_size: int | None,
) -> Tensor:
    """Encode scans of equal depth together, so that no scan is padded: ``(scans, hidden)``."""
    index, _ = group_index(slice_counts)
    order, embeddings = [], []
    for depth in sorted(set(slice_counts.tolist())):
        scans = (slice_counts == depth).nonzero()[:, 0]
        volumes = pixel_values[index[scans, :depth], 0]  # (scans of this depth, depth, H, W)
        scans_at_once = None if chunk_size is None else max(1, chunk_size // depth)
        order.append(scans)
        embeddings.append(encode_in_chunks(encoder, encoder.encode_volumes, volumes, scans_at_once))
    return torch.cat(embeddings)[torch.cat(order).argsort()]


def _resnet(depth: int, config: RadDiagConfig, spatial_dims: int) -> "ResNet":
    """Return MONAI's ResNet with torchvision's names, strides and outputs, without its head."""
    from monai.networks.nets import ResNet  # takes seconds to import, and only a model needs it

    block, layers = RESNET_BLOCKS[depth]
    width = config.resnet_width
    return ResNet(
        block,
        list(layers),
        [width, 2 * width, 4 * width, 8 * width],
        spatial_dims=spatial_dims,
        n_input_channels=config.num_channels,
        conv1_t_size=7,
        conv1_t_stride=2,
        shortcut_type="B",
        bias_downsample=False,
        feed_forward=False,
    )


def _depth_padding(resnet: "ResNet") -> nn.Module:
    """Take the padding of depth out of the first convolution and return it as its own module.

    torch 2.13 on CPU corrupts memory in the weight gradient of a 3D convolution of kernel 7, stride
    2 and padding 3 on a depth of 5; padded beforehand, the same convolution is safe.
    """
    depth, height, width = resnet.conv1.padding
    resnet.conv1.padding = (0, height, width)
    return nn.ConstantPad3d((0, 0, 0, 0, depth, depth), 0.0)


def _stem(resnet: "ResNet") -> nn.Sequential:
    return nn.Sequential(
        resnet.conv1, resnet.bn1, resnet.act, resnet.maxpool, resnet.layer1, resnet.layer2
    )


def _embedding_mlp(num_pixels: int, config: RadDiagConfig) -> nn.Sequential:
    layers: list[nn.Module] = [nn.Linear(num_pixels, config.hidden_size)]
    for _ in range(config.patch_mlp_layers - 1):
        layers += [ACT2FN["gelu"], nn.Linear(config.hidden_size, config.hidden_size)]
    return nn.Sequential(*layers)
