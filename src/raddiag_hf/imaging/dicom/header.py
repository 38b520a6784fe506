"""DICOM header: what grouping, sorting and decoding need to know, and the patient only as a key."""

import hmac
import multiprocessing
from dataclasses import dataclass, field, replace
from pathlib import Path

from pydicom.dataset import Dataset
from pydicom.uid import UID

from raddiag_hf.imaging.dicom.diagnostic import refuse_unless_diagnostic
from raddiag_hf.imaging.dicom.file import DicomFile, Tags, open_dicom
from raddiag_hf.imaging.dicom.geometry import Orientation, Position, unit_orientation
from raddiag_hf.imaging.dicom.mosaic import Mosaic, find_mosaic
from raddiag_hf.imaging.dicom.nuclear import ReconstructedPlanes, reconstructed_planes
from raddiag_hf.imaging.dicom.pixels import count_frames
from raddiag_hf.imaging.scan import ReadLimits, ScanReadError, ScanReadReason

_VALUE_KEYWORDS = (
    "RescaleSlope",
    "RescaleIntercept",
    "ModalityLUTSequence",
    "WindowCenter",
    "WindowWidth",
    "VOILUTFunction",
    "VOILUTSequence",
    "PhotometricInterpretation",
    "BitsStored",
    "PixelRepresentation",
    "PixelPaddingValue",
    "PixelPaddingRangeLimit",
)
"""What turns stored values into modality values and then into what is displayed."""

_FUNCTIONAL_GROUPS = (
    "PlanePositionSequence",
    "PlaneOrientationSequence",
    "PixelMeasuresSequence",
    "PixelValueTransformationSequence",
    "FrameVOILUTSequence",
    "FrameContentSequence",
)

_FRAME_KEYWORDS = (
    *_VALUE_KEYWORDS,
    "ImageOrientationPatient",
    "PixelSpacing",
    "SpacingBetweenSlices",
    "SliceThickness",
    "InstanceNumber",
)
"""Header tags that hold for every frame whose functional groups do not say otherwise."""

_NAN = float("nan")


@dataclass(frozen=True)
class DicomFrame:
    """One plane of one file, before its pixels are decoded.

    Attributes:
        file: The file that holds it.
        index: Which frame of the file, from 0.
        values: The tags that give its stored values their meaning.
        orientation: Unit vectors along its rows and columns, or None.
        position: Where its first pixel lies in mm, or None.
        pixel_spacing_mm: Between rows and between columns; NaN where unknown.
        slice_spacing_mm: As declared: between slices, else their thickness; NaN where unknown.
        stack_id: The stack that an enhanced file says it belongs to; empty where it says nothing.
        slice_location: Along the table, where the vendor writes it.
        instance_number: Its place in the series, as the scanner counted.
        phase: Of the frames of one file without functional groups, which volume it belongs to.
    """

    file: DicomFile
    index: int
    values: Dataset = field(repr=False)
    orientation: Orientation | None
    position: Position | None
    pixel_spacing_mm: tuple[float, float]
    slice_spacing_mm: float
    stack_id: str
    slice_location: float | None
    instance_number: float | None
    phase: str = ""

    @property
    def is_located(self) -> bool:
        """Whether its place in space is known."""
        return self.orientation is not None and self.position is not None


