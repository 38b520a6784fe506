"""One scan of a case as a data set stores it, and back."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import datasets
import torch
import torch.nn.functional as F
from datasets import ClassLabel, Value

from raddiag_hf.data.store.storage_options import LOSSLESS, StorageOptions
from raddiag_hf.data.store.volume_codec import decode_volume, encode_volume
from raddiag_hf.imaging.scan import Scan
from raddiag_hf.model.scan_resampling import nearest_sampled_slice, sampled_slices
from raddiag_hf.vocabulary import Anatomy, Modality, Plane

# Dataset scripts also run under `datasets` 3, which has no ``List``.
if hasattr(datasets, "List"):
    List = datasets.List
else:

    class List(datasets.LargeList):  # type: ignore[no-redef]
        """A list of any feature; ``Sequence`` would turn a list of scans into columns of lists.

        Args:
            feature: Of each element.
            length: Of every list; not checked.
        """

        def __init__(self, feature: object, length: int = -1) -> None:
            super().__init__(feature)
            self.length = length


MODALITIES, ANATOMIES, PLANES = tuple(Modality), tuple(Anatomy), tuple(Plane)
"""Members in the order of their class ids, which stored data rests on."""

_SHAPE = List(Value("int32"), length=3)

SCAN_FEATURES = {
    "scan_id": Value("string"),
    "modality": ClassLabel(names=list(MODALITIES)),
    "anatomy": ClassLabel(names=list(ANATOMIES)),
    "plane": ClassLabel(names=list(PLANES)),
    "sequence": Value("string"),
    "study": Value("string"),
    "key_slice": Value("int32"),
    "spacing_mm": List(Value("float32"), length=3),
    "volume": {
        "data": Value("binary"),
        "codec": Value("string"),
        "dtype": Value("string"),
        "shape": _SHAPE,
        "slope": Value("float64"),
        "intercept": Value("float64"),
        "max_error": Value("float32"),
        "source_shape": _SHAPE,
    },
}
"""Columns of one scan; `StoredVolume` says what those of ``volume`` mean."""


@dataclass(frozen=True)
class CaseScan:
    """A scan and what its case says about it.

    Attributes:
        scan: The scan; its modality must be known.
        key_slice: Index of the slice that shows the finding, -1 where unknown.
        sequence: Sequence, contrast phase or window, in the source's own words: ``"T2"``,
            ``"C+ portal venous phase"``.
        study: A pseudonym of the study that it was made in, unique within its case; the authors'
            samples. Empty where nobody knows: such scans of a case count as one study.

    Raises:
        ValueError: If the modality is unknown, or the key slice lies outside the scan.
    """

    scan: Scan
    key_slice: int = -1
    sequence: str = ""
    study: str = ""

    def __post_init__(self) -> None:
        if self.scan.modality is None:
            raise ValueError(f"scan {self.scan.scan_id}: neither file nor caller says the modality")
        depth = self.scan.volume.shape[0]
        if not -1 <= self.key_slice < depth:
            raise ValueError(
                f"scan {self.scan.scan_id}: key slice is {self.key_slice}, expected -1 (unknown) "
                f"or 0 to {depth - 1}"
            )


def encode_scan(case_scan: CaseScan, storage: StorageOptions = LOSSLESS) -> dict[str, Any]:
    """Return one element of a case's ``scans``, with class names rather than ids.

    Of a picture that comes as several equal slices, as in RP3D-DiagDS, one is stored.

    Raises:
        ValueError: If the volume is not a finite, non-empty stack of slices.
    """
    scan, key_slice = case_scan.scan, case_scan.key_slice
    if scan.is_picture:
        scan, key_slice = replace(scan, volume=scan.volume[:1]), min(key_slice, 0)
    depth, height, width = scan.volume.shape
    scan, key_slice = reduce_scan(scan, key_slice, storage.max_side, storage.max_slices)
    return {
        "scan_id": scan.scan_id,
        "modality": scan.modality,
        "anatomy": scan.anatomy,
        "plane": scan.plane,
        "sequence": case_scan.sequence,
        "study": case_scan.study,
        "key_slice": key_slice,
        "spacing_mm": list(scan.spacing_mm),
        "volume": encode_volume(scan.volume, storage.bits, source_shape=(depth, height, width)),
    }


def decode_scan(row: Mapping[str, Any]) -> CaseScan:
    """Return the scan of one element of a case's ``scans`` as `datasets` gives it, pixels decoded.

    It is a picture if it had one slice when it was read.

    Raises:
        ValueError: If the stored pixels are damaged.
    """
    volume = decode_volume(row["volume"])
    along_depth, along_height, along_width = row["spacing_mm"]
    scan = Scan(
        volume=volume,
        modality=MODALITIES[row["modality"]],
        anatomy=ANATOMIES[row["anatomy"]],
        plane=PLANES[row["plane"]],
        spacing_mm=(along_depth, along_height, along_width),
        is_picture=row["volume"]["source_shape"][0] == 1,
        scan_id=row["scan_id"],
    )
    return CaseScan(scan, row["key_slice"], sequence=row["sequence"], study=row.get("study") or "")


def reduce_scan(
    scan: Scan, key_slice: int = -1, max_side: int | None = None, max_slices: int | None = None
) -> tuple[Scan, int]:
    """Return a scan of at most ``max_slices`` slices of at most ``max_side`` squared, and its key.

    Slices are picked and resized as `RadDiagImageProcessor` does by default, height and width each
    for itself, so a processor with ``image_size=max_side`` and the same ``max_slices`` makes the
    same of the result as of the whole scan. One that wants more pixels, or another antialiasing,
    does not: the reduction cannot be undone.

    Args:
        scan: The scan as read.
        key_slice: Index of its key slice, -1 where unknown.
        max_side: The most rows and the most columns; None keeps all.
        max_slices: The most slices; None keeps all.

    Returns:
        The scan, with the spacing of the voxels that it now has, and the index of the kept slice
        that is nearest to the key slice. A scan that is small enough comes back as it is.
    """
    depth, height, width = scan.volume.shape
    volume = torch.from_numpy(scan.volume)
    if max_slices is not None and depth > max_slices:
        volume = volume[sampled_slices(depth, max_slices)]
        key_slice = nearest_sampled_slice(key_slice, depth, max_slices)
    if max_side is not None and max(height, width) > max_side:
        volume = F.interpolate(
            volume[:, None],
            size=(min(height, max_side), min(width, max_side)),
            mode="bilinear",
            align_corners=False,
            antialias=True,
        )[:, 0]
    if tuple(volume.shape) == scan.volume.shape:
        return scan, key_slice
    scale = [before / now for before, now in zip(scan.volume.shape, volume.shape, strict=True)]
    along_depth, along_height, along_width = scan.spacing_mm
    spacing_mm = (along_depth * scale[0], along_height * scale[1], along_width * scale[2])
    return replace(scan, volume=volume.numpy(), spacing_mm=spacing_mm), key_slice
