"""Phantom cases, packed for training: an in-memory data set of a few hundred patients."""

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context

import torch
from torch import Tensor

from raddiag_hf.labels.label_set import LabelSet
from raddiag_hf.model.image_processing_raddiag import RadDiagImageProcessor
from raddiag_hf.phantoms.cases import NORMAL, PhantomCase, draw_case, phantom_disorders

DISORDERS = phantom_disorders()[:12]
"""The most frequent disorders, few enough to be learnt in minutes."""


@dataclass(frozen=True)
class PhantomSplits:
    """Packed phantom cases of different patients.

    Attributes:
        label_set: ``Normal`` and the disorders, most frequent first, with their training counts.
        train: Cases to learn from, each packed by the image processor, with ``labels``.
        validation: Cases to choose thresholds on.
        test: Cases to evaluate on.
        test_seed: With which ``draw_case`` draws the test cases again, by their position.
    """

    label_set: LabelSet
    train: list[dict[str, Tensor]]
    validation: list[dict[str, Tensor]]
    test: list[dict[str, Tensor]]
    test_seed: int


def draw_phantom_splits(
    processor: RadDiagImageProcessor,
    num_cases: Sequence[int],
    *,
    seed: int,
    num_workers: int,
) -> PhantomSplits:
    """Draw and pack training, validation and test cases.

    Args:
        processor: Packs the cases; scans are drawn at its size.
        num_cases: Cases of the three splits.
        seed: Patients of different seeds are different, so the splits use three in a row.
        num_workers: Processes that draw.
    """
    names = (NORMAL, *(disorder.name for disorder in DISORDERS))
    label_set = LabelSet(names)
    splits = []
    with ProcessPoolExecutor(num_workers, mp_context=get_context("spawn")) as workers:
        for offset, count in enumerate(num_cases):
            pack = partial(_draw_and_pack, processor, label_set, seed + offset)
            splits.append(list(workers.map(pack, range(count), chunksize=16)))
    train, validation, test = splits
    counts = torch.cat([case["labels"] for case in train]).sum(0).int().tolist()
    return PhantomSplits(
        LabelSet(names, train_counts=tuple(counts)), train, validation, test, seed + 2
    )


def draw_test_case(
    splits: PhantomSplits, index: int, processor: RadDiagImageProcessor
) -> PhantomCase:
    """Return the phantom behind a packed test case."""
    return _draw(processor, splits.test_seed, index)


def _draw(processor: RadDiagImageProcessor, seed: int, index: int) -> PhantomCase:
    return draw_case(
        seed,
        index,
        image_size=processor.image_size,
        max_slices=processor.max_slices,
        disorders=DISORDERS,
    )


def _draw_and_pack(
    processor: RadDiagImageProcessor, label_set: LabelSet, seed: int, index: int
) -> dict[str, Tensor]:
    torch.set_num_threads(1)
    case = _draw(processor, seed, index)
    batch = processor(
        [scan.volume for scan in case.scans],
        [scan.modality for scan in case.scans],
        key_slices=case.key_slices,
        labels=label_set.encode(case.disorders)[None],
    )
    return dict(batch)
