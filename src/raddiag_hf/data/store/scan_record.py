"""One scan of a case as a data set stores it, and back."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from datasets import ClassLabel, Value

from raddiag_hf.data.store.list_feature import List
from raddiag_hf.data.store.scan_reduction import reduce_scan
from raddiag_hf.data.store.storage_options import LOSSLESS, StorageOptions
from raddiag_hf.data.store.volume_codec import decode_volume, encode_volume
from raddiag_hf.imaging.scan import Scan
from raddiag_hf.vocabulary import Anatomy, Modality, Plane

MODALITIES, ANATOMIES, PLANES = tuple(Modality), tuple(Anatomy), tuple(Plane)
"""Members in the order of their class ids, which stored data rests on."""

_SHAPE = List(Value("int32"), length=3)

SCAN_FEATURES = {
    "scan_id": Value("string"),
    "modality": ClassLabel(names=list(MODALITIES)),
    "anatomy": ClassLabel(names=list(ANATOMIES)),
    "plane": ClassLabel(names=list(PLANES)),
    "sequence": Value("string"),
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

    Raises:
        ValueError: If the modality is unknown, or the key slice lies outside the scan.
    """

    scan: Scan
    key_slice: int = -1
    sequence: str = ""

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
    return CaseScan(scan, key_slice=row["key_slice"], sequence=row["sequence"])
