"""What reading in a process that may die costs, against reading in the same process.

One run, the same files, both ways in turn; of each way the fastest round counts. The reading
process runs already, as it does from the second file of a run on; its start is timed apart.

    python benchmarks/guard.py              # about 3 minutes on 2 cores
    python benchmarks/guard.py --quick      # a few files; writes no result
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom import uid
from pydicom.dataset import FileDataset, FileMetaDataset

from _machine import describe_machine, machine_slug
from raddiag_hf.imaging.guard import end_readers
from raddiag_hf.imaging.read_settings import DEFAULT_READING
from raddiag_hf.imaging.reading import read_scans
from raddiag_hf.imaging.scan import ReadLimits, Scan
from raddiag_hf.imaging.study import read_study

RESULTS = Path(__file__).parent / "results"


def main() -> None:
    """Measure, print, and write the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    quick = parser.parse_args().quick
    with tempfile.TemporaryDirectory() as folder:
        results = {
            name: measure(path, rounds=2 if quick else 15)
            for name, path in write_files(Path(folder), 8 if quick else 96).items()
        }
        start_ms = 1000 * min(seconds_to_start(Path(folder)) for _ in range(2 if quick else 5))
    for name, result in results.items():
        print(
            f"{name:36} {result['mib']:8.1f} MiB {result['same_process_ms']:9.1f} ms "
            f"{result['guarded_ms']:9.1f} ms {result['cost_percent']:+6.1f} %"
        )
    print(f"start of the reading process: {start_ms:.0f} ms")
    if not quick:
        path = RESULTS / f"guard_{machine_slug()}.json"
        record = {
            "machine": describe_machine(["numpy", "pydicom", "nibabel", "pillow"]),
            "start_ms": start_ms,
            "files": results,
        }
        path.write_text(json.dumps(record, indent=2) + "\n", "utf-8")


def measure(path: Path, rounds: int) -> dict[str, float]:
    """Read a path both ways in turn; return the fastest of each, and the size once decoded."""
    fastest = {read_here: float("inf"), read_guarded: float("inf")}
    sizes = set()
    for _ in range(rounds):
        for read in fastest:
            begin = time.perf_counter()
            scans = read(path)
            fastest[read] = min(fastest[read], time.perf_counter() - begin)
            sizes.add(sum(scan.volume.nbytes for scan in scans))
            del scans
    (num_bytes,) = sizes
    here, guarded = 1000 * fastest[read_here], 1000 * fastest[read_guarded]
    return {
        "mib": num_bytes / 2**20,
        "same_process_ms": here,
        "guarded_ms": guarded,
        "cost_percent": 100 * (guarded / here - 1),
    }


def read_here(path: Path) -> list[Scan]:
    """Read in this process."""
    events = read_study(path, ReadLimits(), DEFAULT_READING, False, {})
    return [event for event in events if isinstance(event, Scan)]


def read_guarded(path: Path) -> list[Scan]:
    """Read as everybody does."""
    return list(read_scans(path).scans)


def seconds_to_start(folder: Path) -> float:
    """Return how long the first file takes."""
    end_readers()
    begin = time.perf_counter()
    read_guarded(folder / "slice")
    return time.perf_counter() - begin


def write_files(folder: Path, depth: int) -> dict[str, Path]:
    """Write what is read; return it by name."""
    random = np.random.default_rng(0)
    smooth = np.cumsum(random.normal(0, 12, (depth, 512, 512)), axis=2)
    volume = np.clip(1000 + smooth, 0, 4095).astype(np.uint16)
    grey = (volume[0] // 16).astype(np.uint8)
    packed = volume[:8]
    writers: dict[str, Callable[[Path], None]] = {
        "DICOM series": lambda path: write_series(path, volume, uid.ExplicitVRLittleEndian),
        "DICOM series, JPEG 2000": lambda path: write_series(path, packed, uid.JPEG2000Lossless),
        "DICOM series, RLE": lambda path: write_series(path, packed, uid.RLELossless),
        "slice": lambda path: write_series(path, volume[:1], uid.ExplicitVRLittleEndian),
        "nifti.nii.gz": lambda path: nibabel.save(nibabel.Nifti1Image(volume.T, np.eye(4)), path),
        "nifti.nii": lambda path: nibabel.save(nibabel.Nifti1Image(volume.T, np.eye(4)), path),
        "array.npy": lambda path: np.save(path, volume),
        "picture.png": lambda path: Image.fromarray(grey).save(path),
        "picture.jpg": lambda path: Image.fromarray(grey).save(path),
    }
    for name, write in writers.items():
        write(folder / name)
    return {name: folder / name for name in writers}


def write_series(folder: Path, volume: NDArray[np.uint16], syntax: uid.UID) -> None:
    """Write a CT series, one file for each slice."""
    folder.mkdir()
    study, series = uid.generate_uid(), uid.generate_uid()
    for index, pixels in enumerate(volume):
        meta = FileMetaDataset()
        meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
        image = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
        image.SOPClassUID, image.SOPInstanceUID = uid.CTImageStorage, uid.generate_uid()
        image.StudyInstanceUID, image.SeriesInstanceUID = study, series
        image.Modality, image.ImageType = "CT", ["ORIGINAL", "PRIMARY", "AXIAL"]
        image.PatientID, image.InstanceNumber = "benchmark", index + 1
        image.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        image.ImagePositionPatient = [0, 0, index]
        image.PixelSpacing, image.SliceThickness = [0.7, 0.7], 1
        image.RescaleSlope, image.RescaleIntercept = 1, -1024
        image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
        image.Rows, image.Columns = pixels.shape
        image.BitsAllocated, image.BitsStored, image.HighBit = 16, 12, 11
        image.PixelRepresentation, image.PixelData = 0, pixels.tobytes()
        if syntax.is_encapsulated:
            image.compress(syntax)
        image.save_as(folder / f"{index:04}.dcm")


if __name__ == "__main__":
    main()
