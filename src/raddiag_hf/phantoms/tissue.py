"""Tissues of phantoms, with one set of physical parameters for every modality."""

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Tissue:
    """One tissue as every modality meets it.

    Attributes:
        hounsfield: Radiodensity in Hounsfield units, as after intravenous contrast; X-ray
            attenuation is the same quantity in 1/mm.
        t1_signal: Signal in a T1-weighted sequence, 0 (none) to 1 (fluid in T2).
        t2_signal: Signal in a fat-suppressed T2-weighted sequence, same scale.
        echo: Ultrasound backscatter as log-compressed brightness, 0 (anechoic) to 1.
        absorption: Loss of ultrasound brightness per centimetre of path beyond what time-gain
            compensation restores (soft tissue 0); negative where fluid enhances what lies behind.
        impedance: Acoustic impedance in MRayl; its jumps reflect.
        mottle: Strength of the tissue's own texture as a share of the display range.

    Source:
        Values follow textbook tables in order, not in the third digit: phantoms teach a network
        which tissue is brighter where, and nothing about any scanner.
    """

    hounsfield: float
    t1_signal: float
    t2_signal: float
    echo: float = 0.35
    absorption: float = 0.0
    impedance: float = 1.63
    mottle: float = 0.0


AIR = Tissue(-1000, 0.0, 0.0, echo=0.75, absorption=0.5, impedance=0.6)
LUNG = Tissue(-830, 0.07, 0.08, echo=0.6, absorption=0.5, impedance=0.8, mottle=0.01)
FAT = Tissue(-95, 0.90, 0.20, echo=0.42, impedance=1.50, mottle=0.015)
MUSCLE = Tissue(55, 0.36, 0.24, echo=0.34, impedance=1.66, mottle=0.015)
BLOOD = Tissue(150, 0.14, 0.10, echo=0.06, impedance=1.62)
HEART = Tissue(120, 0.34, 0.30, echo=0.30, mottle=0.01)
LIVER = Tissue(110, 0.52, 0.30, echo=0.55, impedance=1.64, mottle=0.02)
SPLEEN = Tissue(118, 0.38, 0.48, echo=0.50, impedance=1.64, mottle=0.02)
KIDNEY = Tissue(165, 0.44, 0.52, echo=0.43, impedance=1.62, mottle=0.02)
BOWEL_WALL = Tissue(60, 0.36, 0.40, echo=0.40, impedance=1.64)
BOWEL_CONTENT = Tissue(15, 0.30, 0.60, echo=0.50, impedance=1.60, mottle=0.05)
FLUID = Tissue(5, 0.14, 0.95, echo=0.02, absorption=-0.03, impedance=1.53)
GREY_MATTER = Tissue(42, 0.44, 0.56, mottle=0.01)
WHITE_MATTER = Tissue(29, 0.62, 0.42, mottle=0.01)
CORTICAL_BONE = Tissue(1150, 0.06, 0.05, echo=0.95, absorption=0.6, impedance=5.0)
CANCELLOUS_BONE = Tissue(430, 0.72, 0.20, echo=0.80, absorption=0.5, impedance=3.0, mottle=0.02)
TOOTH = Tissue(2100, 0.03, 0.03, echo=0.95, absorption=0.6, impedance=6.0)
CARTILAGE = Tissue(85, 0.42, 0.62, echo=0.10)
LIGAMENT = Tissue(90, 0.10, 0.07, echo=0.65)


@dataclass(frozen=True)
class LesionKind:
    """What a lesion is made of; a parameter that is None is that of the tissue around it.

    Attributes:
        name: The noun of a disorder's name.
        hounsfield: As in ``Tissue``; likewise the other parameters of this name.
        roughness: How far the outline departs from an ellipsoid, as a share of its radius.
    """

    name: str
    hounsfield: float | None = None
    t1_signal: float | None = None
    t2_signal: float | None = None
    echo: float | None = None
    absorption: float = 0.0
    impedance: float | None = None
    mottle: float = 0.0
    roughness: float = 0.0

    def in_host(self, host: Tissue) -> Tissue:
        """Return the tissue that this lesion shows inside ``host``."""
        own = {
            "hounsfield": self.hounsfield,
            "t1_signal": self.t1_signal,
            "t2_signal": self.t2_signal,
            "echo": self.echo,
            "impedance": self.impedance,
        }
        given = {name: value for name, value in own.items() if value is not None}
        return replace(host, **given, absorption=self.absorption, mottle=self.mottle)


CYST = LesionKind(
    "cyst",
    hounsfield=5,
    t1_signal=0.14,
    t2_signal=0.97,
    echo=0.02,
    absorption=-0.03,
    impedance=1.53,
)
SOLID_TUMOR = LesionKind(
    "solid tumor",
    hounsfield=175,
    t1_signal=0.28,
    t2_signal=0.70,
    echo=0.24,
    mottle=0.06,
    roughness=0.25,
)
CALCIFIED_NODULE = LesionKind(
    "calcified nodule", hounsfield=900, echo=0.98, absorption=0.5, impedance=4.0, roughness=0.1
)
HEMATOMA = LesionKind(
    "hematoma", hounsfield=64, t1_signal=0.90, t2_signal=0.08, echo=0.78, mottle=0.03, roughness=0.1
)
EDEMA = LesionKind("edema", t2_signal=0.85, roughness=0.35)
