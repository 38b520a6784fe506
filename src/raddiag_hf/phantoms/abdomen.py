"""The average abdomen and upper pelvis: liver, kidneys, spleen, bowel, spine."""

from raddiag_hf.phantoms.body import Part, Region, both_sides
from raddiag_hf.phantoms.tissue import (
    AIR,
    BLOOD,
    BOWEL_CONTENT,
    BOWEL_WALL,
    CANCELLOUS_BONE,
    CORTICAL_BONE,
    FAT,
    FLUID,
    KIDNEY,
    LIVER,
    LUNG,
    MUSCLE,
    SPLEEN,
)

_BOWEL = tuple(
    part
    for index in range(14)
    for x, y, z in ((-72 + 48 * (index % 4), -42 + 9 * (index % 3), -12 - 36 * (index // 4)),)
    for name in (f"loop {index}",)
    for part in (
        Part(BOWEL_WALL, (x, y, z), (29, 23, 20), group=name, vary=0.25),
        Part(BOWEL_CONTENT, (x, y, z), (26, 20, 17), group=name),
        Part(AIR, (x, y - 6, z), (21, 11, 13), group=name, presence=0.35),
    )
)

ABDOMEN = Region(
    field_of_view_mm=350,
    parts=(
        Part(FAT, (0, 0, -20), (170, 122, 420), group="outline", vary=0.05),
        Part(MUSCLE, (0, 4, -20), (148, 102, 400)),
        *(
            Part(CANCELLOUS_BONE, (0, 4, 165 - 34 * level), (136, 94, 0), turns=(24, 0, 0), tube=5)
            for level in range(3)
        ),
        Part(FAT, (0, -6, -20), (134, 86, 330)),
        *both_sides(Part(LUNG, (68, 6, 190), (58, 78, 72))),
        Part(LIVER, (-66, -8, 82), (72, 74, 74), group="liver", vary=0.04, site="liver"),
        Part(LIVER, (10, -42, 92), (70, 34, 36), turns=(0, -12, 0), group="liver"),
        Part(BLOOD, (-50, 2, 80), (36, 7, 7), turns=(0, 30, 0), group="liver"),
        Part(BLOOD, (-72, -20, 105), (30, 5, 5), turns=(0, -30, 20), group="liver"),
        Part(FLUID, (-48, -52, 34), (14, 26, 16), turns=(-25, 0, 0), vary=0.15, presence=0.85),
        Part(SPLEEN, (98, 34, 88), (26, 42, 46), turns=(0, 0, 20), vary=0.08),
        Part(BOWEL_WALL, (58, -38, 84), (40, 36, 42), group="stomach", vary=0.1),
        Part(BOWEL_CONTENT, (58, -38, 84), (36, 32, 38), group="stomach"),
        Part(AIR, (58, -54, 96), (26, 14, 22), group="stomach", presence=0.8),
        Part(BOWEL_WALL, (10, -6, 40), (62, 13, 15), turns=(0, -14, 0), vary=0.08),
        *both_sides(Part(MUSCLE, (44, 56, -75), (22, 22, 95), turns=(0, -6, 0))),
        *both_sides(
            Part(
                KIDNEY,
                (64, 42, 10),
                (29, 28, 54),
                turns=(0, 12, 0),
                group="left kidney",
                vary=0.05,
                site="left kidney",
            ),
            Part(FAT, (56, 40, 10), (11, 11, 27), turns=(0, 12, 0), group="left kidney"),
            Part(FLUID, (54, 40, 10), (6, 6, 14), turns=(0, 12, 0), group="left kidney"),
        ),
        *both_sides(
            Part(BOWEL_WALL, (112, 4, -62), (22, 24, 78), group="left colon", vary=0.07),
            Part(BOWEL_CONTENT, (112, 4, -62), (19, 21, 74), group="left colon"),
            Part(AIR, (112, -6, -40), (14, 10, 22), group="left colon", presence=0.6),
            Part(AIR, (112, -4, -100), (12, 11, 18), group="left colon", presence=0.6),
        ),
        *_BOWEL,
        Part(BLOOD, (12, 30, -10), (10, 10, 190), vary=0.04),
        Part(BLOOD, (-18, 30, -10), (12, 9, 190), vary=0.06),
        *(
            part
            for level in range(12)
            for part in (
                Part(CORTICAL_BONE, (0, 60, 200 - 34 * level), (24, 19, 15)),
                Part(CANCELLOUS_BONE, (0, 60, 200 - 34 * level), (21.5, 16.5, 12.5)),
                Part(CORTICAL_BONE, (0, 92, 192 - 34 * level), (4, 16, 9)),
                Part(CORTICAL_BONE, (0, 72, 196 - 34 * level), (40, 5, 5)),
            )
        ),
        Part(CANCELLOUS_BONE, (0, 72, -165), (42, 16, 48), turns=(20, 0, 0)),
        *both_sides(Part(CORTICAL_BONE, (98, 30, -160), (46, 9, 60), turns=(0, 20, 35))),
    ),
)
