"""DICOM study of a phantom case, as a hospital would hold it."""

import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import uid
from pydicom.dataset import Dataset, FileMetaDataset

from raddiag_hf.phantoms.cases import PhantomCase
from raddiag_hf.phantoms.shapes import PLANE_AXES
from raddiag_hf.vocabulary import Anatomy, Modality, Plane, Sex

_SOP_CLASSES = {
    Modality.CT: ("CT", uid.CTImageStorage),
    Modality.MRI: ("MR", uid.MRImageStorage),
    Modality.XRAY: ("CR", uid.ComputedRadiographyImageStorage),
    Modality.ULTRASOUND: ("US", uid.UltrasoundMultiFrameImageStorage),
}
_BODY_PARTS = {
    Anatomy.HEAD_AND_NECK: "HEAD",
    Anatomy.CHEST: "CHEST",
    Anatomy.ABDOMEN_AND_PELVIS: "ABDOMEN",
    Anatomy.LOWER_LIMB: "KNEE",
}
_CT_INTERCEPT = -1024
_CENTIMETRES = 3
_TISSUE_REGION = 1
_TWO_DIMENSIONAL = 1


def write_dicom_case(case: PhantomCase, folder: Path) -> tuple[Path, ...]:
    """Write a case as one study: a sub-folder of ``folder`` per scan, one series in each.

    CT and MRI become one file per slice, a radiograph one file, an ultrasound sweep one
    multi-frame file. Modality values equal the voxels of the scans exactly. All identifiers follow
    from the case, so writing it twice gives the same bytes. The study says in
    ``StudyDescription`` that it is synthetic.

    Args:
        case: What to write.
        folder: Where; must not exist, its parent must. Appears only when it is complete.

    Returns:
        The folder of each scan, in the order of ``case.scans``: ``CT1``, ``MR2``, ``CR3``, ...

    Raises:
        FileExistsError: If ``folder`` exists.
    """
    if folder.exists():
        raise FileExistsError(f"{folder} exists; expected a folder that can be made anew")
    names = []
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".phantom-") as scratch:
        study = Path(scratch) / "study"
        for number, scan in enumerate(case.scans, start=1):
            if scan.modality is None:
                raise ValueError(f"scan {scan.scan_id!r} has no modality")
            code, _ = _SOP_CLASSES[scan.modality]
            names.append(f"{code}{number}")
            series = study / names[-1]
            series.mkdir(parents=True)
            for position, image in enumerate(_images(case, number - 1), start=1):
                path = series / f"{position:04d}.dcm"
                image.save_as(path, enforce_file_format=True)
        study.rename(folder)
    return tuple(folder / name for name in names)


def _images(case: PhantomCase, scan_index: int) -> list[Dataset]:
    modality = case.scans[scan_index].modality
    volume = case.scans[scan_index].volume
    series = _series(case, scan_index)
    if modality is Modality.ULTRASOUND:
        return [_ultrasound(series, case, scan_index)]
    if modality is Modality.XRAY:
        return [_radiograph(series, case, scan_index)]
    return [_slice(series, case, scan_index, index) for index in range(len(volume))]


def _series(case: PhantomCase, scan_index: int) -> Dataset:
    """Return what all files of one series share."""
    scan = case.scans[scan_index]
    code, sop_class = _SOP_CLASSES[scan.modality or Modality.CT]
    image = Dataset()
    image.SpecificCharacterSet = "ISO_IR 192"
    image.SOPClassUID = sop_class
    image.Modality = code
    image.Manufacturer = "raddiag-hf"
    image.ManufacturerModelName = "synthetic anatomy"
    image.PatientName = f"Phantom^{case.patient_id}"
    image.PatientID = case.patient_id
    image.PatientBirthDate = ""
    image.PatientSex = "F" if case.sex is Sex.FEMALE else "M"
    image.PatientAge = f"{round(case.age):03d}Y"
    image.StudyInstanceUID = _uid(case, "study")
    image.SeriesInstanceUID = _uid(case, scan_index)
    image.FrameOfReferenceUID = _uid(case, "frame of reference")
    image.PositionReferenceIndicator = ""
    image.StudyID = "1"
    image.StudyDate = image.StudyTime = image.AccessionNumber = ""
    image.ReferringPhysicianName = ""
    image.StudyDescription = "Synthetic phantom, not a patient"
    image.SeriesNumber = scan_index + 1
    image.SeriesDescription = f"{scan.plane.value} {case.sequences[scan_index]}"
    image.BodyPartExamined = _BODY_PARTS[case.anatomy]
    return image


