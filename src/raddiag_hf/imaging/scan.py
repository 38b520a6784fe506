"""Scan: what every reader returns, within which limits, and the one error for all that is none."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from enum import StrEnum
from math import prod
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from raddiag_hf.core.errors import InputError
from raddiag_hf.vocabulary import Anatomy, Modality, Plane


class DecisionKind(StrEnum):
    """A departure from "the file says so", or a property of a series that its user should know."""

    DUPLICATE_INSTANCES = "duplicate_instances"
    """The same instance lay in several files; one was read."""
    DUPLICATE_POSITIONS = "duplicate_positions"
    """Several slices at one position held the same pixels; one was kept."""
    REPEATED_SLICES = "repeated_slices"
    """Slices at one position differed; of each the one measured last was taken, by the tag named,
    or the first where no tag says."""
    MERGED_STACKS = "merged_stacks"
    """Several declared stacks are packages of one evenly spaced volume; they were put together."""
    MISSING_SLICES = "missing_slices"
    """The positions leave gaps; the volume holds the slices that exist, none was invented."""
    NON_UNIFORM_SPACING = "non_uniform_spacing"
    """Slices are not equally far apart; the depth spacing given is the lower median."""
    GANTRY_TILT = "gantry_tilt"
    """Slices are stacked aslant; they are kept as acquired, the spacing is that between planes."""
    SPLIT_SERIES = "split_series"
    """One series held several scans (orientations, sizes, stacks, echoes, phases); this is one. The
    tags named tell them apart."""
    ORDERED_WITHOUT_POSITIONS = "ordered_without_positions"
    """No usable positions; slices are in the order of the tag named."""
    CHANGING_VIEW = "changing_view"
    """Every slice has an orientation of its own (rotating projections); read as one clip."""
    CLIP = "clip"
    """All slices lie at one position: a clip over time, in the order of the tag named."""
    UNREADABLE_SLICES = "unreadable_slices"
    """Slices of the series whose pixels do not decode; the volume lacks them."""
    FRAMES_RECOUNTED = "frames_recounted"
    """The file holds more frames than its header says; all were read."""
    UNUSABLE_TAGS = "unusable_tags"
    """Tags whose values could not be used, as if they were absent."""
    TRANSFER_SYNTAX_GUESSED = "transfer_syntax_guessed"
    """The file does not name its encoding; it was inferred from the bytes."""
    MOSAIC_UNFOLDED = "mosaic_unfolded"
    """A Siemens mosaic was cut into its slices."""
    DISPLAY_WINDOW_APPLIED = "display_window_applied"
    """The file's VOI window or lookup table was applied."""
    DISPLAY_WINDOW_IGNORED = "display_window_ignored"
    """The file's VOI window is malformed or would leave a blank image."""
    MONOCHROME1_INVERTED = "monochrome1_inverted"
    """Low values meant white; they were turned round, within the same range."""
    COLOUR_TO_GREY = "colour_to_grey"
    """Colour was reduced to luminance."""
    ALPHA_OVER_BLACK = "alpha_over_black"
    """Transparent pixels were laid over black."""
    EXIF_ROTATED = "exif_rotated"
    """The picture was turned as its EXIF orientation asks."""
    PICTURES_STACKED = "pictures_stacked"
    """The pictures of one folder were taken for the slices of one scan, in order of their names."""
    PADDING_FILLED = "padding_filled"
    """Pixels that DICOM calls padding took the value of the darkest voxel of the image."""
    PADDING_DOUBTED = "padding_doubted"
    """The file calls a value padding that lies amid those of its image; it was kept."""
    RESCALE_FILLED_IN = "rescale_filled_in"
    """Slices without a usable rescale got the one that all others of their volume share."""
    PLACED_BY_SPACING = "placed_by_spacing"
    """The first slice has a position; the others were placed by the signed distance of slices."""
    DEPTH_AXIS = "depth_axis"
    """Nothing in the file says which axis of its array is the depth; this one was taken."""
    NAN_PADDING_FILLED = "nan_padding_filled"
    """NaN around the image was replaced by the least value."""
    AXES_AS_STORED = "axes_as_stored"
    """No usable orientation; the axes keep the order of the file."""
    MODALITY_OVERRIDDEN = "modality_overridden"
    """The caller named another modality than the file; the caller's is used."""
    ANATOMY_OVERRIDDEN = "anatomy_overridden"
    """The caller named another anatomy than the file; the caller's is used."""


Decision = dict[str, object]
"""``{"kind": DecisionKind, ...details}``, JSON-serialisable."""


def decision(kind: DecisionKind, **details: object) -> Decision:
    """Return the record of one decision, as it stands in ``Scan.provenance["decisions"]``."""
    return {"kind": kind.value, **details}


