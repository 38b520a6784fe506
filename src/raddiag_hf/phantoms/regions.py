"""Regions: the average head, chest, abdomen and knee as tables of parts, painted in their order."""

from raddiag_hf.phantoms.body import Part, Region, both_sides
from raddiag_hf.phantoms.shapes import Stencil
from raddiag_hf.phantoms.tissue import (
    AIR,
    BLOOD,
    BOWEL_CONTENT,
    BOWEL_WALL,
    CANCELLOUS_BONE,
    CARTILAGE,
    CORTICAL_BONE,
    FAT,
    FLUID,
    GREY_MATTER,
    HEART,
    KIDNEY,
    LIGAMENT,
    LIVER,
    LUNG,
    MUSCLE,
    SPLEEN,
    TOOTH,
    WHITE_MATTER,
)
from raddiag_hf.vocabulary import Sex

HEAD = Region(
    field_of_view_mm=225,
    parts=(
        Part(FAT, (0, 0, 10), (79, 99, 95), group="skull", vary=0.03),
        Part(FAT, (0, -33, -62), (60, 68, 66)),
        Part(CORTICAL_BONE, (0, -48, -100), (44, 46, 0), turns=(-8, 0, 0), tube=8),
        Part(TOOTH, (0, -62, -82), (24, 26, 0), tube=7),
        Part(MUSCLE, (0, 30, -110), (56, 58, 75)),
        Part(MUSCLE, (0, -34, -64), (52, 52, 56)),
        Part(CORTICAL_BONE, (0, 0, 10), (75, 94, 90), group="skull"),
        Part(CORTICAL_BONE, (0, -34, -50), (52, 48, 16)),
        Part(CORTICAL_BONE, (0, -86, -16), (58, 8, 20)),
        Part(FLUID, (0, 0, 10), (68, 87, 83), group="skull"),
        Part(GREY_MATTER, (0, 0, 14), (65, 84, 78), group="skull"),
        Part(FLUID, (0, 0, 14), (67, 86, 80), stencil=Stencil.FOLDS, group="skull"),
        *both_sides(
            Part(
                WHITE_MATTER,
                (29, 0, 16),
                (25, 58, 50),
                group="skull",
                site="left cerebral hemisphere",
            ),
            Part(WHITE_MATTER, (20, -46, 14), (17, 26, 36), turns=(0, 0, 12), group="skull"),
            Part(WHITE_MATTER, (18, 47, 10), (15, 26, 30), turns=(0, 0, -10), group="skull"),
        ),
        Part(FLUID, (0, 0, 42), (1.8, 76, 46), group="skull"),
        *both_sides(Part(GREY_MATTER, (13, 6, 4), (10, 17, 11))),
        *both_sides(
            Part(FLUID, (11, -8, 20), (6, 36, 9), turns=(8, 0, -8), group="ventricles", vary=0.12),
            Part(FLUID, (21, 34, 8), (6, 16, 12), turns=(0, 0, -20), group="ventricles"),
        ),
        Part(FLUID, (0, 2, 4), (3, 13, 9), group="ventricles"),
        Part(GREY_MATTER, (0, 50, -42), (46, 28, 23), group="cerebellum", vary=0.04),
        Part(FLUID, (0, 50, -42), (46, 28, 23), stencil=Stencil.FOLDS, group="cerebellum"),
        Part(WHITE_MATTER, (0, 18, -40), (14, 14, 34), turns=(15, 0, 0)),
        *both_sides(
            Part(FAT, (31, -70, -33), (19, 24, 17), group="orbits", vary=0.03),
            Part(FLUID, (31, -79, -33), (12, 12, 12), group="orbits"),
            Part(CORTICAL_BONE, (30, -62, -70), (19, 21, 22), group="maxilla", vary=0.05),
            Part(AIR, (30, -62, -70), (16, 18, 19), group="maxilla"),
            Part(AIR, (13, -86, 0), (12, 6, 11), vary=0.12, presence=0.9),
            Part(CANCELLOUS_BONE, (56, 28, -52), (15, 16, 20)),
            Part(AIR, (57, 28, -50), (7, 9, 10), vary=0.1),
        ),
        Part(AIR, (0, -68, -62), (8, 26, 24)),
        Part(AIR, (0, -60, -36), (11, 20, 9)),
        Part(LIGAMENT, (0, -70, -60), (2, 24, 24)),
        Part(AIR, (0, -4, -104), (9, 7, 44)),
        *(
            Part(CANCELLOUS_BONE, (0, 28, -84 - 20 * level), (16, 13, 8.5), turns=(-6, 0, 0))
            for level in range(4)
        ),
        *(
            Part(CORTICAL_BONE, (0, 56, -88 - 20 * level), (6, 16, 5), turns=(-15, 0, 0))
            for level in range(4)
        ),
    ),
)

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

