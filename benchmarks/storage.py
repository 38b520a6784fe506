"""What pixels cost on disk and at decoding: our storage against float32 `.npy` and `.nii.gz`.

One run, one thread, warm page cache, the same arrays for every format, one file per scan:

- `npy`: float32, as the reference stores its data (np.load).
- `nii.gz`: 8 or 16 bit integers where the scan is whole-numbered, else float32 (nibabel).
- `16 bit`, `8 bit`: `encode_volume` with these bits. Decoding is timed twice: to the stored
  integers (`decode_stored_values`) and to float32 (`decode_volume`).
- `rows`: whole cases through `datasets.load_dataset`, memory-mapped Arrow, decoded to integers.
- `trade`: 8 bit integers, uncompressed or compressed by other codecs, for the best that exists.

On two grids: as read, and as the reference stores its data, 256 x 256 and at most 32 slices.
Arrays of the last 8 scans are kept, as a batch would keep them, so that memory is not just reused.
Formats take turns, and the least disturbed of several rounds counts. `from disk` is one round with
each file dropped from the page cache before.

    python benchmarks/storage.py                     # about 5 minutes
    RADDIAG_SHARED=... python benchmarks/storage.py  # real images elsewhere than ../shared
"""

import csv
import json
import math
import os
import tempfile
import time
from ast import literal_eval
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice, product
from pathlib import Path
from typing import Any

import datasets
import nibabel
import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from _machine import describe_machine, machine_slug
from raddiag_hf.data.store.case import Case, case_features, encode_case
from raddiag_hf.data.store.scan_record import CaseScan
from raddiag_hf.data.store.shard_writer import write_shard
from raddiag_hf.data.store.storage_options import StorageOptions
from raddiag_hf.data.store.volume_codec import (
    decode_stored_values,
    decode_volume,
    encode_volume,
    row_deltas,
    undo_row_deltas,
)
from raddiag_hf.imaging.reading import read_scan
from raddiag_hf.imaging.scan import Scan
from raddiag_hf.labels.label_set import LabelSet
from raddiag_hf.model.scan_resampling import resize_slices, sampled_slices
from raddiag_hf.phantoms.cases import draw_cases
from raddiag_hf.vocabulary import Modality

SHARED = Path(os.environ.get("RADDIAG_SHARED", Path(__file__).parents[2] / "shared")) / "data"
RESULTS = Path(__file__).parent / "results"
ROUNDS, KEPT_SCANS = 9, 8
Cases = list[list[Scan]]
Volume = NDArray[np.float32]


def by_patient(rows: Iterable[Mapping[str, str]], patient: str, name: str) -> Iterator[list[str]]:
    """The image names of each patient, in the order of the table."""
    patients: dict[str, list[str]] = defaultdict(list)
    for row in rows:
        patients[row[patient]].append(row[name])
    yield from patients.values()


def table(path: Path) -> Iterator[dict[str, str]]:
    """The rows of a CSV file."""
    with path.open(newline="", encoding="utf-8-sig") as file:
        yield from csv.DictReader(file)


def real_sets() -> dict[str, Cases]:
    """Some cases of every real data set that is there."""
    films = by_patient(
        table(SHARED / "cxr14" / "Data_Entry_2017_v2020.csv"), "Patient ID", "Image Index"
    )
    covid = by_patient(table(SHARED / "covid_chestxray" / "metadata.csv"), "patientid", "filename")
    clips: dict[str, list[Path]] = defaultdict(list)
    for path in sorted((SHARED / "pocus" / "image_dataset").rglob("*_frame*.jpg")):
        clips[path.name.partition("_frame")[0]].append(path)
    slices = sorted((SHARED / "brain_tumor" / "Testing").rglob("*.jpg"))
    return {
        "RP3D-DiagDS demo case": [
            [
                read_scan(path, modality=Modality.MRI)
                for path in sorted((SHARED / "rp3d_diag" / "DemoData" / "data").glob("*.npy"))
            ]
        ],
        "glioma MRI, four sequences": [
            [
                read_scan(path, modality=Modality.MRI)
                for path in sorted((SHARED / "glioma_mri").glob("*.nii.gz"))
            ]
        ],
        "brain MRI, FLAIR (DICOM)": [[read_scan(SHARED / "brainix" / "DICOM" / "FLAIR")]],
        "chest X-rays (CXR14)": [
            [
                read_scan(SHARED / "cxr14" / "images" / name, modality=Modality.XRAY)
                for name in names
            ]
            for names in islice(films, 60)
        ],
        "COVID-19 X-rays and CT slices": [
            [
                read_scan(SHARED / "covid_chestxray" / "images" / name, modality=Modality.XRAY)
                for name in names
            ]
            for names in islice(covid, 30)
        ],
        "lung ultrasound clips (POCUS)": [
            [stacked(paths, Modality.ULTRASOUND)] for paths in islice(clips.values(), 24)
        ],
        "brain MRI slices": [[read_scan(path, modality=Modality.MRI)] for path in slices[::4][:40]],
    }


