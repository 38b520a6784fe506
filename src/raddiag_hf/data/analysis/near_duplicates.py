"""Pictures that are nearly the same, kept in one split: copies that were scaled, saved or cut anew.

Data sets of pictures often name no patients, or have one picture several times. A model that
learned the one and is tested on the other remembers it.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from raddiag_hf.vocabulary import Split

PICTURE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg"})
HASH_SIDE = 16
NEAR_BITS = 20
"""Bits of 256 by which near-duplicates differ at most, as found on Brain-Tumor's slices."""
_ROWS_AT_ONCE = 1024


@dataclass(frozen=True)
class PatientGroups:
    """Patients who are split together, because pictures of them are nearly the same.

    Attributes:
        names: Of the group of each case; the patient's own where there is no other in it.
        num_pictures: Pictures that were compared.
        num_near: Pictures with a near-duplicate of another patient.
        num_groups: Groups of several patients.
        num_torn: Groups that publishers have put into several splits, and that stay so.
    """

    names: tuple[str, ...]
    num_pictures: int
    num_near: int
    num_groups: int
    num_torn: int

    def describe(self) -> str:
        """Say it in a sentence."""
        text = (
            f"{self.num_near:,} of {self.num_pictures:,} pictures have a near-duplicate of another "
            f"patient: {self.num_groups:,} groups of patients are kept in one split"
        )
        torn = f"; {self.num_torn:,} more lie in several published splits" if self.num_torn else ""
        return text + torn


def difference_hash(path: Path) -> NDArray[np.bool_] | None:
    """Return which pixels of a tiny copy are brighter than the one to their left, ``(256,)``.

    None where the picture has no contrast, or cannot be read.
    """
    try:
        with Image.open(path) as picture:
            small = picture.convert("L").resize((HASH_SIDE + 1, HASH_SIDE))
            pixels = np.asarray(small, np.int16)
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError):
        return None
    return (np.diff(pixels, axis=1) > 0).ravel() if np.ptp(pixels) else None


def near_pairs(hashes: NDArray[np.bool_], max_bits: int = NEAR_BITS) -> NDArray[np.intp]:
    """Return the pairs of rows that differ by few bits, shape ``(pairs, 2)``, smaller row first.

    Args:
        hashes: Shape ``(pictures, bits)``.
        max_bits: By how many at most.
    """
    signs = np.where(hashes, 1.0, -1.0).astype(np.float32)
    least = hashes.shape[1] - 2 * max_bits
    found = [np.zeros((0, 2), np.intp)]
    for first in range(0, len(signs), _ROWS_AT_ONCE):
        agreement = signs[first : first + _ROWS_AT_ONCE] @ signs[first:].T
        rows, columns = np.nonzero(agreement >= least)
        pairs = np.stack([rows, columns], axis=1)[rows < columns]
        found.append(pairs + first)
    return np.concatenate(found)


def group_patients(
    patient_ids: Sequence[str],
    files: Sequence[Sequence[Path]],
    published: Sequence[Split | None],
    max_bits: int = NEAR_BITS,
) -> PatientGroups:
    """Join patients by near-duplicate pictures, so that `split_by_patient` keeps them together.

    Near-duplicates of near-duplicates are one group. Only PNG and JPEG files are compared.

    Args:
        patient_ids: Patient of each case.
        files: Files of each case.
        published: The split of each case that a publisher fixed, None elsewhere. A group in several
            of them stays as it is.
        max_bits: Bits of the hash by which near-duplicates differ at most.
    """
    patients = {patient: number for number, patient in enumerate(dict.fromkeys(patient_ids))}
    owners, paths = [], []
    for patient, of_case in zip(patient_ids, files, strict=True):
        pictures = [path for path in of_case if path.suffix.lower() in PICTURE_SUFFIXES]
        owners += [patients[patient]] * len(pictures)
        paths += pictures
    with ThreadPoolExecutor() as pool:
        hashes = list(pool.map(difference_hash, paths))
    kept = [number for number, found in enumerate(hashes) if found is not None]
    owner = np.array([owners[number] for number in kept], dtype=np.intp)
    bits = np.array([hashes[number] for number in kept], dtype=np.bool_)
    pairs = near_pairs(bits.reshape(-1, HASH_SIDE**2), max_bits)
    pairs = pairs[owner[pairs[:, 0]] != owner[pairs[:, 1]]]
    links = owner[pairs]
    graph = coo_array((np.ones(len(links)), (links[:, 0], links[:, 1])), shape=(len(patients),) * 2)
    _, component = connected_components(graph, directed=False)
    homes: dict[int, set[Split]] = {}
    for patient, split in zip(patient_ids, published, strict=True):
        if split is not None:
            homes.setdefault(int(component[patients[patient]]), set()).add(split)
    sizes = np.bincount(component)
    torn = {one for one, splits in homes.items() if len(splits) > 1 and sizes[one] > 1}
    first_of: dict[int, str] = {}
    for patient, number in patients.items():
        first_of.setdefault(int(component[number]), patient)
    return PatientGroups(
        names=tuple(
            patient if (of := int(component[patients[patient]])) in torn else first_of[of]
            for patient in patient_ids
        ),
        num_pictures=len(kept),
        num_near=len(np.unique(pairs)),
        num_groups=int((sizes > 1).sum()) - len(torn),
        num_torn=len(torn),
    )