KNEE = Region(
    field_of_view_mm=155,
    mirrored=True,
    parts=(
        Part(FAT, (0, 8, 0), (62, 66, 300), group="outline", vary=0.05),
        Part(FAT, (0, 14, 120), (74, 74, 120), group="outline"),
        Part(MUSCLE, (0, 24, 110), (62, 56, 98), vary=0.04),
        Part(MUSCLE, (0, 36, -110), (50, 42, 92), vary=0.04),
        *both_sides(Part(MUSCLE, (30, 46, -5), (16, 12, 60))),
        Part(BLOOD, (4, 46, 0), (5, 5, 130), vary=0.1),
        Part(FLUID, (0, -30, 48), (20, 5, 22), vary=0.15, presence=0.7),
        Part(FAT, (0, -32, -6), (22, 16, 20)),
        Part(CARTILAGE, (0, 4, -2), (43, 31, 9)),
        *both_sides(
            Part(LIGAMENT, (22, 4, -5), (15, 19, 0), tube=4),
            Part(CORTICAL_BONE, (21, 8, 19), (24, 31, 22), group="femur", vary=0.02),
        ),
        Part(CORTICAL_BONE, (0, -2, 45), (32, 24, 44), group="femur"),
        Part(CORTICAL_BONE, (0, -4, 130), (17, 17, 110), group="femur"),
        Part(CORTICAL_BONE, (0, 6, -21), (43, 29, 18), group="tibia", vary=0.02),
        Part(CORTICAL_BONE, (0, 4, -52), (29, 24, 42), group="tibia"),
        Part(CORTICAL_BONE, (0, 0, -130), (16, 16, 110), group="tibia"),
        Part(CORTICAL_BONE, (40, 24, -34), (10, 10, 12), group="fibula", vary=0.06),
        Part(CORTICAL_BONE, (39, 26, -110), (7, 7, 80), group="fibula"),
        Part(CORTICAL_BONE, (0, -46, 24), (21, 10, 22), group="patella", vary=0.06),
        *both_sides(Part(CANCELLOUS_BONE, (21, 8, 19), (21.5, 28.5, 19.5), group="femur")),
        Part(CANCELLOUS_BONE, (0, -2, 45), (29, 21, 41), group="femur", site="femur"),
        Part(FAT, (0, -4, 150), (10, 10, 85), group="femur"),
        Part(CANCELLOUS_BONE, (0, 6, -21), (40.5, 26.5, 15.5), group="tibia"),
        Part(CANCELLOUS_BONE, (0, 4, -46), (26, 21, 32), group="tibia", site="tibia"),
        Part(FAT, (0, 0, -140), (9, 9, 75), group="tibia"),
        Part(CANCELLOUS_BONE, (40, 24, -34), (8, 8, 10), group="fibula"),
        Part(CANCELLOUS_BONE, (0, -46, 24), (18.5, 7.5, 19.5), group="patella"),
        Part(LIGAMENT, (0, -48, 66), (14, 4, 24)),
        Part(LIGAMENT, (0, -44, -18), (12, 4, 26), turns=(10, 0, 0)),
        Part(LIGAMENT, (2, 8, 2), (5, 5, 20), turns=(35, 0, 0)),
        Part(LIGAMENT, (-4, 16, 2), (5, 5, 18), turns=(-25, 0, 0)),
    ),
)
