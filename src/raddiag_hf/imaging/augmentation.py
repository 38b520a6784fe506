"""Augmentation: random noise, contrast, affine and elastic changes that keep the diagnosis."""

from dataclasses import dataclass, fields
from itertools import compress
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray

if TYPE_CHECKING:
    from monai.transforms import RandomizableTransform


@dataclass(frozen=True)
class ScanAugmentation:
    """The paper's four augmentations of a scan; call it with a scan and a random generator.

    Lengths are fractions of a slice's height and width, intensities of the scan's range, so that
    the same strengths fit every resolution and modality.

    Affine and elastic changes move voxels within their slices, every slice of a scan alike. Between
    slices lie one to ten millimetres, between pixels a half: turned about another axis as if voxels
    were cubes, an ordinary CT would be torn apart. So slice ``i`` stays slice ``i``, and a key
    slice stays the key slice.

    Attributes:
        noise_probability, contrast_probability, affine_probability, elastic_probability: Of each
            change by itself, 0 to 1; 0 turns it off. At the paper's 0.15 each, about half of all
            scans are changed.
        flip_probability: Of swapping left and right, which the paper does not do: it teaches that
            a finding may be on either side, and hides a heart on the wrong one.
        padding: What moves in from outside a slice: the scan's ``lowest`` intensity, or its
            ``reflection``, which suits pictures that fill their frame.
        noise_std: The largest standard deviation of the Gaussian noise.
        contrast_gamma: Smallest and largest exponent applied to intensities in [0, 1], drawn
            uniformly.
        rotation_degrees: The largest turn in plane, either way.
        translation: The largest shift along height and along width.
        scaling: The largest enlargement and reduction.
        shear: The largest shear, as a factor.
        elastic_spacing: Distance of the points of the elastic grid.
        elastic_displacement: Smallest and largest standard deviation of their shifts; at most a
            quarter of the spacing, beyond which tissue folds over.

    Raises:
        ValueError: If a probability or strength is out of its range.

    Source:
        Paper, section 11.3: the four, at 15 % each. Strengths of noise, contrast and affine:
        qiaoyu-zheng/RP3D-Diag, ``src/Train/Model/modelRadNet.py``. There, one draw serves the
        whole batch, slices count as channels, and an elastic change of about a pixel comes with up
        to 10 % of scaling; the elastic strength here is ours. One change for all slices:
        Isensee et al. 2021 (nnU-Net) for anisotropic scans.
    """

    noise_probability: float = 0.15
    contrast_probability: float = 0.15
    affine_probability: float = 0.15
    elastic_probability: float = 0.15
    flip_probability: float = 0.0

    padding: Literal["lowest", "reflection"] = "lowest"
    noise_std: float = 0.07
    contrast_gamma: tuple[float, float] = (0.5, 1.5)
    rotation_degrees: float = 15.0
    translation: float = 0.04
    scaling: float = 0.1
    shear: float = 0.2
    elastic_spacing: float = 0.125
    elastic_displacement: tuple[float, float] = (0.005, 0.015)

    def __post_init__(self) -> None:
        for name in (one.name for one in fields(self) if one.name.endswith("_probability")):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is {getattr(self, name)}, expected 0 to 1")
        paddings = get_args(type(self).__annotations__["padding"])
        if self.padding not in paddings:
            raise ValueError(f"padding is {self.padding!r}, expected one of {', '.join(paddings)}")
        for name in ("noise_std", "rotation_degrees", "translation", "shear"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} is {getattr(self, name)}, expected at least 0")
        if not 0 <= self.scaling < 1:
            raise ValueError(f"scaling is {self.scaling}, expected 0 to below 1")
        low, high = self.contrast_gamma
        if not 0 < low <= high:
            raise ValueError(f"contrast_gamma is {self.contrast_gamma}, expected 0 < low <= high")
        low, high = self.elastic_displacement
        if not 0 <= low <= high <= self.elastic_spacing / 4 or self.elastic_spacing <= 0:
            raise ValueError(
                f"elastic_displacement is {self.elastic_displacement}, expected low <= high <= "
                f"a quarter of elastic_spacing, which is {self.elastic_spacing}"
            )

    def __call__(
        self, volume: NDArray[np.float32], random: np.random.Generator
    ) -> NDArray[np.float32]:
        """Return the scan, changed or as it is; the same generator state gives the same change.

        Augment what the network will see, not what the scanner wrote: at 32 x 256 x 256 all four
        together take a fifth of a second on one core, and the cost grows with the voxels.

        Args:
            volume: Intensities, ``(depth, height, width)`` float32, finite; not changed in place.
            random: Where the draws come from.

        Returns:
            The same shape, within the range of ``volume``.
        """
        probabilities = (
            self.affine_probability,
            self.elastic_probability,
            self.noise_probability,
            self.contrast_probability,
        )
        is_drawn = random.random(len(probabilities)) < probabilities
        if self.flip_probability and random.random() < self.flip_probability:
            volume = volume[..., ::-1].copy()
        low, high = np.float64(volume.min()), np.float64(volume.max())
        if not is_drawn.any() or low == high:
            return volume
        unit = torch.from_numpy(((volume - low) / (high - low)).astype(np.float32))
        state = np.random.RandomState(random.bit_generator)  # MONAI draws from no Generator
        for transform in compress(self._transforms(*volume.shape[1:]), is_drawn):
            unit = transform.set_random_state(state=state)(unit).clamp(0, 1)
        changed = np.asarray(unit, np.float64) * (high - low) + low
        return changed.astype(np.float32).clip(volume.min(), volume.max())

    def _transforms(self, height: int, width: int) -> tuple["RandomizableTransform", ...]:
        """Return affine, elastic, noise and contrast that take slices for channels."""
        from monai.transforms import (  # takes seconds to import, and only a drawn change needs it
            Rand2DElastic,
            RandAdjustContrast,
            RandAffine,
            RandGaussianNoise,
        )

        side = min(height, width)
        padding_mode = "zeros" if self.padding == "lowest" else "reflection"
        least, most = self.elastic_displacement
        return (
            RandAffine(
                prob=1,
                rotate_range=float(np.radians(self.rotation_degrees)),
                shear_range=(self.shear, self.shear),
                translate_range=(self.translation * height, self.translation * width),
                scale_range=(self.scaling, self.scaling),
                padding_mode=padding_mode,
            ),
            Rand2DElastic(
                prob=1,
                spacing=tuple(max(1, self.elastic_spacing * length) for length in (height, width)),
                magnitude_range=(least * side, most * side),
                padding_mode=padding_mode,
            ),
            RandGaussianNoise(prob=1, std=self.noise_std),
            RandAdjustContrast(prob=1, gamma=self.contrast_gamma),
        )
