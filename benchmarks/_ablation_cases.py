"""The phantom cases of the ablation: long-tailed, with some compositions held out entirely."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from raddiag_hf import RadDiagImageProcessor
from raddiag_hf.core.atomic_files import atomic_write
from raddiag_hf.labels.label_set import LabelSet
from raddiag_hf.phantoms.cases import NORMAL, PhantomDisorder, draw_case, phantom_disorders

UNSEEN = phantom_disorders()[14::5]
"""Compositions that no training or validation case has; each of their words, others have."""
SEEN = tuple(disorder for disorder in phantom_disorders() if disorder not in UNSEEN)
LABELS = LabelSet((NORMAL, *(disorder.name for disorder in (*SEEN, *UNSEEN))))
"""Trained labels first, unseen ones behind them."""
NUM_TRAINED = 1 + len(SEEN)
SPLITS = ("train", "validation", "test", "unseen")


@dataclass(frozen=True)
class CaseSettings:
    """What is drawn.

    Attributes:
        num_cases: Of training, validation, test, and of the cases whose lesions are all unseen.
        image_size: Height and width of a slice.
        max_slices: Most slices of a scan.
        seed: Of the training patients; the other splits take the seeds behind it.
    """

    num_cases: tuple[int, int, int, int] = (1600, 400, 800, 300)
    image_size: int = 32
    max_slices: int = 6
    seed: int = 100


@dataclass(frozen=True, eq=False)
class Cases:
    """Packed cases of one split.

    Attributes:
        packed: Without labels.
        labels: Of all labels, trained and unseen, ``(cases, labels)``.
        patient_ids: Patient of each case.
        anatomies: Region of each case.
    """

    packed: list[dict[str, Tensor]]
    labels: NDArray[np.bool_]
    patient_ids: NDArray[np.str_]
    anatomies: NDArray[np.str_]

    def __len__(self) -> int:
        return len(self.packed)


def load_cases(settings: CaseSettings, folder: Path) -> dict[str, Cases]:
    """Return the splits, drawn at first use and kept in ``folder``."""
    name = "-".join(map(str, (*settings.num_cases, *list(asdict(settings).values())[1:])))
    path = folder / f"cases-{name}.pt"
    if not path.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        stored = {
            split: _draw_split(settings, split, number) for number, split in enumerate(SPLITS)
        }
        with atomic_write(path) as temporary:
            torch.save(stored, temporary)
    stored = torch.load(path, weights_only=True)
    return {
        split: Cases(
            content["packed"],
            content["labels"].numpy(),
            np.array(content["patient_ids"]),
            np.array(content["anatomies"]),
        )
        for split, content in stored.items()
    }


def _draw_split(settings: CaseSettings, split: str, number: int) -> dict[str, object]:
    processor = RadDiagImageProcessor(
        image_size=settings.image_size, max_slices=settings.max_slices
    )
    disorders: Sequence[PhantomDisorder] = UNSEEN if split == "unseen" else SEEN
    packed, labels, patients, anatomies = [], [], [], []
    for index in range(settings.num_cases[number]):
        case = draw_case(
            settings.seed + number,
            index,
            image_size=settings.image_size,
            max_slices=settings.max_slices,
            disorders=disorders,
        )
        batch = processor(
            [scan.volume for scan in case.scans],
            [scan.modality for scan in case.scans],
            key_slices=case.key_slices,
        )
        packed.append(dict(batch))
        labels.append(torch.from_numpy(LABELS.encode(case.disorders)).bool())
        patients.append(case.patient_id)
        anatomies.append(case.anatomy.value)
    return {
        "packed": packed,
        "labels": torch.stack(labels),
        "patient_ids": patients,
        "anatomies": anatomies,
    }
