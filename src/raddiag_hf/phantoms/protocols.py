"""Scan protocols of each region of a phantom, and which tissues differ on them."""

from dataclasses import dataclass

from raddiag_hf.phantoms.tissue import Tissue
from raddiag_hf.vocabulary import Anatomy, Modality, Plane

MIN_CONTRAST = 0.1
"""Share of the display range by which a lesion must differ from its surroundings to be seen."""

_RADIOGRAPH_RANGE_HU = 2500


@dataclass(frozen=True)
class ScanProtocol:
    """One way to scan a region.

    Attributes:
        modality: What makes the scan.
        plane: The plane of its slices, or its view.
        sequence: Window of a CT, weighting of an MRI, view of a radiograph, plane of a sweep.
        display: What black and white mean: Hounsfield units for CT; for a radiograph the
            attenuation (a path integral, no unit) at middle grey and the width of the grey scale.
        frequency: How often it is made, relative to the other protocols of its region.
    """

    modality: Modality
    plane: Plane
    sequence: str
    display: tuple[float, float] = (0, 1)
    frequency: float = 1

    def level(self, tissue: Tissue) -> float:
        """Return how bright a tissue is, as a share of the display range."""
        if self.modality is Modality.CT:
            low, high = self.display
            return min(max((tissue.hounsfield - low) / (high - low), 0), 1)
        if self.modality is Modality.MRI:
            return tissue.t1_signal if self.sequence == "T1" else tissue.t2_signal
        if self.modality is Modality.ULTRASOUND:
            return tissue.echo
        return tissue.hounsfield / _RADIOGRAPH_RANGE_HU

    def shows(self, lesion: Tissue, host: Tissue) -> bool:
        """Say whether a lesion of one tissue can be told from the other tissue around it."""
        return abs(self.level(lesion) - self.level(host)) >= MIN_CONTRAST


def _xray(plane: Plane, middle: float, width: float, frequency: float = 1) -> ScanProtocol:
    return ScanProtocol(Modality.XRAY, plane, plane.value.lower(), (middle, width), frequency)


def _ct(plane: Plane, window: str, low: float, high: float, frequency: float = 1) -> ScanProtocol:
    return ScanProtocol(Modality.CT, plane, f"{window} window", (low, high), frequency)


def _mri(plane: Plane, weighting: str, frequency: float = 1) -> ScanProtocol:
    return ScanProtocol(Modality.MRI, plane, weighting, frequency=frequency)


PROTOCOLS: dict[Anatomy, tuple[ScanProtocol, ...]] = {
    Anatomy.HEAD_AND_NECK: (
        _xray(Plane.FRONTAL, 4.1, 0.7),
        _xray(Plane.LATERAL, 3.3, 0.7, frequency=4),
        _ct(Plane.AXIAL, "brain", -20, 100, frequency=4),
        _ct(Plane.AXIAL, "bone", -300, 1300),
        _mri(Plane.AXIAL, "T1", frequency=4),
        _mri(Plane.AXIAL, "T2", frequency=4),
        _mri(Plane.CORONAL, "T2"),
        _mri(Plane.SAGITTAL, "T1"),
    ),
    Anatomy.CHEST: (
        _xray(Plane.FRONTAL, 2.8, 0.65, frequency=6),
        _xray(Plane.LATERAL, 3.9, 0.9),
        _ct(Plane.AXIAL, "lung", -1024, 250, frequency=4),
        _ct(Plane.AXIAL, "soft tissue", -160, 240, frequency=4),
        _ct(Plane.CORONAL, "lung", -1024, 250),
        _mri(Plane.AXIAL, "T2", frequency=2),
        _mri(Plane.CORONAL, "T1"),
    ),
    Anatomy.ABDOMEN_AND_PELVIS: (
        _xray(Plane.FRONTAL, 4.5, 0.6, frequency=3),
        _ct(Plane.AXIAL, "soft tissue", -160, 240, frequency=4),
        _ct(Plane.CORONAL, "soft tissue", -160, 240),
        _mri(Plane.AXIAL, "T1"),
        _mri(Plane.AXIAL, "T2", frequency=4),
        _mri(Plane.CORONAL, "T2"),
        ScanProtocol(Modality.ULTRASOUND, Plane.OBLIQUE, "longitudinal", frequency=4),
        ScanProtocol(Modality.ULTRASOUND, Plane.OBLIQUE, "transverse"),
    ),
    Anatomy.LOWER_LIMB: (
        _xray(Plane.FRONTAL, 3.0, 0.6, frequency=4),
        _xray(Plane.LATERAL, 3.0, 0.6),
        _ct(Plane.AXIAL, "bone", -300, 1300),
        _ct(Plane.CORONAL, "bone", -300, 1300, frequency=4),
        _mri(Plane.CORONAL, "T1", frequency=2),
        _mri(Plane.CORONAL, "T2", frequency=4),
        _mri(Plane.SAGITTAL, "T2"),
    ),
}
"""A patient gets some of those of the region; at least one of them shows each lesion."""
