"""What a reader decided on the way from file to scan, in a form that programs can count."""

from enum import StrEnum


class DecisionKind(StrEnum):
    """A departure from "the file says so", or a property of a series that its user should know."""

    DUPLICATE_INSTANCES = "duplicate_instances"
    """The same instance lay in several files; one was read."""
    DUPLICATE_POSITIONS = "duplicate_positions"
    """Several slices at one position held the same pixels; one was kept."""
    MISSING_SLICES = "missing_slices"
    """The positions leave gaps; the volume holds the slices that exist, none was invented."""
    NON_UNIFORM_SPACING = "non_uniform_spacing"
    """Slices are not equally far apart; the depth spacing given is the lower median."""
    GANTRY_TILT = "gantry_tilt"
    """Slices are stacked aslant; they are kept as acquired, the spacing is that between planes."""
    SPLIT_SERIES = "split_series"
    """One series held several scans (orientations, stacks, echoes, phases); this is one of them."""
    ORDERED_WITHOUT_POSITIONS = "ordered_without_positions"
    """No usable positions; slices are in the order of the tag named."""
    CHANGING_VIEW = "changing_view"
    """Every slice has an orientation of its own (rotating projections); read as one clip."""
    CLIP = "clip"
    """All slices lie at one position: a clip over time, in the order of the tag named."""
    UNREADABLE_SLICES = "unreadable_slices"
    """Slices of the series whose pixels do not decode; the volume lacks them."""
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
