"""The average head: scalp, skull, brain, face."""

from raddiag_hf.phantoms.body import Part, Region, both_sides
from raddiag_hf.phantoms.shapes import Stencil
from raddiag_hf.phantoms.tissue import (
    AIR,
    CANCELLOUS_BONE,
    CORTICAL_BONE,
    FAT,
    FLUID,
    GREY_MATTER,
    LIGAMENT,
    MUSCLE,
    TOOTH,
    WHITE_MATTER,
)

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
