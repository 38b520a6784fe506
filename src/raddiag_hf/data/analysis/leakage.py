"""Find what the splits of a data set share and must not: patients, and identical images."""

import hashlib
import json
import os
from array import array
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from datasets.utils import tqdm
from numpy.typing import NDArray

from raddiag_hf.data.store.case_metadata import CaseData, iter_case_batches
from raddiag_hf.data.store.volume_codec import decode_stored_values


@dataclass(frozen=True)
class ScanPlace:
    """Where a scan is in a data set."""

    split: str
    case_id: str
    scan_id: str


@dataclass(frozen=True)
class SharedImage:
    """Scans of different splits that have identical slices.

    Attributes:
        places: The scans, at least one in each of two splits.
        slices: How many different slices all of them have.
    """

    places: tuple[ScanPlace, ...]
    slices: int


@dataclass(frozen=True)
class LeakageReport:
    """What the splits share.

    Attributes:
        scans: Scans that were compared.
        shared_patients: Patient pseudonym -> splits with a case of it.
        shared_images: Groups of scans with identical slices, largest overlap first.
    """

    scans: int
    shared_patients: Mapping[str, tuple[str, ...]]
    shared_images: tuple[SharedImage, ...]

    @property
    def is_clean(self) -> bool:
        """True where the splits share nothing."""
        return not self.shared_patients and not self.shared_images

    def to_json(self) -> str:
        """Return the report as JSON text."""
        return json.dumps(asdict(self), ensure_ascii=False, indent=1) + "\n"


def find_leakage(data: CaseData, num_threads: int | None = None) -> LeakageReport:
    """Compare the patients and all decoded slices of all splits.

    Two slices are identical if their pixels differ by nothing or by one constant. Slices without
    contrast say nothing and are passed over. A copy that was resized or compressed with loss is not
    found.

    Args:
        data: All splits.
        num_threads: Threads that decode; by default one for each core.

    Raises:
        ValueError: If stored pixels are damaged; the message names the case and the scan.
    """
    splits_of: dict[str, set[str]] = {}
    places: list[ScanPlace] = []
    digests, holders = array("Q"), array("Q")  # four million slices fit in 64 MB
    threads = num_threads or os.cpu_count() or 1
    with ThreadPoolExecutor(threads) as pool, tqdm(unit="case", disable=None) as progress:
        for split, batch in iter_case_batches(data, with_pixels=True, batch_cases=4 * threads):
            scans = list(_scans(split, batch, splits_of))
            for (place, _), of_scan in zip(scans, pool.map(_slice_digests, scans), strict=True):
                digests.extend(of_scan)
                holders.extend([len(places)] * len(of_scan))
                places.append(place)
            progress.update(len(batch))
    return LeakageReport(
        scans=len(places),
        shared_patients={
            patient: tuple(sorted(splits))
            for patient, splits in sorted(splits_of.items())
            if len(splits) > 1
        },
        shared_images=_shared_images(np.asarray(digests), np.asarray(holders), places),
    )


def _scans(
    split: str, batch: pa.RecordBatch, splits_of: dict[str, set[str]]
) -> Iterator[tuple[ScanPlace, Mapping[str, Any]]]:
    """Yield each scan's place and stored volume, and note which split its patient is in."""
    for row in batch.select(["case_id", "patient_id", "scans"]).to_pylist():
        splits_of.setdefault(row["patient_id"], set()).add(split)
        for scan in row["scans"]:
            yield ScanPlace(split, row["case_id"], scan["scan_id"]), scan["volume"]


def _slice_digests(scan: tuple[ScanPlace, Mapping[str, Any]]) -> set[int]:
    place, volume = scan
    try:
        values = decode_stored_values(volume)
    except ValueError as error:
        raise ValueError(f"case {place.case_id!r}: scan {place.scan_id!r}: {error}") from error
    digests = set()
    for one in values:
        contrast = one - one.min()
        if contrast.any():
            pixels = contrast.astype(np.min_scalar_type(contrast.max()))
            digest = hashlib.blake2b(pixels.tobytes(), digest_size=8)
            digest.update(repr((pixels.shape, volume["slope"])).encode())
            digests.add(int.from_bytes(digest.digest(), "little"))
    return digests


def _shared_images(
    digests: NDArray[np.uint64], holders: NDArray[np.uint64], places: Sequence[ScanPlace]
) -> tuple[SharedImage, ...]:
    _, digest_ids, times = np.unique(digests, return_inverse=True, return_counts=True)
    repeated = np.flatnonzero(times[digest_ids] > 1)
    groups: dict[int, list[ScanPlace]] = {}
    for digest_id, holder in zip(digest_ids[repeated], holders[repeated], strict=True):
        groups.setdefault(int(digest_id), []).append(places[int(holder)])
    shared = Counter(
        tuple(group) for group in groups.values() if len({place.split for place in group}) > 1
    )
    return tuple(SharedImage(group, slices) for group, slices in shared.most_common())
