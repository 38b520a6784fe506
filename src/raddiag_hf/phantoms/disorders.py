"""Disorders of phantoms: a label space whose names compose size, kind and site."""

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from raddiag_hf.phantoms.protocols import PROTOCOLS
from raddiag_hf.phantoms.tissue import (
    CALCIFIED_NODULE,
    CANCELLOUS_BONE,
    CYST,
    EDEMA,
    HEMATOMA,
    KIDNEY,
    LIVER,
    LUNG,
    SOLID_TUMOR,
    WHITE_MATTER,
    LesionKind,
    Tissue,
)
from raddiag_hf.vocabulary import Anatomy, Modality

NORMAL = "Normal"
"""The label of a case without a lesion; the first of the label set, as in RP3D-DiagDS."""


@dataclass(frozen=True)
class LesionSite:
    """A place where lesions occur.

    Attributes:
        name: As in a disorder's name, without the article.
        anatomy: The region that it belongs to.
        host: The tissue in which its lesions lie.
        kinds: What occurs there.
    """

    name: str
    anatomy: Anatomy
    host: Tissue
    kinds: tuple[LesionKind, ...]


_BRAIN_KINDS = (CYST, SOLID_TUMOR, CALCIFIED_NODULE, HEMATOMA, EDEMA)
_ORGAN_KINDS = (CYST, SOLID_TUMOR, CALCIFIED_NODULE, HEMATOMA)
_LUNG_KINDS = (CYST, SOLID_TUMOR, CALCIFIED_NODULE)
_BONE_KINDS = (CYST, SOLID_TUMOR, CALCIFIED_NODULE, EDEMA)

SITES: tuple[LesionSite, ...] = (
    LesionSite("left cerebral hemisphere", Anatomy.HEAD_AND_NECK, WHITE_MATTER, _BRAIN_KINDS),
    LesionSite("right cerebral hemisphere", Anatomy.HEAD_AND_NECK, WHITE_MATTER, _BRAIN_KINDS),
    LesionSite("left lung", Anatomy.CHEST, LUNG, _LUNG_KINDS),
    LesionSite("right lung", Anatomy.CHEST, LUNG, _LUNG_KINDS),
    LesionSite("liver", Anatomy.ABDOMEN_AND_PELVIS, LIVER, _ORGAN_KINDS),
    LesionSite("left kidney", Anatomy.ABDOMEN_AND_PELVIS, KIDNEY, _ORGAN_KINDS),
    LesionSite("right kidney", Anatomy.ABDOMEN_AND_PELVIS, KIDNEY, _ORGAN_KINDS),
    LesionSite("femur", Anatomy.LOWER_LIMB, CANCELLOUS_BONE, _BONE_KINDS),
    LesionSite("tibia", Anatomy.LOWER_LIMB, CANCELLOUS_BONE, _BONE_KINDS),
)

SIZES: dict[str, tuple[float, float]] = {"small": (0.055, 0.064), "large": (0.1, 0.115)}
"""Range of a lesion's radius as a share of its region's field of view."""

_MOST_FREQUENT = (
    "Large solid tumor of the right lung",
    "Large edema of the left cerebral hemisphere",
    "Large cyst of the liver",
    "Large calcified nodule of the femur",
    "Large hematoma of the right cerebral hemisphere",
    "Small calcified nodule of the left lung",
    "Large cyst of the right kidney",
    "Large edema of the tibia",
    "Small calcified nodule of the left kidney",
    "Small cyst of the left cerebral hemisphere",
    "Large hematoma of the liver",
    "Small solid tumor of the femur",
)
"""Together they hold every site, kind and size."""

_RANK_STRIDE = 41
"""Spreads the rarer disorders evenly over sites, kinds and sizes."""


@dataclass(frozen=True)
class PhantomDisorder:
    """One label: ``"Large calcified nodule of the left lung"``.

    Attributes:
        name: Composed of the following three.
        site: Where.
        kind: What.
        size: A key of ``SIZES``.
        visible_in: The modalities in which it can be seen at all; a case shows it in at least one.
    """

    name: str
    site: LesionSite
    kind: LesionKind
    size: str
    visible_in: frozenset[Modality]


@cache
def phantom_disorders() -> tuple[PhantomDisorder, ...]:
    """Return every disorder that exists, the most frequent first; ``NORMAL`` is not among them.

    The order is fixed, and every word of a rare name also occurs in one of the first twelve.
    """
    disorders = [
        PhantomDisorder(
            f"{size.capitalize()} {kind.name} of the {site.name}",
            site,
            kind,
            size,
            visible_in=frozenset(
                protocol.modality
                for protocol in PROTOCOLS[site.anatomy]
                if protocol.shows(kind.in_host(site.host), site.host)
            ),
        )
        for size in SIZES
        for site in SITES
        for kind in site.kinds
    ]
    by_name = {disorder.name: disorder for disorder in disorders}
    head = [by_name[name] for name in _MOST_FREQUENT]
    spread = [disorders[i * _RANK_STRIDE % len(disorders)] for i in range(len(disorders))]
    return (*head, *(disorder for disorder in spread if disorder not in head))


def disorder_probabilities(num_disorders: int) -> NDArray[np.float64]:
    """Return how often each of a sequence of disorders is drawn: Zipf's law, exponent 1."""
    weights = 1 / np.arange(1, num_disorders + 1)
    return weights / weights.sum()
