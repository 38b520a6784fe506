"""Cases per second of loading for training: ours against decoding alone and against MONAI.

One run, the same phantom cases, image size, batch size, order of batches and workers for all:

- `floor`: the stored cases are decoded in the workers, and nothing else.
- `TrainingCases`: decoded, resampled and packed, batches of equal work (`BalancedBatchSampler`).
- `streaming`: packed likewise, from shards that `datasets` streams and shuffles in a buffer.
- `MONAI Dataset`: the same scans as `.nii.gz`, read and transformed in every epoch.
- `MONAI PersistentDataset`: transformed once, then read from a cache on disk (`torch.load`).
- `MONAI CacheDataset`: transformed once, then held in memory; as long as that suffices.

MONAI's transforms are LoadImage, Resize (bilinear, no smoothing) and ScaleIntensity, of every scan
of a case; before anything is timed, both sides' batches are compared. Nothing is augmented, which
is where caches gain most: what is random has to run behind them. The first epoch, which starts the
workers and fills caches, is timed apart; of the later ones the fastest counts.

    python benchmarks/loading.py              # about 10 minutes on 2 cores
    python benchmarks/loading.py --quick      # a few small cases; writes no result
"""

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import datasets
import nibabel
import numpy as np
import torch
from monai.data import CacheDataset, PersistentDataset
from monai.data import Dataset as MonaiDataset
from monai.transforms import Compose, LoadImage, Resize, ScaleIntensity, Transform
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from _machine import describe_machine, machine_slug
from raddiag_hf.data.batches.collate import collate_cases
from raddiag_hf.data.batches.sampling import BalancedBatchSampler
from raddiag_hf.data.batches.training_cases import CasePacker, TrainingCases, count_slices
from raddiag_hf.data.publishers.loading import load_dataset
from raddiag_hf.data.store.case import Case, decode_case
from raddiag_hf.data.store.case_metadata import read_metadata
from raddiag_hf.data.store.case_store import CaseStore
from raddiag_hf.data.store.case_writer import BuiltCase, write_cases
from raddiag_hf.data.store.scan_record import CaseScan
from raddiag_hf.labels.label_set import LabelSet
from raddiag_hf.model.image_processing_raddiag import RadDiagImageProcessor
from raddiag_hf.phantoms.cases import NORMAL, draw_case, phantom_disorders
from raddiag_hf.vocabulary import Split

RESULTS = Path(__file__).parent / "results"
LABELS = LabelSet((NORMAL, *(disorder.name for disorder in phantom_disorders())))
COLUMN = "disorders"
Packed = dict[str, Tensor]


@dataclass(frozen=True)
class Settings:
    """How much is loaded."""

    cases: int = 96
    drawn_size: int = 320
    drawn_slices: int = 48
    image_size: int = 256
    max_slices: int = 32
    batch_size: int = 8
    epochs: int = 3
    workers: tuple[int, ...] = (0, os.cpu_count() or 1)


QUICK = Settings(
    cases=16, drawn_size=64, drawn_slices=8, image_size=48, max_slices=6, batch_size=4, epochs=2
)


def draw(index: int, settings: Settings) -> BuiltCase:
    """Draw a phantom larger than what the network reads, so that it has to be resampled."""
    phantom = draw_case(0, index, image_size=settings.drawn_size, max_slices=settings.drawn_slices)
    scans = tuple(map(CaseScan, phantom.scans, phantom.key_slices, phantom.sequences))
    labels = {COLUMN: phantom.disorders}
    return BuiltCase(
        Case(phantom.case_id, phantom.patient_id, "phantoms", scans, labels, phantom.anatomy)
    )