@dataclass(frozen=True)
class DicomHeader:
    """One file with pixels that is a diagnostic image.

    Attributes:
        file: The file.
        modality_code: DICOM ``Modality``; empty where absent.
        sop_class: What kind of object it is.
        study_key: The study's identity; never put it out.
        series_key: The series' identity; never put it out.
        instance_key: The instance's identity; never put it out.
        patient_key: A digest of the patient's id with a key of this run; empty where there is none.
        series_number: For ordering.
        rows: Height of its frames in pixels, after a mosaic is unfolded.
        columns: Width likewise.
        samples: 1 for grey and palettes, 3 for colour.
        photometric: How samples are to be shown: MONOCHROME1, MONOCHROME2, RGB, ...
        mosaic: How slices are laid out within its one frame, if it is a Siemens mosaic.
        frames: Its planes in file order.
        step_mm: From one frame to the next along their normal, where that places them; NaN where
            nothing does, None where frames have positions of their own or none is expected.
        declared_frames: How many its header says that it has; there may be more.
        unusable_tags: Keywords that are present but malformed.
    """

    file: DicomFile
    modality_code: str
    sop_class: UID
    study_key: str
    series_key: str
    instance_key: str
    patient_key: str
    series_number: float
    rows: int
    columns: int
    samples: int
    photometric: str
    mosaic: Mosaic | None
    frames: tuple[DicomFrame, ...]
    step_mm: float | None
    declared_frames: int
    unusable_tags: tuple[str, ...]


def read_dicom_header(path: Path, limits: ReadLimits) -> DicomHeader:
    """Read what there is to know of a DICOM image without its pixels.

    Raises:
        ScanReadError: ``NOT_AN_IMAGE`` and ``NOT_DIAGNOSTIC`` for reports, plans, localisers, dose
            sheets and the like; ``TOO_LARGE`` for rows, columns or frames beyond the limits;
            ``CORRUPT`` where the header is broken.
    """
    file = open_dicom(path, limits)
    tags = Tags(file.header)
    meta = Tags(file.header.file_meta)
    refuse_unless_diagnostic(path, tags, meta, has_pixels=file.pixel_offset is not None)
    rows, columns = _required_size(path, tags, "Rows"), _required_size(path, tags, "Columns")
    declared_frames = _num_frames(path, tags)
    limits.check(path, declared_frames, rows, columns)
    file = replace(file, num_frames=count_frames(file, declared_frames, limits.max_frames))
    limits.check(path, file.num_frames, rows, columns)
    mosaic = find_mosaic(path, file.header, tags)
    per_side = 1 if mosaic is None else mosaic.tiles_per_side
    planes = reconstructed_planes(tags, file.num_frames)
    return DicomHeader(
        file=file,
        modality_code=tags.text("Modality").upper(),
        sop_class=UID(tags.text("SOPClassUID")),
        study_key=tags.text("StudyInstanceUID"),
        # Files that lost their series' identity belong to those beside them.
        series_key=tags.text("SeriesInstanceUID") or f"folder:{path.parent}",
        instance_key=tags.text("SOPInstanceUID"),
        patient_key=key_of_run(tags.text("PatientID")),
        series_number=tags.number("SeriesNumber") or 0.0,
        rows=rows // per_side,
        columns=columns // per_side,
        samples=int(tags.number("SamplesPerPixel") or 1),
        photometric=tags.text("PhotometricInterpretation").upper(),
        mosaic=mosaic,
        frames=_frames(file, tags, planes),
        step_mm=None if planes is None else planes.step_mm,
        declared_frames=declared_frames,
        unusable_tags=tuple(sorted(tags.unusable)),
    )


def key_of_run(identifier: str) -> str:
    """Return what tells patients or studies apart in this process and those that it starts.

    Without the key, which is drawn at random, no list of a hospital's ids leads back to one.
    """
    if not identifier:
        return ""
    key = multiprocessing.current_process().authkey
    return hmac.new(key, identifier.encode(), "sha256").hexdigest()


def _required_size(path: Path, tags: Tags, keyword: str) -> int:
    size = tags.number(keyword)
    if size is None:
        raise ScanReadError(path, ScanReadReason.CORRUPT, f"pixel data without {keyword}")
    return int(size)


def _num_frames(path: Path, tags: Tags) -> int:
    found = tags.number("NumberOfFrames")
    if found is None and "NumberOfFrames" in tags.unusable:
        raise ScanReadError(path, ScanReadReason.CORRUPT, "NumberOfFrames is not a number")
    if found is not None and found < 0:
        raise ScanReadError(path, ScanReadReason.CORRUPT, f"NumberOfFrames is {int(found)}")
    return int(found or 1)


