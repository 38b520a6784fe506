"""The average chest: ribs, lungs, heart, great vessels, spine."""

from raddiag_hf.phantoms.body import Part, Region, both_sides
from raddiag_hf.phantoms.shapes import Stencil
from raddiag_hf.phantoms.tissue import (
    AIR,
    BLOOD,
    BOWEL_CONTENT,
    CANCELLOUS_BONE,
    CORTICAL_BONE,
    FAT,
    HEART,
    LIVER,
    LUNG,
    MUSCLE,
)
from raddiag_hf.vocabulary import Sex

CHEST = Region(
    field_of_view_mm=340,
    parts=(
        Part(FAT, (0, 0, -60), (162, 112, 520), group="outline", vary=0.04),
        *both_sides(
            Part(FAT, (125, 10, 150), (62, 62, 62), vary=0.05),
            Part(FAT, (72, -98, -35), (52, 38, 46), vary=0.08, sex=Sex.FEMALE),
            Part(MUSCLE, (118, 12, 146), (54, 50, 55)),
        ),
        Part(MUSCLE, (0, 12, 200), (54, 52, 80)),
        Part(MUSCLE, (0, 0, -60), (144, 98, 480)),
        *both_sides(Part(MUSCLE, (70, 62, 125), (70, 26, 60), turns=(0, 30, 0))),
        *(
            Part(
                CORTICAL_BONE,
                (0, 4 - abs(level - 5), 116 - 31 * level),
                (85 + 50 * min(1, (level + 1) / 5), 70 + 22 * min(1, (level + 1) / 5), 0),
                turns=(24, 0, 0),
                tube=5.5,
            )
            for level in range(9)
        ),
        Part(MUSCLE, (0, -2, 0), (50, 78, 130)),
        Part(FAT, (0, -30, 10), (34, 52, 110)),
        *both_sides(
            Part(
                LUNG,
                (67, 3, -18),
                (58, 82, 156),
                turns=(0, -4, 0),
                group="left lung",
                vary=0.03,
                site="left lung",
            ),
            Part(
                BLOOD,
                (64, 5, -18),
                (50, 72, 130),
                turns=(0, -4, 0),
                stencil=Stencil.VESSELS,
                group="left lung",
            ),
        ),
        Part(LIVER, (-62, -2, -152), (72, 86, 76), group="right dome", vary=0.05),
        Part(MUSCLE, (66, 2, -158), (72, 84, 72), group="left dome", vary=0.05),
        Part(BOWEL_CONTENT, (70, -10, -152), (50, 50, 48), group="left dome"),
        Part(AIR, (68, -25, -122), (24, 22, 12), vary=0.2, presence=0.8),
        Part(HEART, (26, -28, -58), (58, 46, 50), turns=(0, 25, 0), group="heart", vary=0.07),
        Part(BLOOD, (34, -34, -64), (30, 26, 28), turns=(0, 25, 0), group="heart"),
        Part(BLOOD, (-14, -18, 20), (16, 16, 48), group="aorta", vary=0.05),
        Part(BLOOD, (8, 8, 62), (15, 36, 16), turns=(0, 0, -30), group="aorta"),
        Part(BLOOD, (24, 42, -30), (13, 13, 105), group="aorta"),
        Part(BLOOD, (-26, -14, 40), (9, 9, 50)),
        *both_sides(Part(BLOOD, (30, 6, 12), (15, 15, 22), turns=(0, 20, 0), vary=0.08)),
        Part(AIR, (0, 10, 115), (9, 8, 75)),
        *both_sides(Part(AIR, (17, 10, 34), (6, 6, 24), turns=(0, -42, 0))),
        *(
            Part(CANCELLOUS_BONE, (0, 58, 190 - 26 * level), (17, 16, 11.5), turns=(-4, 0, 0))
            for level in range(15)
        ),
        *(
            Part(CORTICAL_BONE, (0, 86, 180 - 26 * level), (4, 15, 5), turns=(-30, 0, 0))
            for level in range(15)
        ),
        Part(CANCELLOUS_BONE, (0, -86, 20), (15, 6, 75), turns=(-8, 0, 0)),
        *both_sides(
            Part(CANCELLOUS_BONE, (74, -62, 132), (70, 6.5, 6.5), turns=(0, -12, 12)),
            Part(CANCELLOUS_BONE, (108, 72, 92), (36, 4, 58), turns=(0, -18, -25), vary=0.06),
            Part(CORTICAL_BONE, (158, 10, 140), (25, 25, 26)),
            Part(CANCELLOUS_BONE, (158, 10, 140), (22, 22, 23)),
            Part(CORTICAL_BONE, (166, 10, 60), (11, 11, 80)),
        ),
    ),
)
"""The lungs are cut below by the domes of liver and stomach, which are painted over them."""