class LoadCase(Transform):  # type: ignore[misc]
    """The scans of one case from NIfTI by MONAI's transforms, packed as the network reads them."""

    def __init__(self, settings: Settings) -> None:
        self.max_slices = settings.max_slices
        self.load = LoadImage(image_only=True, dtype=np.float32)
        self.resize = Resize((settings.image_size, settings.image_size), mode="bilinear")
        self.scale = ScaleIntensity(0.0, 1.0)

    def __call__(self, item: Mapping[str, Any]) -> Packed:
        """Load one case; slices are the channels of a 2D image, so that each is resized alone."""
        scans = []
        for path in item["paths"]:
            stack = self.load(path).as_tensor().permute(2, 0, 1)
            if len(stack) > self.max_slices:
                stack = stack[torch.arange(self.max_slices) * len(stack) // self.max_slices]
            scans.append(self.scale(self.resize(stack)))
        return {
            "labels": torch.as_tensor(item["labels"]),
            "pixel_values": torch.cat([torch.as_tensor(scan) for scan in scans])[:, None],
            "slice_counts": torch.tensor([len(scan) for scan in scans]),
            "scan_counts": torch.tensor([len(scans)]),
            "modality_slots": torch.as_tensor(item["modality_slots"]),
            "key_slices": torch.as_tensor(item["key_slices"]),
        }


class DecodedCases(Dataset[int]):
    """How many pixels a case has, once they are decoded."""

    def __init__(self, rows: datasets.Dataset) -> None:
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> int:
        case = decode_case(self.rows[index], self.rows.features)
        return sum(one.scan.volume.size for one in case.scans)


class MadeAtFirstUse:
    """Batches whose first epoch pays for what has to be made before."""

    def __init__(self, make: Callable[[], Iterable[Any]]) -> None:
        self.make = make
        self.made: Iterable[Any] | None = None

    def __iter__(self) -> Iterator[Any]:
        self.made = self.make() if self.made is None else self.made
        return iter(self.made)


def write_nifti(case: Case, packed: Packed, folder: Path) -> dict[str, Any]:
    """Write the scans of a case as `.nii.gz`, in the type that they are stored in, and list it."""
    paths = []
    for number, one in enumerate(case.scans):
        path = folder / f"{case.case_id}-{number}.nii.gz"
        volume = one.scan.volume.transpose(1, 2, 0)
        whole = np.array_equal(volume, np.rint(volume))
        nibabel.save(
            nibabel.Nifti1Image(volume.astype(np.int16 if whole else np.float32), np.eye(4)), path
        )
        paths.append(str(path))
    kept = ("labels", "modality_slots", "key_slices")
    return {"paths": paths} | {name: packed[name].numpy() for name in kept}


def loader(
    dataset: Any, sampler: Iterable[list[int]], workers: int, collate: Callable[[Any], Any]
) -> DataLoader[Any]:
    """Return the loader that all share but for their data set."""
    return DataLoader(
        dataset,
        batch_sampler=sampler,
        num_workers=workers,
        collate_fn=collate,
        persistent_workers=workers > 0,
    )


def time_epochs(batches: Iterable[Any], cases: int, epochs: int) -> dict[str, float]:
    """Go through some epochs; return cases per second of the first and of the fastest later one."""
    seconds = []
    for _ in range(epochs):
        start = time.perf_counter()
        for _ in batches:
            pass
        seconds.append(time.perf_counter() - start)
    return {
        "first_epoch": round(cases / seconds[0], 2),
        "later_epochs": round(cases / min(seconds[1:]), 2),
    }


def differences(ours: Sequence[Packed], theirs: Sequence[Packed]) -> float:
    """Return the largest difference between pixels; everything else has to be equal."""
    largest = 0.0
    for batch, other in zip(ours, theirs, strict=True):
        for name in batch.keys() - {"pixel_values"}:
            if not torch.equal(batch[name], other[name]):
                raise RuntimeError(f"{name} differs between our loader and MONAI's")
        gap = (batch["pixel_values"] - other["pixel_values"]).abs().max()
        largest = max(largest, float(gap))
    return largest


def folder_bytes(folder: Path, pattern: str) -> int:
    """Return the size of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob(pattern))


def measure(settings: Settings, folder: Path) -> dict[str, Any]:
    """Write the cases in both formats, compare the batches, and time every way to load them."""
    items = {Split.TRAIN: {str(index): index for index in range(settings.cases)}}
    store = write_cases(
        folder / "store",
        items,
        partial(draw, settings=settings),
        {COLUMN: LABELS},
        card_text="# Phantoms",
        num_proc=os.cpu_count() or 1,
    )
    rows = datasets.load_dataset(str(folder / "store"), split="train", cache_dir=str(folder / "c"))
    processor = RadDiagImageProcessor(
        image_size=settings.image_size, max_slices=settings.max_slices, antialias=False
    )
    packer = CasePacker(rows.features, processor, COLUMN)
    (folder / "nifti").mkdir()
    listed = [
        write_nifti(decode_case(row, rows.features), packer(row), folder / "nifti") for row in rows
    ]
    transform = Compose([LoadCase(settings)])
    ours = TrainingCases(rows, packer)
    metadata = read_metadata(store)
    slices = count_slices(
        metadata.scan_cases, metadata.scan_depths, len(metadata), settings.max_slices
    )
    sampler = BalancedBatchSampler(slices.tolist(), settings.batch_size)
    join = partial(loader, sampler=sampler, workers=0, collate=collate_cases)
    largest = differences(list(join(ours)), list(join(MonaiDataset(listed, transform))))
    results: dict[str, Any] = {
        "slices": int(slices.sum()),
        "largest_pixel_difference": largest,
        "bytes_per_case": {
            "parquet": folder_bytes(folder / "store", "*.parquet") // settings.cases,
            "nii.gz": folder_bytes(folder / "nifti", "*") // settings.cases,
            "MONAI cache in memory": int(slices.sum())
            * settings.image_size**2
            * 4
            // settings.cases,
        },
    }
    print(json.dumps(results))
    for workers in settings.workers:
        measured = {}
        for name, batches in ways(settings, folder, store, rows, listed, sampler, packer, workers):
            cases = len(sampler) * settings.batch_size
            measured[name] = time_epochs(batches, cases, settings.epochs)
            print(f"{workers} workers, {name}: {measured[name]}", flush=True)
        results[f"cases_per_s, {workers} workers"] = measured
    cache = folder_bytes(folder, "*.pt") // (settings.cases * len(settings.workers))
    results["bytes_per_case"]["MONAI cache on disk"] = cache
    return results


def ways(
    settings: Settings,
    folder: Path,
    store: CaseStore,
    rows: datasets.Dataset,
    listed: Sequence[Mapping[str, Any]],
    sampler: BalancedBatchSampler,
    packer: CasePacker,
    workers: int,
) -> Iterator[tuple[str, Iterable[Any]]]:
    """Yield each way to load the cases, made when its turn comes."""
    join = partial(loader, sampler=sampler, workers=workers)
    transform = Compose([LoadCase(settings)])
    yield "floor", join(DecodedCases(rows), collate=sum)
    yield "TrainingCases", join(TrainingCases(rows, packer), collate=collate_cases)
    stream = load_dataset(store.location, split="train", streaming=True)
    packed = stream.shuffle(seed=0, buffer_size=64).map(packer, remove_columns=stream.column_names)
    yield (
        "streaming",
        DataLoader(packed, settings.batch_size, collate_fn=collate_cases, num_workers=workers),
    )
    yield "MONAI Dataset", join(MonaiDataset(listed, transform), collate=collate_cases)
    persistent = PersistentDataset(listed, transform, cache_dir=folder / f"cache-{workers}")
    yield "MONAI PersistentDataset", join(persistent, collate=collate_cases)

    def fill() -> Iterable[Any]:
        """Fill the cache here: what workers fill, each of them would fill for itself."""
        cached = CacheDataset(listed, transform, num_workers=workers or None, progress=False)
        return join(cached, collate=collate_cases)

    yield "MONAI CacheDataset", MadeAtFirstUse(fill)


def main() -> None:
    """Measure everything and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a few cases; writes no result")
    quick = parser.parse_args().quick
    torch.set_num_threads(1)
    datasets.disable_progress_bars()
    settings = QUICK if quick else Settings()
    with tempfile.TemporaryDirectory() as folder:
        results = measure(settings, Path(folder))
    if quick:
        return
    report = {
        "machine": describe_machine(["torch", "datasets", "monai", "nibabel"]),
        "settings": vars(settings),
        **results,
    }
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"loading_{machine_slug()}.json"
    path.write_text(json.dumps(report, indent=1) + "\n")
    print(f"written to {path}")


if __name__ == "__main__":
    main()