@dataclass(frozen=True)
class Scan:
    """One scan of a case: a 2D image or a 3D volume, as read, before any resampling.

    Attributes:
        volume: Intensities, float32, shape ``(depth, height, width)``. Hounsfield units for CT,
            the source's own range elsewhere; finite everywhere. A 2D image has depth 1. Brighter
            is more signal: MONOCHROME1 has been inverted.
        modality: What made it, or None where neither file nor caller says.
        anatomy: The region that it shows.
        plane: The plane of its slices, or the view of a projection.
        spacing_mm: Millimetres between neighbouring voxels along depth, height and width; NaN
            where unknown.
        is_picture: True where the source is one 2D picture rather than a stack of slices.
        display_window: The lowest and the highest intensity that the file wants shown, of CT; None
            where it says nothing that can be used.
        provenance: Where it came from and what was done on the way, free of patient identifiers:
            ``{"path": ..., "format": "dicom", "decisions": [...]}``; JSON-serialisable.
        scan_id: A name for it within its case: the file or folder name, or a short digest of the
            series' identity where the name could identify a patient. A file's name may name a
            patient, too: cases call such scans by what made them.
        patient_key: Tells patients apart within one run, and names nobody; empty where the file
            names no patient.
        study_key: The same of studies.
    """

    volume: NDArray[np.float32]
    modality: Modality | None
    anatomy: Anatomy = Anatomy.UNKNOWN
    plane: Plane = Plane.UNKNOWN
    spacing_mm: tuple[float, float, float] = (float("nan"), float("nan"), float("nan"))
    is_picture: bool = False
    display_window: tuple[float, float] | None = None
    provenance: Mapping[str, object] = field(default_factory=dict)
    scan_id: str = ""
    patient_key: str = field(default="", repr=False)
    study_key: str = field(default="", repr=False)


def decisions_of(scan: Scan) -> Sequence[Decision]:
    """Return all decisions about a scan."""
    decisions = scan.provenance.get("decisions", ())
    return decisions if isinstance(decisions, (list, tuple)) else ()


def decision_kinds(scan: Scan) -> set[object]:
    """Return the kinds of all decisions about a scan."""
    return {one["kind"] for one in decisions_of(scan)}


def file_scan_id(path: Path) -> str:
    """Return the id of a scan whose file says nothing but its name."""
    return path.name.removesuffix(".gz").rsplit(".", 1)[0] or path.name


class ScanReadReason(StrEnum):
    """Why a path is not a scan; stable codes for programs that sort rejected files."""

    NOT_FOUND = "not_found"
    UNREADABLE = "unreadable"
    """The operating system does not hand it over."""
    UNKNOWN_FORMAT = "unknown_format"
    CORRUPT = "corrupt"
    NOT_AN_IMAGE = "not_an_image"
    """Valid, but without pixels: a report, a plan, an index."""
    NOT_DIAGNOSTIC = "not_diagnostic"
    """Pixels, but not of a diagnostic image: a localiser, a dose sheet, a segmentation."""
    UNKNOWN_MODALITY = "unknown_modality"
    """An image beside scans of a case of which nothing says what made it: a logo, a photograph."""
    UNSUPPORTED = "unsupported"
    TOO_LARGE = "too_large"
    TOO_SLOW = "too_slow"
    """Reading it took more time than files of its size may take."""
    CRASHED = "crashed"
    """The process that read it died of it."""
    INCONSISTENT_SERIES = "inconsistent_series"
    """Slices that do not make up one volume, or more scans than the caller asked for."""
    BAD_VALUES = "bad_values"
    """NaN or infinite intensities."""
    EMPTY = "empty"


class ScanReadError(InputError):
    """A path that cannot be read as a scan: which, why, and what was found there.

    Attributes:
        path: The file or folder at fault.
        reason: The stable code.
        found: What was found, in words, with the expected where that helps; no patient data.
    """

    def __init__(self, path: Path | str, reason: ScanReadReason, found: str) -> None:
        self.path = Path(path)
        self.reason = reason
        self.found = found
        super().__init__(f"{path}: {reason.value}: {found}")

    def __reduce__(self) -> tuple[type["ScanReadError"], tuple[Path, ScanReadReason, str]]:
        return type(self), (self.path, self.reason, self.found)  # it travels between processes


_FLOAT32_BYTES = 4
_LEAST_MEMORY_BYTES = 256 * 2**20
"""Headers, compressed bytes, and the decoders themselves."""


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
        max_file_seconds: Processor time for reading a file; each MiB of the file may take half as
            much more.

    Raises:
        ValueError: If a limit is below 1, or less than 0.1 s.
    """

    max_side: int = 16_384
    max_frames: int = 4_096
    max_decoded_bytes: int = 4 * 2**30
    max_volumes: int = 16
    max_files: int = 50_000
    max_file_seconds: float = 4.0

    @property
    def max_memory_bytes(self) -> int:
        """Memory that reading may take at its peak: three times the largest scan, and a little."""
        return 3 * self.max_decoded_bytes + _LEAST_MEMORY_BYTES

    def __post_init__(self) -> None:
        for limit in fields(self):
            value = getattr(self, limit.name)
            least = 0.1 if limit.name == "max_file_seconds" else 1
            if value < least:
                raise ValueError(f"{limit.name} is {value}, expected at least {least}")

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
