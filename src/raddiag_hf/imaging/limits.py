"""Limits: how large a scan may be, checked against the header before memory is taken."""

from dataclasses import dataclass, fields
from math import prod
from pathlib import Path

from raddiag_hf.imaging.scan import ScanReadError, ScanReadReason

_FLOAT32_BYTES = 4


@dataclass(frozen=True)
class ReadLimits:
    """The largest scan and study that are read; whatever claims more is refused unread.

    Attributes:
        max_side: Pixels along the longer side of a slice.
        max_frames: Slices of one scan.
        max_decoded_bytes: Bytes of one scan once decoded to float32.
        max_volumes: Volumes into which one series may fall apart (echoes, b-values, phases); a
            series of more is a measurement over time, not a set of scans.
        max_files: Files in a study folder.

    Raises:
        ValueError: If a limit is below 1.
    """

    max_side: int = 16_384
    max_frames: int = 4_096
    max_decoded_bytes: int = 4 * 2**30
    max_volumes: int = 16
    max_files: int = 50_000

    def __post_init__(self) -> None:
        for limit in fields(self):
            if getattr(self, limit.name) < 1:
                value = getattr(self, limit.name)
                raise ValueError(f"{limit.name} is {value}, expected at least 1")

    def check(self, path: Path, depth: int, height: int, width: int) -> None:
        """Refuse a scan of this shape if it is empty or too large.

        Raises:
            ScanReadError: ``CORRUPT`` for a negative size, ``EMPTY`` for a zero one, ``TOO_LARGE``
                beyond a limit.
        """
        shape = (depth, height, width)
        words = "x".join(map(str, shape))
        if min(shape) < 0:
            raise ScanReadError(path, ScanReadReason.CORRUPT, f"a negative size: {words}")
        if min(shape) == 0:
            raise ScanReadError(path, ScanReadReason.EMPTY, f"an image without pixels: {words}")
        num_bytes = prod(shape) * _FLOAT32_BYTES
        for found, limit, meaning in (
            (max(height, width), self.max_side, "pixels along a side"),
            (depth, self.max_frames, "slices"),
            (num_bytes, self.max_decoded_bytes, "bytes once decoded"),
        ):
            if found > limit:
                raise ScanReadError(
                    path, ScanReadReason.TOO_LARGE, f"{found} {meaning}, at most {limit} are read"
                )
