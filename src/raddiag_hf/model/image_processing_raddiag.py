"""Image processor of RadDiag: scans of any shape in, the packed batch out."""

from collections.abc import Iterable, Mapping, Sequence
from numbers import Integral
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers.image_processing_utils import BaseImageProcessor, BatchFeature
from transformers.processing_utils import ImagesKwargs

from .ct_windows import as_window, is_in_hounsfield_units, window_bounds, window_channels
from .scan_resampling import (
    PictureError,
    as_stack,
    nearest_sampled_slice,
    resize_slices,
    sampled_slices,
    stretch_to_unit_range,
)

REFERENCE_MODALITY_SLOTS = {
    "CT": [1, 2, 3],
    "MRI": [4, 5, 6],
    "X-ray": [7, 8],
    "Ultrasound": [9],
    "Annotated image": [10],
    "Fluoroscopy": [11],
    "Mammography": [12],
    "DSA (angiography)": [13],
    "Nuclear medicine": [14],
    "Barium": [15],
}
"""Modality -> the slots of its first, second, third scan in a study (qiaoyu-zheng/RP3D-Diag)."""

RESCALE_RANGES = ("scan", "padded_study")


class RadDiagImagesKwargs(ImagesKwargs, total=False):  # type: ignore[call-arg]  # a TypedDict
    """Options of `RadDiagImageProcessor` that ``from_pretrained`` may override."""

    image_size: int
    max_slices: int
    antialias: bool
    rescale_range: str
    grey_picture_slices: int
    ct_window: str | list[float] | None
    ct_channel_windows: list[str | list[float]] | None
    modality_slots: dict[str, list[int]]


OPTIONS = frozenset(RadDiagImagesKwargs.__annotations__) - frozenset(ImagesKwargs.__annotations__)
"""Options of `RadDiagImageProcessor`."""
SAVED_BY_TRANSFORMERS = frozenset(ImagesKwargs.__annotations__) | {
    "auto_map",
    "feature_extractor_type",
    "image_processor_type",
    "processor_class",
}
"""What transformers writes beside the options, and hands back."""


