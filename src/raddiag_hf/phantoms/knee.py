"""The average knee: femur, tibia, fibula, patella and what holds them."""

from raddiag_hf.phantoms.body import Part, Region, both_sides
from raddiag_hf.phantoms.tissue import (
    BLOOD,
    CANCELLOUS_BONE,
    CARTILAGE,
    CORTICAL_BONE,
    FAT,
    FLUID,
    LIGAMENT,
    MUSCLE,
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
