"""Body of one patient, drawn from a region's table of parts."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from raddiag_hf.phantoms.shapes import NUM_WAVES, Shape, Stencil, Texture, Vector
from raddiag_hf.phantoms.tissue import Tissue
from raddiag_hf.vocabulary import Sex

Triple = tuple[float, float, float]


@dataclass(frozen=True)
class Part:
    """One shape of the average body of a region; axes and units as in ``Shape``.

    Attributes:
        tissue: What it is made of.
        centre: Position in mm.
        radii: In mm.
        turns: Degrees about x, then y, then z.
        tube: Radius of a ring's tube in mm; 0 means an ellipsoid.
        stencil: Which part of it is painted.
        group: Parts of one group move and grow together from patient to patient.
        vary: Spread of that movement and growth, as a share of the radii of the group's first part.
        presence: How often a patient has it.
        sex: The sex that has it, or None for both.
        site: The site whose lesions lie in it.
    """

    tissue: Tissue
    centre: Triple
    radii: Triple
    turns: Triple = (0, 0, 0)
    tube: float = 0
    stencil: Stencil = Stencil.SOLID
    group: str = ""
    vary: float = 0
    presence: float = 1
    sex: Sex | None = None
    site: str = ""


@dataclass(frozen=True)
class Region:
    """The average body of one region.

    Attributes:
        parts: In painting order; the first is the outline.
        field_of_view_mm: What a scan of the whole region shows across.
        mirrored: Whether patients come as mirror images too: a left and a right knee.
    """

    parts: tuple[Part, ...]
    field_of_view_mm: float
    mirrored: bool = False


def both_sides(*parts: Part) -> tuple[Part, ...]:
    """Return parts of the left half of the body, each followed by its mirror image on the right.

    Groups and sites that start with "left" become "right"; other groups get " right" appended.
    """
    return tuple(image for part in parts for image in (part, _mirror(part)))


def _mirror(part: Part) -> Part:
    (x, y, z), (pitch, roll, yaw) = part.centre, part.turns
    return replace(
        part,
        centre=(-x, y, z),
        turns=(pitch, -roll, -yaw),
        group=_other_side(part.group),
        site=_other_side(part.site),
    )


def _other_side(name: str) -> str:
    if not name:
        return name
    return f"right{name[4:]}" if name.startswith("left") else f"{name} right"


@dataclass(frozen=True, eq=False)
class Body:
    """One patient's region as it lies in the scanner.

    Attributes:
        shapes: In painting order; the first is the outline.
        sites: For each site the shape in which its lesions lie.
        texture: What fills it.
        field_of_view_mm: What a scan of the whole region shows across.
    """

    shapes: tuple[Shape, ...]
    sites: Mapping[str, Shape]
    texture: Texture
    field_of_view_mm: float

    def posed(self, rotation: Vector, shift_mm: Vector) -> "Body":
        """Return the same body lying otherwise on the table."""
        return replace(
            self,
            shapes=tuple(shape.moved(rotation, shift_mm) for shape in self.shapes),
            sites={name: shape.moved(rotation, shift_mm) for name, shape in self.sites.items()},
            texture=self.texture.moved(rotation, shift_mm),
        )

    def topmost(self, points_mm: Vector) -> NDArray[np.intp]:
        """Return for world points, shape ``(..., 3)``, the index of the shape seen; -1 outside."""
        found = np.full(points_mm.shape[:-1], -1, np.intp)
        for index, shape in enumerate(self.shapes):
            if shape.stencil is Stencil.SOLID:
                found[shape.contains(points_mm)] = index
        return found


def draw_body(region: Region, sex: Sex, generator: np.random.Generator) -> Body:
    """Draw a patient of a region: size, proportions, organs' places, texture."""
    stature = generator.normal(0.97 if sex is Sex.FEMALE else 1.03, 0.04)
    scale = (stature * generator.normal(1, 0.025, 3)).clip(0.85, 1.15)
    mirror = np.ones(3)
    if region.mirrored and generator.random() < 0.5:
        mirror[0] = -1
    shapes: list[Shape] = []
    sites: dict[str, Shape] = {}
    varied = list(_varied(region.parts, sex, generator))
    # Mirrored in x, a body turns the other way about y and z.
    turns = np.array([part.turns for part, _, _ in varied]) * [1, mirror[0], mirror[0]]
    rotations = Rotation.from_euler("xyz", turns, degrees=True).as_matrix()
    for (part, shift, growth), rotation in zip(varied, rotations, strict=True):
        shape = Shape(
            part.tissue,
            centre_mm=((np.array(part.centre) + shift) * scale * mirror),
            radii_mm=(np.array(part.radii) * growth * scale),
            rotation=rotation,
            tube_mm=part.tube * float(scale.mean()),
            stencil=part.stencil,
        )
        shapes.append(shape)
        if part.site:
            sites[part.site] = shape
    texture = _draw_texture(region.field_of_view_mm, generator)
    return Body(tuple(shapes), sites, texture, region.field_of_view_mm)


def _varied(
    parts: Sequence[Part], sex: Sex, generator: np.random.Generator
) -> Iterable[tuple[Part, Vector, Vector]]:
    """Yield the parts that this patient has, each with its shift in mm and its growth."""
    drawn: dict[str, tuple[Vector, Vector]] = {}
    for part in parts:
        present = generator.random() < part.presence
        shift: Vector = generator.normal(0, 1, 3) * part.vary * part.radii
        growth: Vector = generator.normal(1, part.vary, 3).clip(0.7, 1.4)
        if part.group:
            shift, growth = drawn.setdefault(part.group, (shift, growth))
        if present and part.sex in (None, sex):
            yield part, shift, growth


def _draw_texture(field_of_view_mm: float, generator: np.random.Generator) -> Texture:
    directions = generator.normal(size=(2, NUM_WAVES, 3))
    directions /= np.linalg.norm(directions, axis=-1, keepdims=True)
    wavelengths = field_of_view_mm * generator.uniform(0.06, 0.14, (2, NUM_WAVES, 1))
    phases = generator.uniform(0, 2 * np.pi, (2, NUM_WAVES))
    return Texture((2 * np.pi * directions / wavelengths), phases)