class RadDiagImageProcessor(BaseImageProcessor):
    """Turn cases of 2D and 3D scans into the packed batch that `RadDiagModel` reads.

    Every scan is resized to ``image_size`` squared (bilinear), sampled uniformly to at most
    ``max_slices`` slices, and stretched to [0, 1]; nothing is padded.

    Args:
        image_size: Height and width of the slices in pixels.
        max_slices: A deeper scan keeps this many slices, ``floor(i * depth / max_slices)``.
        antialias: Smooth before shrinking. The reference does not.
        rescale_range: Over what the minimum and maximum are taken. ``scan``: over the scan itself.
            ``padded_study``: over all scans of its study, and over zeros too unless every one of
            them has ``max_slices`` slices: how the authors' early-fusion checkpoints saw their
            data.
        grey_picture_slices: How many equal slices a grey picture becomes. A picture is a 2D array,
            or three equal slices. 1 by default; 3 for the authors' early-fusion checkpoints, which
            took the three equal channels of a picture for slices.
        ct_window: Clip CT scans to this window before rescaling: ``[lower_hu, upper_hu]`` or the
            name of one (``brain, subdural, bone, lung, mediastinum, abdomen, liver, spine``). None:
            the full range.
        ct_channel_windows: A window for each channel of the network, or one for all, each as
            ``ct_window`` is: ``["lung", "mediastinum", "bone"]``. A CT scan has 0 at the lower and
            1 at the upper bound of each, whatever its own range; other scans are the same grey in
            all channels, and so are CT scans that are not in Hounsfield units
            (`is_in_hounsfield_units`), such as pictures. None: one channel.
        modality_slots: The slots of each modality's first, second, ... scan; further scans go round
            them again, as the reference's further studies do.

    Raises:
        ValueError: For an option that there is not, or outside its range.

    Source:
        Paper, section 4.4 (256 x 256 x 32, bilinear, uniform resampling, feature scaling). A scan
        of one constant intensity becomes all zeros; the reference makes it Gaussian noise.
    """

    model_input_names = ("pixel_values", "slice_counts", "scan_counts", "modality_slots")
    valid_kwargs = RadDiagImagesKwargs

    def __init__(
        self,
        image_size: int = 256,
        max_slices: int = 32,
        antialias: bool = True,
        rescale_range: str = "scan",
        grey_picture_slices: int = 1,
        ct_window: str | Sequence[float] | None = None,
        ct_channel_windows: Sequence[str | Sequence[float]] | None = None,
        modality_slots: Mapping[str, Sequence[int]] | None = None,
        **kwargs: Any,
    ) -> None:
        for name in kwargs:
            if name not in SAVED_BY_TRANSFORMERS and not name.startswith("_"):
                raise ValueError(
                    f"there is no option {name!r}; expected one of {', '.join(sorted(OPTIONS))}"
                )
        super().__init__(**kwargs)
        for name, value in (("image_size", image_size), ("max_slices", max_slices)):
            if not _is_whole(value) or value < 1:
                raise ValueError(f"{name} is {value!r}, expected at least 1, in whole numbers")
        if rescale_range not in RESCALE_RANGES:
            raise ValueError(
                f"rescale_range is {rescale_range!r}, expected one of {RESCALE_RANGES}"
            )
        if grey_picture_slices not in (1, 3):
            raise ValueError(f"grey_picture_slices is {grey_picture_slices}, expected 1 or 3")
        self.image_size = image_size
        self.max_slices = max_slices
        self.antialias = antialias
        self.rescale_range = rescale_range
        self.grey_picture_slices = grey_picture_slices
        self.ct_window = as_window(ct_window)
        windows = as_window(ct_channel_windows)
        self.ct_channel_windows = (
            [as_window(one) for one in windows] if isinstance(windows, list) else windows
        )
        self.ct_window_hu()  # refuse a bad window here rather than at the first CT
        self.ct_channel_windows_hu()
        slots = REFERENCE_MODALITY_SLOTS if modality_slots is None else modality_slots
        if not isinstance(slots, Mapping) or not all(map(_are_slots, slots.values())):
            raise ValueError(f"modality_slots is {slots}, expected slots for each modality")
        self.modality_slots = {str(name): [int(slot) for slot in slots[name]] for name in slots}

    @classmethod
    def from_dict(cls, image_processor_dict: dict[str, Any], **kwargs: Any) -> Any:
        """Return the processor of a saved dictionary, without what other versions added to it."""
        known = OPTIONS | SAVED_BY_TRANSFORMERS
        saved = {key: value for key, value in image_processor_dict.items() if key in known}
        return super().from_dict(saved, **kwargs)

    @property
    def num_channels(self) -> int:
        """How many channels ``pixel_values`` has."""
        return 1 if self.ct_channel_windows is None else len(self.ct_channel_windows)

    def ct_window_hu(self) -> tuple[float, float] | None:
        """Return the CT window as (lower, upper) in Hounsfield units, or None.

        Raises:
            ValueError: If there is no window of that name, or its bounds are not in order.
        """
        return None if self.ct_window is None else window_bounds(self.ct_window, "ct_window")

    def ct_channel_windows_hu(self) -> list[tuple[float, float]]:
        """Return the CT window of each channel as (lower, upper) in Hounsfield units, if any.

        Raises:
            ValueError: If one is none, or they contradict another option.
        """
        if self.ct_channel_windows is None:
            return []
        if not isinstance(self.ct_channel_windows, list) or not self.ct_channel_windows:
            raise ValueError(
                f"ct_channel_windows is {self.ct_channel_windows!r}, expected a window for each "
                "channel"
            )
        if self.ct_window is not None:
            raise ValueError(
                f"ct_window is {self.ct_window!r}, but ct_channel_windows is given, too"
            )
        if self.rescale_range != "scan":
            raise ValueError(
                f"rescale_range is {self.rescale_range!r}, but ct_channel_windows has the ranges "
                "of CT"
            )
        return [window_bounds(one, "ct_channel_windows") for one in self.ct_channel_windows]

    def __call__(self, images: Sequence[Any], *args: Any, **kwargs: Any) -> BatchFeature:
        """Pack one case or several; see `preprocess`."""
        return self.preprocess(images, *args, **kwargs)

    def preprocess(
        self,
        images: Sequence[Any],
        modalities: Sequence[Any],
        studies: Sequence[Any] | None = None,
        key_slices: Sequence[Any] | None = None,
        labels: Any = None,
        return_tensors: str | None = "pt",
    ) -> BatchFeature:
        """Pack one case (a list of scans), or several (a list of lists of scans).

        The other arguments are nested as ``images`` is.

        Args:
            images: Scans: arrays or tensors of real numbers, ``(height, width)`` for a picture or
                ``(depth, height, width)`` for a volume; finite.
            modalities: Modality of each scan, spelt as in ``modality_slots``.
            studies: What each scan belongs to, any hashable; scans of one study share a range
                under ``padded_study`` and are numbered together for their slots. Without it, the
                scans of one modality in one case are one study.
            key_slices: Index of each scan's key slice among its original slices, -1 or None where
                unknown. It is mapped to the nearest slice that is kept.
            labels: Multi-hot, ``(cases, labels)``; passed through.
            return_tensors: Only ``"pt"``.

        Returns:
            ``labels`` (if given), ``pixel_values`` ``(slices, 1, image_size, image_size)`` float32
            in [0, 1], with as many channels as ``ct_channel_windows`` where that is given,
            ``slice_counts``, ``scan_counts``, ``modality_slots`` and ``key_slices``, int64.

        Raises:
            ValueError: For an empty case, a scan of the wrong shape or with values that are not
                finite, an unknown modality, or arguments of different lengths; the message names
                the case and scan by position.

        Example:
            >>> processor = RadDiagImageProcessor(image_size=64)
            >>> batch = processor([np.ones((80, 70)), np.ones((40, 64, 64))], ["X-ray", "CT"])
            >>> batch["pixel_values"].shape, batch["slice_counts"]
            (torch.Size([33, 1, 64, 64]), tensor([ 1, 32]))
        """
        if return_tensors != "pt":
            raise ValueError(f"return_tensors is {return_tensors!r}; only 'pt' can be packed")
        if modalities is None:
            raise ValueError("modalities is None, expected the modality of each scan")
        if len(images) == 0:
            raise ValueError("there is no scan: expected a list of scans or a list of cases")
        if not isinstance(images[0], list | tuple):
            images, modalities = [images], [modalities]
            studies = None if studies is None else [studies]
            key_slices = None if key_slices is None else [key_slices]
        for name, given in (
            ("modalities", modalities),
            ("studies", studies),
            ("key_slices", key_slices),
        ):
            if given is not None and len(given) != len(images):
                raise ValueError(f"{name} has {len(given)} cases, images has {len(images)}")

        pixel_values, slice_counts, slots, keys = [], [], [], []
        for case, scans in enumerate(images):
            packed = self._pack_case(
                case,
                scans,
                modalities[case],
                None if studies is None else studies[case],
                None if key_slices is None else key_slices[case],
            )
            pixel_values += packed[0]
            slice_counts += [len(scan) for scan in packed[0]]
            slots += packed[1]
            keys += packed[2]
        data: dict[str, Any] = {}
        if labels is not None:
            data["labels"] = torch.as_tensor(np.asarray(labels), dtype=torch.float32)
        data |= {
            "pixel_values": torch.cat(pixel_values),
            "slice_counts": torch.tensor(slice_counts),
            "scan_counts": torch.tensor([len(scans) for scans in images]),
            "modality_slots": torch.tensor(slots),
            "key_slices": torch.tensor(keys),
        }
        return BatchFeature(data)

    def _pack_case(
        self,
        case: int,
        scans: Sequence[Any],
        modalities: Sequence[str],
        studies: Sequence[Any] | None,
        key_slices: Sequence[int | None] | None,
    ) -> tuple[list[Tensor], list[int], list[int]]:
        """Return each scan's slices ``(slices, channels, size, size)``, slot and key slice."""
        if len(scans) == 0:
            raise ValueError(f"case {case} has no scan")
        for name, given in (
            ("modalities", modalities),
            ("studies", studies),
            ("key_slices", key_slices),
        ):
            if given is not None and (isinstance(given, str) or len(given) != len(scans)):
                raise ValueError(f"case {case} has {len(scans)} scans, but {name} is {given!r}")
        spelling = [str(modality) for modality in modalities]
        groups: list[Any] = (
            spelling if studies is None else list(zip(spelling, studies, strict=True))
        )

        stacks, slots, keys = [], [], []
        for number, scan in enumerate(scans):
            where = f"case {case}, scan {number}"
            if spelling[number] not in self.modality_slots:
                raise ValueError(
                    f"{where}: modality is {spelling[number]!r}, expected one of "
                    f"{list(self.modality_slots)}"
                )
            try:
                stack = as_stack(scan, self.grey_picture_slices)
            except PictureError as error:
                raise ValueError(f"{where}: {error}") from None
            is_ct = spelling[number] == "CT"
            if is_ct and (window := self.ct_window_hu()):
                stack = stack.clamp(*window)
            key = None if key_slices is None else key_slices[number]
            keys.append(nearest_sampled_slice(key, len(stack), self.max_slices))
            kept = stack[sampled_slices(len(stack), self.max_slices)]
            if is_ct and (bounds := self.ct_channel_windows_hu()) and is_in_hounsfield_units(stack):
                stacks.append(self._window(kept, bounds))
            else:
                stacks.append(resize_slices(kept, self.image_size, self.antialias))
            position = groups[:number].count(groups[number])
            of_modality = self.modality_slots[spelling[number]]
            slots.append(of_modality[position % len(of_modality)])
        grey = [stack for stack in stacks if stack.ndim == 3]
        rescaled = iter(self._rescale(grey, groups))
        channels = [stack if stack.ndim == 4 else self._repeat(next(rescaled)) for stack in stacks]
        return channels, slots, keys

    def _window(self, stack: Tensor, bounds: Sequence[tuple[float, float]]) -> Tensor:
        """Return CT slices as ``(slices, channels, size, size)`` in [0, 1]."""
        windows = window_channels(stack, bounds)
        resized = resize_slices(windows.flatten(0, 1), self.image_size, self.antialias)
        return resized.view(*windows.shape[:2], *resized.shape[1:])

    def _repeat(self, stack: Tensor) -> Tensor:
        """Return grey slices, ``(slices, size, size)``, with all channels the same."""
        return stack[:, None].expand(-1, self.num_channels, -1, -1)

    def _rescale(self, stacks: list[Tensor], groups: Sequence[Any]) -> list[Tensor]:
        if self.rescale_range == "scan":
            return [stretch_to_unit_range(stack, stack.min(), stack.max()) for stack in stacks]
        rescaled: list[Tensor] = []
        for group in groups:
            study = [stack for stack, other in zip(stacks, groups, strict=True) if other == group]
            low = torch.stack([stack.min() for stack in study]).min()
            high = torch.stack([stack.max() for stack in study]).max()
            if any(len(stack) < self.max_slices for stack in study):
                low, high = low.clamp_max(0), high.clamp_min(0)
            rescaled.append(stretch_to_unit_range(stacks[len(rescaled)], low, high))
        return rescaled


def _are_slots(value: object) -> bool:
    if not isinstance(value, Iterable) or isinstance(value, str):
        return False
    slots = list(value)
    return len(slots) > 0 and all(_is_whole(slot) and slot >= 0 for slot in slots)


def _is_whole(value: object) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool)