def stacked(paths: Sequence[Path], modality: Modality) -> Scan:
    """The frames of one clip as one scan."""
    frames = [read_scan(path, modality=modality) for path in paths]
    volume = np.concatenate([frame.volume for frame in frames])
    return replace(frames[0], volume=volume, is_picture=False)


def phantoms() -> Cases:
    """Twelve synthetic cases."""
    return [list(case.scans) for case in draw_cases(0, 12, image_size=256, max_slices=32)]


def on_reference_grid(cases: Cases) -> Cases:
    """Every scan as the reference stores it: 256 x 256, at most 32 slices."""

    def shrink(scan: Scan) -> Scan:
        stack = torch.from_numpy(scan.volume)
        stack = resize_slices(stack[sampled_slices(len(stack), 32)], 256, antialias=True)
        return replace(scan, volume=stack.numpy())

    return [[shrink(scan) for scan in case] for case in cases]


def measure_set(cases: Cases, folder: Path) -> dict[str, Any]:
    """Write every scan in every format and read it back, in turn."""
    volumes = [scan.volume for case in cases for scan in case]
    encoders: dict[str, Callable[[Volume, Path], None]] = {
        "npy": lambda volume, path: np.save(path, volume),
        "nii.gz": write_nifti,
        "16 bit": lambda volume, path: write_record(volume, 16, path),
        "8 bit": lambda volume, path: write_record(volume, 8, path),
    }
    decoders: dict[str, tuple[str, Callable[[Path], Any]]] = {
        "npy": ("npy", np.load),
        "nii.gz": ("nii.gz", lambda path: np.asarray(nibabel.load(path).dataobj)),
        "16 bit": ("16 bit", lambda path: decode_stored_values(read_record(path))),
        "16 bit to float32": ("16 bit", lambda path: decode_volume(read_record(path))),
        "8 bit": ("8 bit", lambda path: decode_stored_values(read_record(path))),
        "8 bit to float32": ("8 bit", lambda path: decode_volume(read_record(path))),
    }
    files: dict[str, list[Path]] = {}
    encode_s: dict[str, float] = {}
    for name, encode in encoders.items():
        suffix = "nii.gz" if name == "nii.gz" else "npy" if name == "npy" else "record"
        files[name] = [folder / f"{name} {index}.{suffix}" for index in range(len(volumes))]
        start = time.perf_counter()
        for volume, path in zip(volumes, files[name], strict=True):
            encode(volume, path)
        encode_s[name] = time.perf_counter() - start

    jobs = {name: (files[stored_as], decode) for name, (stored_as, decode) in decoders.items()}
    seconds = time_reading(jobs)
    from_disk = time_reading(jobs, from_disk=True)
    num_bytes = {name: sum(path.stat().st_size for path in paths) for name, paths in files.items()}
    for paths in files.values():
        for path in paths:
            path.unlink()
    return {
        "cases": len(cases),
        "scans": len(volumes),
        "megavoxels": round(sum(volume.size for volume in volumes) / 1e6, 2),
        "bytes_per_case": {name: round(size / len(cases)) for name, size in num_bytes.items()},
        "times_smaller_than_npy": {
            name: round(num_bytes["npy"] / size, 2) for name, size in num_bytes.items()
        },
        "encode_cases_per_s": {name: round(len(cases) / s, 2) for name, s in encode_s.items()},
        "decode_cases_per_s": {name: round(len(cases) / s, 2) for name, s in seconds.items()},
        "decode_speed_against_npy": {
            name: round(seconds["npy"] / s, 2) for name, s in seconds.items()
        },
        "from_disk_speed_against_npy": {
            name: round(from_disk["npy"] / s, 2) for name, s in from_disk.items()
        },
    }


