"""Ultrasound sweep of a phantom body: sector, speckle, shadows, enhancement."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from raddiag_hf.phantoms.body import Body
from raddiag_hf.phantoms.shapes import (
    Array,
    Grid,
    Shape,
    Texture,
    Vector,
    paint,
    sample_texture,
)
from raddiag_hf.phantoms.tissue import Tissue

_HALF_ANGLE = np.float32(np.deg2rad(34))
"""Half the opening of the sector."""

_APEX_SHARE = 0.22
"""How far the sector's apex lies behind the skin, as a share of the image's height."""

_GEL = Tissue(0, 0, 0, echo=0, absorption=0, impedance=1.5)
"""Fills what the sector shows outside the body: the probe touches the skin everywhere."""

_MAX_GREY = 255
_REFLECTION_GAIN = 0.9
_SPECKLE_DECIBEL = 50

IndexMap = tuple[NDArray[np.intp], NDArray[np.intp]]


@lru_cache(maxsize=8)
def _sector(height: int, width: int) -> tuple[IndexMap, IndexMap, NDArray[np.bool_]]:
    """Return pixel of each (range, beam), (range, beam) of each pixel, and which pixels it sees."""
    ranges, beams = height, width
    apex = _APEX_SHARE * height
    radius = np.linspace(apex, apex + height - 1, ranges)[:, None]
    angle = np.linspace(-_HALF_ANGLE, _HALF_ANGLE, beams)
    rows = np.rint(radius * np.cos(angle) - apex).clip(0, height - 1).astype(np.intp)
    columns = np.rint(radius * np.sin(angle) + (width - 1) / 2).clip(0, width - 1).astype(np.intp)

    row, column = np.mgrid[:height, :width]
    down, aside = row + apex, column - (width - 1) / 2
    pixel_radius, pixel_angle = np.hypot(down, aside) - apex, np.arctan2(aside, down)
    seen = (np.abs(pixel_angle) <= _HALF_ANGLE) & (pixel_radius >= 0) & (pixel_radius <= height - 1)
    beam = (pixel_angle + _HALF_ANGLE) / (2 * _HALF_ANGLE) * (beams - 1)
    to_range = np.rint(pixel_radius).clip(0, ranges - 1).astype(np.intp)
    to_beam = np.rint(beam).clip(0, beams - 1).astype(np.intp)
    return (rows, columns), (to_range, to_beam), seen


def seen_by_sector(height: int, width: int) -> NDArray[np.bool_]:
    """Return which pixels of a frame lie inside the sector, shape ``(height, width)``."""
    return _sector(height, width)[2]


def render_ultrasound(
    shapes: Sequence[Shape],
    texture: Texture,
    grid: Grid,
    noise: float,
    generator: np.random.Generator,
) -> Array:
    """Return a sweep of frames, whole numbers from 0 to 255 as float32, shape ``grid.shape``.

    Args:
        shapes: The body and its lesions, in painting order.
        texture: The body's texture.
        grid: One frame per depth index; height runs from the skin into the body.
        noise: Strength of the speckle, 0 to 1.
        generator: Of the speckle.
    """
    tissues = [_GEL, *(shape.tissue for shape in shapes)]
    echo, absorption, impedance = paint(
        shapes,
        grid,
        sample_texture(texture, grid),
        [
            [tissue.echo for tissue in tissues],
            [tissue.absorption for tissue in tissues],
            [tissue.impedance for tissue in tissues],
        ],
        mottle_range=1,
    )
    to_pixel, to_beam, seen = _sector(*grid.shape[1:])

    step_cm = float(grid.spacing_mm[1]) / 10
    loss = np.cumsum(absorption[:, *to_pixel], axis=1, dtype=np.float32) * np.float32(step_cm)
    # A reflector is bright itself: only what lies a step behind it is in its shadow.
    loss = np.concatenate([np.zeros_like(loss[:, :2]), loss[:, :-2]], axis=1)

    jump = np.zeros_like(impedance)
    jump[:, 1:] = np.abs(np.diff(impedance, axis=1)) / (impedance[:, 1:] + impedance[:, :-1])

    speckle = _speckle(loss.shape, noise, generator)
    brightness = echo
    brightness += np.minimum(_REFLECTION_GAIN * jump, 0.5)
    brightness += (speckle - loss)[:, *to_beam]
    brightness *= _MAX_GREY * seen
    return np.rint(brightness.clip(0, _MAX_GREY))


def _speckle(shape: tuple[int, ...], noise: float, generator: np.random.Generator) -> Array:
    """Return speckle in display range around 0, frames x ranges x beams, wider across the beam."""
    parts = generator.standard_normal((2, *shape), dtype=np.float32)
    parts = gaussian_filter1d(parts, 1.1, axis=-1, truncate=2)
    parts = gaussian_filter1d(parts, 0.6, axis=-2, truncate=2)
    power = np.square(parts).sum(0)
    power /= power.mean()
    decibel = 10 * np.log10(power + np.float32(0.03))
    amplitude: Array = decibel * np.float32((0.6 + 0.6 * noise) / _SPECKLE_DECIBEL)
    return amplitude


def brightness_lost(body: Body, skins_mm: Vector, target_mm: Vector) -> Vector:
    """Return how much darker a target is for what lies before it, as a share of the display range.

    Args:
        body: The patient, without lesions.
        skins_mm: Where the ultrasound enters, shape ``(n, 3)``.
        target_mm: Where it goes.
    """
    path = target_mm - skins_mm
    points = skins_mm[:, None, :] + np.linspace(0.02, 0.9, 24)[:, None] * path[:, None, :]
    absorption = np.array([0, *(shape.tissue.absorption for shape in body.shapes)])
    mean: Vector = absorption[body.topmost(points) + 1].clip(0).mean(axis=1)
    return mean * np.linalg.norm(path, axis=1) / 10