def _slice(series: Dataset, case: PhantomCase, scan_index: int, slice_index: int) -> Dataset:
    scan = case.scans[scan_index]
    depth, height, width = PLANE_AXES[scan.plane]
    step_mm, row_step_mm, column_step_mm = scan.spacing_mm
    image = _copy(series)
    image.PatientPosition = "HFS"
    image.AcquisitionNumber = 1
    image.PixelSpacing = [_decimal(row_step_mm), _decimal(column_step_mm)]
    image.SliceThickness = image.SpacingBetweenSlices = _decimal(step_mm)
    image.ImageOrientationPatient = [_decimal(value) for value in (*width, *height)]
    place = np.array(case.origins_mm[scan_index]) + slice_index * step_mm * depth
    image.ImagePositionPatient = [_decimal(value) for value in place]
    low, high = float(scan.volume.min()), float(scan.volume.max())
    # PS3.3 C.11.2.1.2: a linear window of this centre and width spans low to high.
    image.WindowCenter, image.WindowWidth = _decimal((low + high + 1) / 2), _decimal(high - low + 1)
    stored = scan.volume[slice_index]
    if scan.modality is Modality.CT:
        image.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
        image.KVP = "120"
        image.RescaleIntercept, image.RescaleSlope = str(_CT_INTERCEPT), "1"
        image.RescaleType = "HU"
        stored = stored - _CT_INTERCEPT
    else:
        _describe_sequence(image, case.sequences[scan_index])
    return _with_pixels(image, stored, slice_index, bits=16)


def _describe_sequence(image: Dataset, weighting: str) -> None:
    image.ImageType = ["ORIGINAL", "PRIMARY", "OTHER"]
    image.ScanningSequence, image.SequenceVariant, image.ScanOptions = "SE", "NONE", ""
    image.MRAcquisitionType, image.EchoTrainLength = "2D", 1
    image.RepetitionTime, image.EchoTime = ("500", "15") if weighting == "T1" else ("4000", "100")


def _radiograph(series: Dataset, case: PhantomCase, scan_index: int) -> Dataset:
    scan = case.scans[scan_index]
    image = _copy(series)
    image.ImageType = ["ORIGINAL", "PRIMARY"]
    is_frontal = scan.plane is Plane.FRONTAL
    image.ViewPosition = "PA" if is_frontal else "LL"
    image.PatientOrientation = ["L", "F"] if is_frontal else ["P", "F"]
    image.PixelSpacing = [_decimal(step) for step in scan.spacing_mm[1:]]
    image.ImagerPixelSpacing = image.PixelSpacing
    image.RescaleIntercept, image.RescaleSlope, image.RescaleType = "0", "1", "US"
    image.WindowCenter, image.WindowWidth = "2048", "4096"
    return _with_pixels(image, scan.volume[0], 0, bits=12)


def _ultrasound(series: Dataset, case: PhantomCase, scan_index: int) -> Dataset:
    scan = case.scans[scan_index]
    frames, height, width = scan.volume.shape
    image = _copy(series)
    image.ImageType = ["ORIGINAL", "PRIMARY", "ABDOMINAL", "0001"]
    image.NumberOfFrames = frames
    image.FrameTime = "40"
    image.FrameIncrementPointer = 0x00181063
    region = Dataset()
    region.RegionSpatialFormat, region.RegionDataType = _TWO_DIMENSIONAL, _TISSUE_REGION
    region.RegionFlags = 0
    region.RegionLocationMinX0 = region.RegionLocationMinY0 = 0
    region.RegionLocationMaxX1, region.RegionLocationMaxY1 = width - 1, height - 1
    region.PhysicalUnitsXDirection = region.PhysicalUnitsYDirection = _CENTIMETRES
    region.PhysicalDeltaX, region.PhysicalDeltaY = scan.spacing_mm[2] / 10, scan.spacing_mm[1] / 10
    image.SequenceOfUltrasoundRegions = [region]
    return _with_pixels(image, scan.volume, 0, bits=8)


def _with_pixels(
    image: Dataset, values: NDArray[np.float32], instance_index: int, bits: int
) -> Dataset:
    allocated = 8 if bits <= 8 else 16
    image.SOPInstanceUID = uid.generate_uid(
        entropy_srcs=[image.SeriesInstanceUID, str(instance_index)]
    )
    image.InstanceNumber = instance_index + 1
    image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
    image.Rows, image.Columns = values.shape[-2:]
    image.BitsAllocated, image.BitsStored, image.HighBit = allocated, bits, bits - 1
    image.PixelRepresentation = 0
    image.PixelData = values.astype(f"<u{allocated // 8}").tobytes()
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
    return image


def _copy(dataset: Dataset) -> Dataset:
    copy = Dataset()
    copy.update(dataset)
    return copy


def _uid(case: PhantomCase, part: str | int) -> uid.UID:
    return uid.generate_uid(entropy_srcs=[case.case_id, str(part)])


def _decimal(value: float) -> str:
    """Format a number for a decimal string, which holds at most 16 characters."""
    return f"{value:.10g}"