def time_reading(
    jobs: Mapping[str, tuple[Sequence[Path], Callable[[Path], Any]]], from_disk: bool = False
) -> dict[str, float]:
    """Seconds that each job takes for all of its files."""
    seconds: dict[str, list[float]] = {name: [] for name in jobs}
    for _ in range(1 if from_disk else ROUNDS):
        for name, (paths, read) in jobs.items():
            if from_disk:
                drop_from_page_cache(paths)
            kept: deque[Any] = deque(maxlen=KEPT_SCANS)
            start = time.perf_counter()
            for path in paths:
                kept.append(read(path))
            seconds[name].append(time.perf_counter() - start)
    return {name: min(rounds) for name, rounds in seconds.items()}


def drop_from_page_cache(paths: Sequence[Path]) -> None:
    """Make the next read of these files come from the disk."""
    for path in paths:
        with path.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def measure_trade(cases: Cases, folder: Path) -> dict[str, Any]:
    """Compare codecs on 8 bit values, with and without row differences."""
    scans = [scan.volume for case in cases for scan in case]
    values = [decode_stored_values(encode_volume(scan, bits=8)) for scan in scans]
    shapes = [scan.shape for scan in scans]
    npy = [folder / f"{index}.npy" for index in range(len(scans))]
    for path, scan in zip(npy, scans, strict=True):
        np.save(path, scan)
    jobs: dict[str, tuple[Sequence[Path], Callable[[Path], Any]]] = {"npy": (npy, np.load)}
    codecs = {"uncompressed": None, "lz4": pa.Codec("lz4_raw")} | {
        f"zstd {level}": pa.Codec("zstd", level) for level in (1, 6)
    }
    for (name, codec), by_row in product(codecs.items(), (False, True)):
        if codec is None and by_row:
            continue
        name = f"row-delta {name}" if by_row else name
        files = [folder / f"{index} {name}.{shape}" for index, shape in enumerate(shapes)]
        for path, stored in zip(files, values, strict=True):
            pixels = (row_deltas(stored) if by_row else stored).tobytes()
            path.write_bytes(codec.compress(pixels, asbytes=True) if codec else pixels)
        jobs[name] = (files, partial(read_plainly, codec=codec, by_row=by_row))
    seconds = time_reading(jobs)
    num_bytes = {
        name: sum(path.stat().st_size for path in paths) for name, (paths, _) in jobs.items()
    }
    return {
        name: {
            "times_smaller_than_npy": round(num_bytes["npy"] / num_bytes[name], 2),
            "decode_speed_against_npy": round(seconds["npy"] / seconds[name], 2),
        }
        for name in jobs
    }


def read_plainly(path: Path, codec: Any, by_row: bool) -> NDArray[np.uint8]:
    """Read bytes whose shape is in the name of their file."""
    shape = literal_eval(path.name.rpartition(".")[2])
    content: Any = path.read_bytes()
    if codec is not None:
        content = codec.decompress(content, decompressed_size=math.prod(shape))
    values = np.frombuffer(content, np.uint8).reshape(shape)
    if by_row:
        undo_row_deltas(values)
    return values


def write_nifti(volume: Volume, path: Path) -> None:
    """Write the smallest type that holds the scan."""
    whole = np.array_equal(volume, np.rint(volume))
    low, high = volume.min(), volume.max()
    dtype: type[Any] = np.float32
    if whole and low >= 0 and high < 2**8:
        dtype = np.uint8
    elif whole and low >= -(2**15) and high < 2**15:
        dtype = np.int16
    nibabel.save(nibabel.Nifti1Image(volume.astype(dtype), np.eye(4)), path)


