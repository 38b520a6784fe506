"""Overlays: heat maps over slices, bright where they drew the answer, clear elsewhere."""

import io
from textwrap import shorten

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from raddiag_hf.core.fonts import font_families, undrawable_in
from raddiag_hf.imaging.scan import Scan
from raddiag_hf.inference.explain.saliency_grid import saliency_slice
from raddiag_hf.reports.pictures import draw_slice

COLOUR_MAP = "inferno"
"""Perceptually uniform: equal steps of the map look equally large, also without colour vision."""

MOST_OPAQUE = 0.72
"""Opacity of the highest value: the anatomy below stays to be seen."""

CLEAR_BELOW = 0.12
"""Values up to here are left out: a veil over the whole slice says nothing."""

_INK, _QUIET, _GROUND = "#e7eaec", "#9aa6ae", "#111518"


def overlay_picture(
    scan: Scan, values: NDArray[np.float32], index: int, longest_pixels: int
) -> Image.Image:
    """Return one slice with its heat map, in its true proportions.

    Args:
        scan: As read.
        values: The saliency map of the scan, ``(encoded slices, map height, map width)``.
        index: Which slice of the scan as read.
        longest_pixels: Length of the picture's longer side.
    """
    grey = draw_slice(scan, index, longest_pixels)
    heat = saliency_slice(values, (len(scan.volume), grey.height, grey.width), index)
    colours, opacity = _tint(heat)
    below = np.asarray(grey, dtype=np.float64)[..., None] / 255
    blended = (1 - opacity) * below + opacity * colours
    return Image.fromarray((blended * 255).round().astype(np.uint8))


def overlay_figure(
    scan: Scan, values: NDArray[np.float32], index: int, label: str, note: str
) -> bytes:
    """Return a PNG that explains itself: the slice, the same with its heat map, and the legend.

    Args:
        scan: As read.
        values: The saliency map of the scan.
        index: Which slice of the scan as read.
        label: What is explained.
        note: Why this slice is shown.
    """
    pictures = (draw_slice(scan, index, 640), overlay_picture(scan, values, index, 640))
    panel, head, edge = 4.0, 0.85, 0.18
    tall = panel * pictures[0].height / pictures[0].width
    width, height = 2 * panel + 4 * edge + 0.55, head + tall + edge
    figure = Figure(figsize=(width, height), dpi=150, facecolor=_GROUND)
    legend = np.repeat(np.linspace(1, 0, 256, dtype=np.float32)[:, None], 8, axis=1)
    colours, opacity = _tint(legend)
    places = ((edge, panel), (panel + 2 * edge, panel), (2 * panel + 3 * edge, 0.14))
    drawn = [*map(np.asarray, pictures), np.concatenate([colours, opacity], axis=2)]
    for (left, wide), picture in zip(places, drawn, strict=True):
        box = (left / width, edge / height, wide / width, tall / height)
        axes = figure.add_axes(box)
        axes.imshow(picture, cmap="gray", vmin=0, vmax=255, aspect="auto", interpolation="lanczos")
        axes.set_axis_off()
    where = f"slice {index + 1} of {len(scan.volume)}" if len(scan.volume) > 1 else "one picture"
    title = " · ".join([str(scan.modality), where, *([note] if note else [])])
    beside = 2 * panel + 3 * edge + 0.2
    for text, left, bottom, colour, size, aligned in (
        (shorten(label, 90), edge, height - 0.38, _INK, 13, "baseline"),
        (title, edge, height - 0.66, _QUIET, 9, "baseline"),
        ("high", beside, edge + tall, _QUIET, 8, "top"),
        ("none", beside, edge, _QUIET, 8, "bottom"),
    ):
        figure.text(
            left / width, bottom / height, text,
            color=colour, fontsize=size, va=aligned, parse_math=False,
            fontfamily=font_families(),
        )  # fmt: skip
    undrawable_in(figure)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", facecolor=_GROUND, metadata={"Software": "raddiag-hf"})
    return buffer.getvalue()


def _tint(heat: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return colours ``(..., 3)`` and opacities ``(..., 1)`` of values in [0, 1]."""
    opacity = MOST_OPAQUE * ((heat - CLEAR_BELOW) / (1 - CLEAR_BELOW)).clip(0, 1) ** 0.6
    return colormaps[COLOUR_MAP](heat)[..., :3], opacity[..., None].astype(np.float64)


def legend_picture() -> Image.Image:
    """Return the legend from none to high, left to right, clear where the maps are."""
    ramp = np.repeat(np.linspace(0, 1, 256, dtype=np.float32)[None], 8, axis=0)
    rgba = np.concatenate(_tint(ramp), axis=2)
    return Image.fromarray((rgba * 255).round().astype(np.uint8))
