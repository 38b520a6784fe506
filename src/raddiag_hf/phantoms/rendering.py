"""Rendering: a phantom body as the voxels of one scan, radiograph, CT or MRI."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.ndimage import gaussian_filter

from raddiag_hf.phantoms.body import Body
from raddiag_hf.phantoms.protocols import ScanProtocol
from raddiag_hf.phantoms.shapes import Array, Grid, Shape, paint, sample_texture
from raddiag_hf.phantoms.tissue import AIR
from raddiag_hf.phantoms.ultrasound import render_ultrasound
from raddiag_hf.vocabulary import Modality

_WATER_ATTENUATION_PER_MM = 0.0195
_PHOTONS_PER_PIXEL = 6e4
_SCATTERED_SHARE = 0.002
_MAX_GREY = 4095

_EDGE_GAIN = 0.9
_EDGE_SHARE = 0.035
"""Edge enhancement of radiographs: strength, and width as a share of the image."""

_MRI_GAIN = 1000


@dataclass(frozen=True, eq=False)
class ScanPlan:
    """Everything that fixes a scan besides the body; rendering it twice gives the same voxels.

    Attributes:
        protocol: What kind of scan.
        grid: Where its voxels lie; of a radiograph one slice, in the middle of the body.
        noise: Strength of noise, bias field or speckle, 0 to 1.
        seed: Of the noise.
    """

    protocol: ScanProtocol
    grid: Grid
    noise: float
    seed: tuple[int, ...]


def render(body: Body, lesions: Sequence[Shape], plan: ScanPlan) -> Array:
    """Return the voxels of one scan: whole numbers as float32, shape ``plan.grid.shape``.

    Args:
        body: The patient, as posed for the scan.
        lesions: What to paint over the body.
        plan: How to scan it.

    Returns:
        Hounsfield units clipped to the protocol's window (CT), 0 to 4,095 (radiograph), 0 to
        about 1,500 (MRI), 0 to 255 (ultrasound).
    """
    shapes = (*body.shapes, *lesions)
    generator = np.random.default_rng(plan.seed)
    if plan.protocol.modality is Modality.ULTRASOUND:
        return render_ultrasound(shapes, body.texture, plan.grid, plan.noise, generator)
    if plan.protocol.modality is Modality.XRAY:
        return _render_radiograph(body, shapes, plan, generator)
    fields = sample_texture(body.texture, plan.grid)
    if plan.protocol.modality is Modality.CT:
        low, high = plan.protocol.display
        channel = [AIR.hounsfield, *(shape.tissue.hounsfield for shape in shapes)]
        (volume,) = paint(shapes, plan.grid, fields, [channel], mottle_range=high - low)
        volume += _noise(plan, generator) * np.float32((high - low) * (0.015 + 0.025 * plan.noise))
        return np.rint(volume, out=volume).clip(low, high, out=volume)

    levels = [plan.protocol.level(shape.tissue) for shape in shapes]
    (signal,) = paint(shapes, plan.grid, fields, [[0, *levels]], mottle_range=1)
    signal *= _bias_field(plan, generator)
    deviation = np.float32(0.01 + 0.02 * plan.noise)
    # The magnitude of a complex signal with Gaussian noise in both parts: Rician.
    real = signal + deviation * _noise(plan, generator)
    magnitude: Array = np.hypot(real, deviation * _noise(plan, generator)) * np.float32(_MRI_GAIN)
    return np.rint(magnitude, out=magnitude)


def _noise(plan: ScanPlan, generator: np.random.Generator) -> Array:
    return generator.standard_normal(plan.grid.shape, dtype=np.float32)


def _bias_field(plan: ScanPlan, generator: np.random.Generator) -> Array:
    """Return a smooth gain around 1, as of a receive coil that is nearer to one side."""
    field = np.ones(plan.grid.shape, np.float32)
    for axis, voxels in enumerate(plan.grid.shape):
        slope, bow = generator.uniform(-0.18, 0.18, 2) * (0.3 + 0.7 * plan.noise)
        position = np.linspace(-1, 1, voxels, dtype=np.float32)
        profile = 1 + slope * position + bow * (position**2 - 1 / 3)
        field *= profile.reshape([-1 if other == axis else 1 for other in range(3)])
    return field


def _render_radiograph(
    body: Body, shapes: Sequence[Shape], plan: ScanPlan, generator: np.random.Generator
) -> Array:
    """Project the attenuation along the depth axis (Beer-Lambert), then expose and develop."""
    depth_mm = 2 * float(body.shapes[0].half_extents_mm(plan.grid.axes[:1])[0]) + 30
    step_mm = min(1.15 * plan.grid.spacing_mm[1], 8)
    steps = int(np.ceil(depth_mm / step_mm))
    start = plan.grid.origin_mm - plan.grid.axes[0] * (step_mm * (steps - 1) / 2)
    rays = replace(
        plan.grid,
        origin_mm=start,
        spacing_mm=np.array([step_mm, *plan.grid.spacing_mm[1:]]),
        shape=(steps, *plan.grid.shape[1:]),
    )
    relative = [1 + tissue.hounsfield / 1000 for tissue in (AIR, *(s.tissue for s in shapes))]
    (density,) = paint(shapes, rays, sample_texture(body.texture, rays), [relative])
    attenuation = density.sum(axis=0) * np.float32(_WATER_ATTENUATION_PER_MM * step_mm)
    arriving = np.exp(-attenuation) + _SCATTERED_SHARE
    photons = _PHOTONS_PER_PIXEL * (1.5 - plan.noise)
    arriving += np.sqrt(arriving / photons) * generator.standard_normal(
        arriving.shape, dtype=np.float32
    )
    middle, width = plan.protocol.display
    film = -np.log(arriving.clip(0.1 / photons))
    # Digital radiography is shown with its edges enhanced, or ribs would hardly stand out.
    film += _EDGE_GAIN * (film - gaussian_filter(film, _EDGE_SHARE * film.shape[0], truncate=2))
    grey: Array = _MAX_GREY / (1 + np.exp((middle - film) / width))
    return np.rint(grey)[None].astype(np.float32)
