"""Synthetic multi-scan cases: one digital body per case, seen by several modalities.

For demonstrations and tests. A phantom has the structure of a real case (several scans of one
anatomy, lesions that only some modalities show, a long tail of disorders, patients with more than
one case), and nothing of real pathology: a network trained on phantoms knows phantoms only.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from raddiag_hf.imaging.scan import Scan
from raddiag_hf.phantoms.body import Body, Region, draw_body
from raddiag_hf.phantoms.disorders import (
    NORMAL,
    PhantomDisorder,
    disorder_probabilities,
    phantom_disorders,
)
from raddiag_hf.phantoms.lesions import (
    Lesion,
    LesionLocation,
    locate,
    place_lesion,
    shown_shapes,
)
from raddiag_hf.phantoms.planning import MIN_SLICES, ScanSize, plan_scans
from raddiag_hf.phantoms.regions import ABDOMEN, CHEST, HEAD, KNEE
from raddiag_hf.phantoms.rendering import ScanPlan, render
from raddiag_hf.vocabulary import Anatomy, Modality, Sex

__all__ = [
    "NORMAL",
    "LesionLocation",
    "PhantomCase",
    "PhantomDisorder",
    "draw_case",
    "draw_cases",
    "phantom_disorders",
]

REGIONS: dict[Anatomy, Region] = {
    Anatomy.HEAD_AND_NECK: HEAD,
    Anatomy.CHEST: CHEST,
    Anatomy.ABDOMEN_AND_PELVIS: ABDOMEN,
    Anatomy.LOWER_LIMB: KNEE,
}
_NORMAL_SHARE = 0.2
_DISORDER_COUNTS = (0.72, 0.2, 0.08)
_PATIENTS_PER_BLOCK = 10


@dataclass(frozen=True, eq=False)
class PhantomCase:
    """One synthetic patient presentation; the tuples ``scans`` to ``lesions`` run in parallel.

    Attributes:
        case_id: Unique for a seed and index.
        patient_id: One in ten patients has two cases, with the same body.
        age: In years.
        sex: The patient's.
        anatomy: The region that all scans show.
        disorders: Names, or ``("Normal",)``.
        scans: What was made of the patient; whole-numbered voxels.
        sequences: Window, weighting or view of each scan.
        origins_mm: World position (DICOM axes) of the centre of voxel (0, 0, 0) of each scan; of a
            radiograph in the middle of the body.
        key_slices: The slice of each scan nearest to the centre of its first visible lesion, or -1
            where it shows none.
        lesions: The place of each disorder, in the order of ``disorders``, in each scan.
    """

    case_id: str
    patient_id: str
    age: float
    sex: Sex
    anatomy: Anatomy
    disorders: tuple[str, ...]
    scans: tuple[Scan, ...]
    sequences: tuple[str, ...]
    origins_mm: tuple[tuple[float, float, float], ...]
    key_slices: tuple[int, ...]
    lesions: tuple[tuple[LesionLocation, ...], ...]


def draw_cases(
    seed: int,
    num_cases: int,
    *,
    image_size: int = 64,
    max_slices: int = 16,
    disorders: Sequence[PhantomDisorder] | None = None,
) -> Iterator[PhantomCase]:
    """Yield the cases 0 to ``num_cases`` - 1 of a seed; arguments as in ``draw_case``."""
    for index in range(num_cases):
        yield draw_case(
            seed, index, image_size=image_size, max_slices=max_slices, disorders=disorders
        )


def draw_case(
    seed: int,
    index: int,
    *,
    image_size: int = 64,
    max_slices: int = 16,
    disorders: Sequence[PhantomDisorder] | None = None,
) -> PhantomCase:
    """Draw one case; it depends on the arguments alone, so cases can be drawn in any order.

    Args:
        seed: Of the data set; patients of different seeds are different.
        index: Of the case within the data set, 0 or more.
        image_size: Height and width of every scan, 32 or more.
        max_slices: Most slices of a scan, 6 or more; no stack or sweep has less than 6.
        disorders: Those that may occur, the most frequent first (Zipf's law over this order);
            all of ``phantom_disorders()`` if None. Leaving some out for training and not for
            testing gives names whose words are known and whose composition is not.

    Returns:
        A case with 1 to 6 scans and either no lesion or 1 to 3, each of which at least one scan
        shows.

    Raises:
        ValueError: If an argument is out of its range.

    Example:
        >>> case = draw_case(seed=0, index=3)
        >>> len(case.scans) == len(case.key_slices) == len(case.lesions)
        True
    """
    if seed < 0 or index < 0:
        raise ValueError(f"seed and index must not be negative; found {seed} and {index}")
    if image_size < 32:
        raise ValueError(f"image_size must be at least 32; found {image_size}")
    if max_slices < MIN_SLICES:
        raise ValueError(f"max_slices must be at least {MIN_SLICES}; found {max_slices}")
    possible = phantom_disorders() if disorders is None else tuple(disorders)
    if not possible:
        raise ValueError("disorders is empty; expected at least one that may occur")

    block, place = divmod(index, _PATIENTS_PER_BLOCK + 1)
    patient = block * _PATIENTS_PER_BLOCK + min(place, _PATIENTS_PER_BLOCK - 1)
    probabilities = disorder_probabilities(len(possible))
    patients = np.random.default_rng((seed, patient, 0))
    anatomy = possible[patients.choice(len(possible), p=probabilities)].site.anatomy
    sex = Sex.FEMALE if patients.random() < 0.5 else Sex.MALE
    age = float(patients.integers(18, 91))
    body = draw_body(REGIONS[anatomy], sex, patients)

    cases = np.random.default_rng((seed, index, 1))
    body = _pose(body, cases)
    here = [i for i, disorder in enumerate(possible) if disorder.site.anatomy is anatomy]
    drawn = _draw_disorders([possible[i] for i in here], probabilities[here], cases)
    lesions: list[Lesion] = []
    for disorder in drawn:
        lesions.append(place_lesion(disorder, body, lesions, cases))
    size = ScanSize(image_size, max_slices)
    plans = plan_scans(body, anatomy, lesions, size, (seed, index, 2), cases)

    origins = [plan.grid.origin_mm for plan in plans]
    locations = tuple(tuple(locate(lesion, body, plan) for lesion in lesions) for plan in plans)
    return PhantomCase(
        case_id=f"phantom-{seed}-{index:06d}",
        patient_id=f"phantom-{seed}-p{patient:06d}",
        age=age,
        sex=sex,
        anatomy=anatomy,
        disorders=tuple(lesion.disorder.name for lesion in lesions) or (NORMAL,),
        scans=tuple(
            _scan(body, lesions, plan, anatomy, number)
            for number, plan in enumerate(plans, start=1)
        ),
        sequences=tuple(plan.protocol.sequence for plan in plans),
        origins_mm=tuple((float(x), float(y), float(z)) for x, y, z in origins),
        key_slices=tuple(
            _key_slice(seen, plan) for seen, plan in zip(locations, plans, strict=True)
        ),
        lesions=locations,
    )


def _pose(body: Body, generator: np.random.Generator) -> Body:
    turns = generator.normal(0, 3, 3).clip(-8, 8)
    rotation = Rotation.from_euler("xyz", turns, degrees=True).as_matrix()
    shift_mm = generator.normal(0, 0.01, 3) * body.field_of_view_mm
    return body.posed(rotation, shift_mm)


def _draw_disorders(
    possible: Sequence[PhantomDisorder],
    weights: NDArray[np.float64],
    generator: np.random.Generator,
) -> list[PhantomDisorder]:
    if generator.random() < _NORMAL_SHARE:
        return []
    count = min(1 + int(generator.choice(len(_DISORDER_COUNTS), p=_DISORDER_COUNTS)), len(possible))
    chosen = generator.choice(
        len(possible), size=count, replace=False, p=weights / weights.sum(), shuffle=False
    )
    return [possible[i] for i in chosen]


def _scan(
    body: Body, lesions: Sequence[Lesion], plan: ScanPlan, anatomy: Anatomy, number: int
) -> Scan:
    depth_mm, height_mm, width_mm = (float(step) for step in plan.grid.spacing_mm)
    is_projection = plan.protocol.modality is Modality.XRAY
    return Scan(
        volume=render(body, shown_shapes(lesions, plan), plan),
        modality=plan.protocol.modality,
        anatomy=anatomy,
        plane=plan.protocol.plane,
        spacing_mm=(float("nan") if is_projection else depth_mm, height_mm, width_mm),
        is_picture=is_projection,
        provenance={"format": "phantom", "seed": plan.seed[0], "index": plan.seed[1]},
        scan_id=f"{plan.protocol.modality.value.lower().replace(' ', '-')}-{number}",
    )


def _key_slice(locations: Sequence[LesionLocation], plan: ScanPlan) -> int:
    for location in locations:
        if location.visible:
            return min(max(round(location.centre[0]), 0), plan.grid.shape[0] - 1)
    return -1
