"""Traits: what tells apart the volumes of one series, in standard and in vendors' own tags."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset
from pydicom.tag import Tag

from raddiag_hf.imaging.dicom.csa import csa_b_value, csa_gradient_direction, csa_header
from raddiag_hf.imaging.dicom.file import DicomFile, Tags
from raddiag_hf.imaging.dicom.header import DicomFrame
from raddiag_hf.imaging.foreign_errors import FOREIGN_ERRORS

CONTRAST_KEYWORDS = (
    "EchoTime",
    "EffectiveEchoTime",
    "EchoNumbers",
    "DiffusionBValue",
    "DiffusionGradientOrientation",
    "TemporalPositionIdentifier",
    "TemporalPositionIndex",
    "InversionTime",
    "FlipAngle",
    "ImageType",
    "FrameType",
    "ComplexImageComponent",
    "TriggerTime",
    "NominalCardiacTriggerDelayTime",
    "NominalPercentageOfCardiacPhase",
    "NominalPercentageOfRespiratoryPhase",
    "ConvolutionKernel",
    "KVP",
    "MonoenergeticEnergyEquivalent",
    "StackID",
)
"""Tags of what was measured or made of it, in order of trust: slices of two are never mixed."""

REPETITION_KEYWORDS = (
    "FrameReferenceTime",
    "AcquisitionNumber",
    "AcquisitionDateTime",
    "FrameAcquisitionDateTime",
    "FrameReferenceDateTime",
    "AcquisitionTime",
    "ContentTime",
    "SeriesTime",
    "SequenceName",
    "SeriesDescription",
    "ProtocolName",
)
"""Tags that also count how often or when the same was measured: a slice again, or a phase."""

COUNTING_KEYWORDS = frozenset(REPETITION_KEYWORDS) | {"InstanceNumber"}
"""Tags by which copies of one volume may differ."""

TIME_KEYWORDS = (
    "TriggerTime",
    "NominalCardiacTriggerDelayTime",
    "TemporalPositionIdentifier",
    "TemporalPositionIndex",
)

CODED_KEYWORDS = frozenset(CONTRAST_KEYWORDS) | {"AcquisitionNumber"}
"""Tags whose values are numbers or codes: they name nobody, and no day."""

_TRUSTED_TAGS = {keyword: Tag(keyword) for keyword in (*CONTRAST_KEYWORDS, *REPETITION_KEYWORDS)}

_NO_TRAITS = frozenset(
    {
        "ImagePositionPatient",
        "ImageOrientationPatient",
        "SliceLocation",
        "InstanceNumber",
        "InStackPositionNumber",
        "DimensionIndexValues",
        "InstanceCreationDate",
        "InstanceCreationTime",
        "InstanceCreatorUID",
        "SmallestImagePixelValue",
        "LargestImagePixelValue",
    }
)
"""Elements that differ from slice to slice, or from copy to copy, and tell no volumes apart."""
_PATIENT_GROUP, _PIXEL_GROUP = 0x0010, 0x7FE0
_SHORT = 128
"""Characters of a value; what is longer is a table or a picture."""

_Private = tuple[int, str, int]
"""Group, private creator, element."""
_B_VALUES: tuple[_Private, ...] = (
    (0x0043, "GEMS_PARM_01", 0x39),
    (0x0019, "SIEMENS MR HEADER", 0x0C),
    (0x2001, "Philips Imaging DD 001", 0x03),
    (0x0065, "Image Private Header", 0x09),
)
_DIRECTIONS: tuple[tuple[_Private, ...], ...] = (
    tuple((0x0019, "GEMS_ACQU_01", element) for element in (0xBB, 0xBC, 0xBD)),
    ((0x0019, "SIEMENS MR HEADER", 0x0E),),
    tuple((0x2005, "Philips MR Imaging DD 001", element) for element in (0xB0, 0xB1, 0xB2)),
    ((0x0065, "Image Private Header", 0x37),),
)
_PRIVATE_GROUPS = frozenset({0x0019, 0x0029, 0x0043, 0x0065, 0x2001, 0x2005})
_GE_OFFSET = 100_000
"""GE adds 1,000,000,000 to b-values."""
_DIRECTION_DIGITS = 3

Traits = Mapping[str, str]


def trusted_traits(frames: Sequence[DicomFrame]) -> list[Traits]:
    """Return `CONTRAST_KEYWORDS` and `REPETITION_KEYWORDS` of each frame that has them, as text.

    B-values and directions that only a vendor's private tags hold bear the standard names.

    Source:
        GE (0043,1039) and (0019,10BB..BD), Siemens (0019,100C), (0019,100E) and its CSA header,
        Philips (2001,1003) and (2005,10B0..B2), United Imaging (0065,1009) and (0065,1037).
    """
    return _of_frames(frames, _trusted)


def all_traits(frames: Sequence[DicomFrame]) -> list[Traits]:
    """Return every short element of each frame, as text: private ones as ``(gggg,eeee)``.

    Left out are the patient, identities, the place of slices and what is an image or a table.
    """
    return _of_frames(frames, _every)


def _of_frames(
    frames: Sequence[DicomFrame], read: Callable[[Dataset], dict[str, str]]
) -> list[Traits]:
    """Read the header of each file once, and the functional groups of each frame over it."""
    headers: dict[Path, dict[str, str]] = {}
    traits: list[Traits] = []
    for frame in frames:
        path = frame.file.path
        if path not in headers:
            shared = Tags(frame.file.header).items("SharedFunctionalGroupsSequence")[:1]
            headers[path] = read(frame.file.header) | _of_groups(shared, read)
        groups = _per_frame_groups(frame.file, frame.index)
        found = headers[path] | _of_groups(groups, read) if groups else headers[path]
        traits.append(found | {"TemporalPositionIndex": frame.phase} if frame.phase else found)
    return traits


def _per_frame_groups(file: DicomFile, index: int) -> list[Dataset]:
    if "PerFrameFunctionalGroupsSequence" not in file.header:
        return []
    return Tags(file.header).items("PerFrameFunctionalGroupsSequence")[index : index + 1]


def _of_groups(
    groups: Sequence[Dataset], read: Callable[[Dataset], dict[str, str]]
) -> dict[str, str]:
    """Read functional groups flat, whatever sequences they nest in."""
    traits: dict[str, str] = {}
    for group in groups:
        traits |= read(group)
        for element in group:
            if element.VR == "SQ":
                traits |= _of_groups(list(element.value)[:1], read)
    return traits


def _trusted(dataset: Dataset) -> dict[str, str]:
    tags = Tags(dataset)
    traits = {}
    present = dataset.keys()  # iteration over the data set itself would convert every value
    for keyword, tag in _TRUSTED_TAGS.items():
        if tag in present:
            traits[keyword] = "\\".join(tags.texts(keyword))
    if "DiffusionGradientOrientation" in dataset:
        traits["DiffusionGradientOrientation"] = _direction_text(
            tags.numbers("DiffusionGradientOrientation", 3) or ()
        )
    if _PRIVATE_GROUPS.intersection(tag.group for tag in present):
        traits = _private_diffusion(dataset) | traits
    return {keyword: text for keyword, text in traits.items() if text}


def _private_diffusion(dataset: Dataset) -> dict[str, str]:
    """Return b-value and direction as vendors wrote them before the standard had tags for them."""
    traits = {}
    for tag in _B_VALUES:
        if numbers := _private_numbers(dataset, tag):
            value = numbers[0]
            if tag[0] == 0x0043 and value > _GE_OFFSET:
                value %= _GE_OFFSET
            traits["DiffusionBValue"] = f"{value:g}"
            break
    for parts in _DIRECTIONS:
        direction = [number for part in parts for number in _private_numbers(dataset, part)]
        if len(direction) == 3:
            traits["DiffusionGradientOrientation"] = _direction_text(direction)
            break
    return traits or _csa_diffusion(dataset)


def _csa_diffusion(dataset: Dataset) -> dict[str, str]:
    """Return b-value and direction of the CSA header of older Siemens scanners."""
    if "SIEMENS CSA HEADER" not in _creators(dataset, 0x0029):
        return {}
    try:
        csa = csa_header(dataset)
        if csa is None:
            return {}
        b_value, direction = csa_b_value(csa), csa_gradient_direction(csa)
    except FOREIGN_ERRORS:
        return {}
    traits = {} if b_value is None else {"DiffusionBValue": f"{b_value:g}"}
    if direction is not None:
        traits["DiffusionGradientOrientation"] = _direction_text(direction.tolist())
    return traits


def _private_numbers(dataset: Dataset, tag: _Private) -> list[float]:
    """Return the numbers of a private element, written in whatever form; none where absent."""
    group, creator, element = tag
    if creator not in _creators(dataset, group):
        return []
    try:
        value = dataset.private_block(group, creator)[element].value
        if isinstance(value, bytes):  # an element of unknown type
            value = _numbers_in_bytes(value)
        values = [value] if isinstance(value, (str, int, float)) else list(value)
        return [float(str(one)) for one in values]
    except FOREIGN_ERRORS:
        return []


def _creators(dataset: Dataset, group: int) -> list[str]:
    try:
        return dataset.private_creators(group)
    except FOREIGN_ERRORS:
        return []


def _numbers_in_bytes(value: bytes) -> list[float]:
    text = value.rstrip(b"\0 ")
    if text and all(byte in b"+-.0123456789eE\\ " for byte in text):
        return [float(part) for part in text.split(b"\\")]
    kind = np.dtype("<f8") if len(value) % 8 == 0 else np.dtype("<f4")
    return [float(number) for number in np.frombuffer(value, kind)]


def _direction_text(direction: Sequence[float]) -> str:
    """Return a direction without what rounding left of it; empty where there is none."""
    rounded = [round(float(part), _DIRECTION_DIGITS) + 0.0 for part in direction]
    return "\\".join(f"{part:g}" for part in rounded) if any(rounded) else ""


def _every(dataset: Dataset) -> dict[str, str]:
    tags = Tags(dataset)
    traits: dict[str, str] = {}
    for tag in list(dataset.keys()):
        if tag.group in (_PATIENT_GROUP, _PIXEL_GROUP) or tag.is_private_creator:
            continue
        try:
            element = dataset[tag]
            keyword = element.keyword
            if element.VR in ("SQ", "UI") or keyword in _NO_TRAITS:
                continue
            name = keyword or f"({tag.group:04X},{tag.element:04X})"
            value = element.value
            text = value.hex() if isinstance(value, bytes) else str(value)
        except FOREIGN_ERRORS:
            continue
        if 0 < len(text) <= _SHORT:
            traits[name] = text
    values = tags.texts("DimensionIndexValues") if "DimensionIndexValues" in dataset else ()
    return traits | {f"DimensionIndexValues[{n}]": text for n, text in enumerate(values)}