def _frames(
    file: DicomFile, tags: Tags, planes: ReconstructedPlanes | None
) -> tuple[DicomFrame, ...]:
    num_frames = file.num_frames
    shared = tags.items("SharedFunctionalGroupsSequence")[:1]
    per_frame = tags.items("PerFrameFunctionalGroupsSequence")
    if 0 < len(per_frame) < num_frames:
        tags.unusable.add("PerFrameFunctionalGroupsSequence")
    if shared or per_frame:
        views = (
            _functional_view(file.header, [*shared, *per_frame[index : index + 1]])
            for index in range(num_frames)
        )
        return tuple(_frame(file, index, view, tags) for index, view in enumerate(views))
    frame = _frame(file, 0, file.header, tags)
    if planes is not None:
        return tuple(
            replace(
                frame,
                index=index,
                orientation=planes.orientation,
                position=planes.positions[index] if planes.positions else None,
                slice_location=None,
                phase=planes.phases[index],
            )
            for index in range(num_frames)
        )
    if num_frames == 1:
        return (frame,)
    # A clip: the one position that it may carry is not that of every frame.
    return tuple(
        replace(frame, index=index, position=None, slice_location=None)
        for index in range(num_frames)
    )


def _functional_view(header: Dataset, groups: list[Dataset]) -> Dataset:
    """Return a flat data set of one frame: the header's tags, overlaid by its functional groups."""
    view = _copied(header, header, _FRAME_KEYWORDS)
    for group in groups:
        for keyword in _FUNCTIONAL_GROUPS:
            for item in Tags(group).items(keyword)[:1]:
                view.update(item)
    return view


def _copied(source: Dataset, header: Dataset, keywords: tuple[str, ...]) -> Dataset:
    """Return some elements of a data set as they are, not yet converted from bytes."""
    copy = Dataset()
    for keyword in keywords:
        if keyword in source:
            copy[keyword] = source.get_item(keyword)
    copy.set_original_encoding(*header.original_encoding)
    return copy


def _frame(file: DicomFile, index: int, view: Dataset, file_tags: Tags) -> DicomFrame:
    tags = Tags(view, file_tags.unusable)
    cosines = tags.numbers("ImageOrientationPatient", 6)
    orientation = unit_orientation(cosines)
    if cosines is not None and orientation is None:
        tags.unusable.add("ImageOrientationPatient")
    position = tags.numbers("ImagePositionPatient", 3)
    spacing = tags.numbers("PixelSpacing", 2) or tags.numbers("ImagerPixelSpacing", 2)
    row_mm, column_mm = (value if value > 0 else _NAN for value in spacing or (_NAN, _NAN))
    slice_mm = tags.number("SpacingBetweenSlices") or tags.number("SliceThickness")
    return DicomFrame(
        file=file,
        index=index,
        values=_value_tags(file.header, view, tags),
        orientation=orientation,
        position=None if position is None else (position[0], position[1], position[2]),
        pixel_spacing_mm=(row_mm, column_mm),
        slice_spacing_mm=abs(slice_mm) if slice_mm else _NAN,
        stack_id=tags.text("StackID"),
        slice_location=tags.number("SliceLocation"),
        instance_number=tags.number("InstanceNumber"),
    )


def _value_tags(header: Dataset, view: Dataset, tags: Tags) -> Dataset:
    """Return the tags that give stored values their meaning, without those that make none."""
    values = _copied(view, header, _VALUE_KEYWORDS)
    for keyword in ("RescaleSlope", "RescaleIntercept"):
        number = tags.number(keyword)
        is_unusable = number is None or (keyword == "RescaleSlope" and number == 0)
        if keyword in values and is_unusable:
            tags.unusable.add(keyword)
            del values[keyword]
    return values