def write_record(volume: Volume, bits: Any, path: Path) -> None:
    """Write what a row of a data set would hold as a file of its own."""
    stored: dict[str, Any] = dict(encode_volume(volume, bits))
    pixels = stored.pop("data")
    path.write_bytes(json.dumps(stored).encode() + b"\n" + pixels)


def read_record(path: Path) -> dict[str, Any]:
    """Read what `write_record` wrote."""
    content = path.read_bytes()
    end = content.index(b"\n")
    return json.loads(content[:end]) | {"data": memoryview(content)[end + 1 :]}


def measure_rows(cases: Cases, storage: StorageOptions, folder: Path) -> dict[str, Any]:
    """Write the cases as a shard and read them as training does."""
    features = case_features(LabelSet(("Normal",)))
    rows = (
        encode_case(
            Case(
                case_id=str(index),
                patient_id=str(index),
                source="benchmark",
                scans=tuple(
                    CaseScan(replace(scan, scan_id=str(number), modality=Modality.CT))
                    for number, scan in enumerate(case)
                ),
                labels={"labels": ()},
            ),
            features,
            storage,
        )
        for index, case in enumerate(cases)
    )
    write_shard(folder / "cases.parquet", rows, features)
    loaded = datasets.load_dataset(
        "parquet",
        data_files=str(folder / "cases.parquet"),
        split="train",
        cache_dir=str(folder / "cache"),
    )
    seconds = []
    for _ in range(ROUNDS):
        kept: deque[Any] = deque(maxlen=KEPT_SCANS)
        start = time.perf_counter()
        for index in range(len(loaded)):
            kept.extend(decode_stored_values(scan["volume"]) for scan in loaded[index]["scans"])
        seconds.append(time.perf_counter() - start)
    return {
        "cases": len(cases),
        "parquet_bytes_per_case": round((folder / "cases.parquet").stat().st_size / len(cases)),
        "decode_cases_per_s": round(len(cases) / min(seconds), 2),
    }


def report(name: str, row: Mapping[str, Any]) -> None:
    """Print one set."""
    print(f"\n{name}: {row['cases']} cases, {row['scans']} scans, {row['megavoxels']} Mvoxels")
    for column, values in row.items():
        if column.endswith("npy"):
            shown = "  ".join(f"{key} {value:.2f}" for key, value in values.items())
            print(f"  {column:28s} {shown}", flush=True)


def main() -> None:
    """Measure everything and write the results."""
    torch.set_num_threads(1)
    pa.set_cpu_count(1)
    datasets.disable_progress_bars()
    real = real_sets()
    results: dict[str, Any] = {
        "machine": describe_machine(["datasets", "pyarrow", "numpy", "nibabel"]),
        "rounds": ROUNDS,
    }
    for grid, change in (("as_read", list), ("reference_grid", on_reference_grid)):
        sets = {name: change(cases) for name, cases in real.items()}
        sets["all real cases"] = [case for cases in sets.values() for case in cases]
        sets["phantoms"] = change(phantoms())
        results[grid] = {}
        for name, cases in sets.items():
            with tempfile.TemporaryDirectory() as folder:
                results[grid][name] = measure_set(cases, Path(folder))
            report(f"{grid}, {name}", results[grid][name])
        for bits in (16, 8):
            with tempfile.TemporaryDirectory() as folder:
                row = measure_rows(sets["all real cases"], StorageOptions(bits=bits), Path(folder))
            results[grid][f"all real cases as rows of a data set, {bits} bit"] = row
            print(f"\n{grid}, rows, {bits} bit: {row}", flush=True)
        with tempfile.TemporaryDirectory() as folder:
            trade = measure_trade(sets["all real cases"], Path(folder))
        results[grid]["trade, 8 bit"] = trade
        print(f"\n{grid}, trade, 8 bit:")
        for name, figures in trade.items():
            print(f"  {name:18s}", *(f"{value:6.2f}" for value in figures.values()), flush=True)
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"storage_{machine_slug()}.json"
    path.write_text(json.dumps(results, indent=1) + "\n")
    print(f"\nwritten to {path}")


if __name__ == "__main__":
    main()
