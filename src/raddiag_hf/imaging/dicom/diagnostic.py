"""Diagnostic objects: the DICOM images that a radiologist would read, and what is none."""

import re
from pathlib import Path

from pydicom import uid

from raddiag_hf.imaging.dicom.file import Tags
from raddiag_hf.imaging.dicom.localiser_names import is_named_localiser
from raddiag_hf.imaging.scan import ScanReadError, ScanReadReason

SECONDARY_CAPTURES = frozenset(
    {
        uid.SecondaryCaptureImageStorage,
        uid.MultiFrameSingleBitSecondaryCaptureImageStorage,
        uid.MultiFrameGrayscaleByteSecondaryCaptureImageStorage,
        uid.MultiFrameGrayscaleWordSecondaryCaptureImageStorage,
        uid.MultiFrameTrueColorSecondaryCaptureImageStorage,
    }
)
"""Digitised films and converted images, but also screenshots: judged by their study."""

CROSS_SECTIONAL = frozenset({"CT", "MR", "PT"})
"""Modality codes whose series are stacks of slices, and whose values mean more than display."""

_DERIVED_OBJECTS = {
    uid.SegmentationStorage: "a segmentation",
    uid.RTDoseStorage: "a radiotherapy dose",
    uid.ParametricMapStorage: "a parametric map",
}
_OTHER_MODALITIES = {
    "SEG": "a segmentation",
    "RTDOSE": "a radiotherapy dose",
    "SR": "a report",
    "DOC": "a document",
    "PR": "a presentation state",
    "REG": "a registration",
    "SM": "a microscope slide",
}
_RAW_DETECTOR_DATA = frozenset(
    {
        uid.DigitalXRayImageStorageForProcessing,
        uid.DigitalMammographyXRayImageStorageForProcessing,
        uid.DigitalIntraOralXRayImageStorageForProcessing,
    }
)
_NO_PATIENT = {"SD": "a scanned document", "DRW": "a drawing"}
"""``ConversionType`` of secondary captures that show no patient."""

_DOSE_SHEET = re.compile(
    r"\b(dose (report|info|record|summary|sheet)|patient protocol|screen ?save)\b", re.IGNORECASE
)


def refuse_unless_diagnostic(path: Path, tags: Tags, meta: Tags, *, has_pixels: bool) -> None:
    """Let only images pass that are made for diagnosis.

    Args:
        path: The file.
        tags: Of its data set.
        meta: Of its meta header, which outlives a cut through the data set.
        has_pixels: Whether there is pixel data.

    Raises:
        ScanReadError: ``NOT_AN_IMAGE`` for objects that have no pixels; ``CORRUPT`` for images
            that lack theirs and for what does not even say what it is; ``NOT_DIAGNOSTIC`` for
            localisers, dose sheets, raw detector data ("for processing"), segmentations, dose
            grids, parametric maps and scanned documents.
    """
    if not has_pixels:
        kind = uid.UID(meta.text("MediaStorageSOPClassUID") or tags.text("SOPClassUID"))
        if not kind:
            found = "neither pixels nor a SOPClassUID: truncated"
            raise ScanReadError(path, ScanReadReason.CORRUPT, found)
        if "Image Storage" in kind.name:
            found = "an image whose pixels are missing: truncated"
            raise ScanReadError(path, ScanReadReason.CORRUPT, found)
        raise ScanReadError(path, ScanReadReason.NOT_AN_IMAGE, _name_without_pixels(kind))
    reason = _not_diagnostic(uid.UID(tags.text("SOPClassUID")), tags)
    if reason is not None:
        raise ScanReadError(path, ScanReadReason.NOT_DIAGNOSTIC, reason)


def _name_without_pixels(sop_class: uid.UID) -> str:
    if sop_class == uid.MediaStorageDirectoryStorage:
        return "a DICOMDIR index; name the folder of the images instead"
    # The name of an unregistered class is its UID, which may point to the institution.
    name = "" if sop_class.name == str(sop_class) else f" ({sop_class.name})"
    return f"a DICOM object without pixel data{name}"


def _not_diagnostic(sop_class: uid.UID, tags: Tags) -> str | None:
    modality = tags.text("Modality").upper()
    if sop_class in _DERIVED_OBJECTS:
        return _DERIVED_OBJECTS[sop_class]
    if modality in _OTHER_MODALITIES:
        return _OTHER_MODALITIES[modality]
    is_raw = tags.text("PresentationIntentType").upper() == "FOR PROCESSING"
    if is_raw or sop_class in _RAW_DETECTOR_DATA:
        return "raw detector data (for processing), not made for reading"
    conversion = tags.text("ConversionType").upper()
    if sop_class in SECONDARY_CAPTURES and conversion in _NO_PATIENT:
        return _NO_PATIENT[conversion]
    image_type = [value.upper() for value in tags.texts("ImageType")]
    description = tags.text("SeriesDescription")
    # A skeletal survey and a leg-length scanogram are radiographs to read; a CT's survey is not.
    if modality in CROSS_SECTIONAL:
        named = description or tags.text("ProtocolName")
        if "LOCALIZER" in image_type or is_named_localiser(named):
            return "a localiser"
        if "SCREEN SAVE" in image_type or _DOSE_SHEET.search(description):
            return "a dose sheet or screenshot"
    return None
