"""Kinds of files that are mutated: small good ones of every format and encoding that is read."""

from collections.abc import Callable
from pathlib import Path

import imagecodecs
import nibabel
import numpy as np
from PIL import Image
from pydicom import uid
from pydicom.encaps import encapsulate

from tests.fixtures.dicom_files import (
    dicom_dataset,
    functional_groups,
    numbered_slices,
    write_dicom,
)

SLICE = numbered_slices(1)[0]
WIDE = np.arange(64 * 64, dtype=np.uint16).reshape(64, 64)
COLOUR = np.dstack([SLICE, SLICE[::-1], SLICE[:, ::-1]]).astype(np.uint8)


def dicom_file(path: Path) -> Path:
    """CT slice, not compressed."""
    return write_dicom(path, SLICE, RescaleSlope=1, RescaleIntercept=0, WindowCenter=[1, 2])


def enhanced_file(path: Path) -> Path:
    """Enhanced object of two frames with functional groups."""
    dataset = dicom_dataset(numbered_slices(2), Modality="MR")
    dataset.PerFrameFunctionalGroupsSequence = [
        functional_groups([0, 0, float(height)]) for height in range(2)
    ]
    dataset.save_as(path)
    return path


def deflated_file(path: Path) -> Path:
    """CT slice whose data set is deflated."""
    dataset = dicom_dataset(SLICE)
    dataset.file_meta.TransferSyntaxUID = uid.DeflatedExplicitVRLittleEndian
    dataset.save_as(path)
    return path


def compressed_file(syntax: uid.UID) -> Callable[[Path], Path]:
    """Return what writes a CT slice that pydicom compresses."""

    def write(path: Path) -> Path:
        dataset = dicom_dataset(WIDE)
        dataset.compress(syntax)
        dataset.save_as(path)
        return path

    return write


def encapsulated_file(
    syntax: uid.UID, pixels: np.ndarray, encode: Callable[[np.ndarray], bytes]
) -> Callable[[Path], Path]:
    """Return what writes an image that a codec compressed."""

    def write(path: Path) -> Path:
        dataset = dicom_dataset(pixels)
        dataset.file_meta.TransferSyntaxUID = syntax
        dataset.PixelData = encapsulate([encode(pixels)])
        dataset["PixelData"].is_undefined_length = True
        dataset.save_as(path)
        return path

    return write


def nifti_file(path: Path, suffix: str = ".nii", dtype: str = "uint16") -> Path:
    """Volume as NIfTI."""
    path = path.with_suffix(suffix)
    nibabel.save(nibabel.Nifti1Image(numbered_slices(3).astype(dtype), np.eye(4)), path)
    return path


def nifti_gz_file(path: Path) -> Path:
    """Volume of float64 as NIfTI within gzip."""
    return nifti_file(path, ".nii.gz", "float64")


def picture_file(suffix: str, mode: str) -> Callable[[Path], Path]:
    """Return what writes a picture."""

    def write(path: Path) -> Path:
        image = Image.fromarray(SLICE.astype(np.uint8)).convert(mode)
        image.save(path.with_suffix(suffix))
        return path.with_suffix(suffix)

    return write


def pages_file(path: Path) -> Path:
    """TIFF of several pages, 16 bits, compressed."""
    pages = [Image.fromarray(page.astype(np.uint16)) for page in numbered_slices(4)]
    path = path.with_suffix(".tif")
    pages[0].save(path, save_all=True, append_images=pages[1:], compression="tiff_lzw")
    return path


def npy_file(path: Path) -> Path:
    """Volume as NPY."""
    np.save(path.with_suffix(".npy"), numbered_slices(3))
    return path.with_suffix(".npy")


WRITERS: dict[str, Callable[[Path], Path]] = {
    "dicom": dicom_file,
    "enhanced": enhanced_file,
    "deflated": deflated_file,
    "rle": compressed_file(uid.RLELossless),
    "jpeg_2000": compressed_file(uid.JPEG2000Lossless),
    "jpeg_ls": encapsulated_file(uid.JPEGLSLossless, WIDE, imagecodecs.jpegls_encode),
    "jpeg_ls_colour": encapsulated_file(uid.JPEGLSLossless, COLOUR, imagecodecs.jpegls_encode),
    "jpeg_lossless": encapsulated_file(
        uid.JPEGLosslessSV1, WIDE, lambda pixels: imagecodecs.jpeg8_encode(pixels, lossless=True)
    ),
    "jpeg_baseline": encapsulated_file(
        uid.JPEGBaseline8Bit, COLOUR, lambda pixels: imagecodecs.jpeg8_encode(pixels, level=90)
    ),
    "htj2k": encapsulated_file(uid.HTJ2KLossless, WIDE, imagecodecs.htj2k_encode),
    "nifti": nifti_file,
    "nifti_gz": nifti_gz_file,
    "png": picture_file(".png", "P"),
    "png_alpha": picture_file(".png", "LA"),
    "jpeg": picture_file(".jpg", "RGB"),
    "tiff": picture_file(".tif", "L"),
    "tiff_pages": pages_file,
    "bmp": picture_file(".bmp", "RGB"),
    "npy": npy_file,
}
"""Kind -> what writes a good file of it, beside the path that it is given, and returns where."""
