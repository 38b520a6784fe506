"""The closed word lists of the field, each with its spellings in the sources that we read.

A member's value is the spelling of RP3D-DiagDS, which is also what columns, reports and the command
line use.
"""

import re
from enum import StrEnum


class Modality(StrEnum):
    """How a scan was made. The paper's nine modalities, and the reference's annotated images."""

    CT = "CT"
    """Computed tomography; intensities are Hounsfield units."""
    MRI = "MRI"
    """Magnetic resonance imaging; intensities have no unit."""
    XRAY = "X-ray"
    """Projection radiography, analogue or digital."""
    ULTRASOUND = "Ultrasound"
    """A still or a clip; a clip's frames are the slices of one scan."""
    FLUOROSCOPY = "Fluoroscopy"
    """Projection imaging over time; the frames are the slices of one scan."""
    NUCLEAR_MEDICINE = "Nuclear medicine"
    """Planar scintigraphy, SPECT and PET."""
    MAMMOGRAPHY = "Mammography"
    """Breast radiography, tomosynthesis included."""
    DSA = "DSA (angiography)"
    """Digital subtraction angiography; 2D over time, read as one scan."""
    BARIUM = "Barium"
    """Barium enema and swallow."""
    ANNOTATED_IMAGE = "Annotated image"
    """A picture with arrows or text drawn in; the reference gives it a slot of its own."""

    @classmethod
    def parse(cls, text: str) -> "Modality":
        """Return the modality that a person's spelling means, whatever the case and separators.

        Args:
            text: A value of this enum, a DICOM modality code (PS3.3 C.7.3.1.1.1), or a common
                synonym: ``"ct"``, ``"MR"``, ``"xray"``, ``"US"``.

        Raises:
            ValueError: If no modality is spelt like that; the message lists those that exist.
        """
        key = _fold(text)
        if key in _MODALITY_SPELLINGS:
            return _MODALITY_SPELLINGS[key]
        known = ", ".join(sorted(member.value for member in cls))
        raise ValueError(f"{text!r} is not a modality; expected one of: {known}")

    @classmethod
    def from_dicom(cls, code: str) -> "Modality | None":
        """Return the modality of a DICOM ``Modality`` code, or None where the code is not imaging.

        Source:
            DICOM PS3.3 C.7.3.1.1.1. ``OT`` (other) says nothing, so the caller has to be asked.
        """
        return _DICOM_MODALITIES.get(code.strip().upper())


class Anatomy(StrEnum):
    """The body region that a scan shows: the paper's seven."""

    HEAD_AND_NECK = "Head and neck"
    SPINE = "Spine"
    CHEST = "Chest"
    BREAST = "Breast"
    ABDOMEN_AND_PELVIS = "Abdomen and pelvis"
    UPPER_LIMB = "Upper limb"
    LOWER_LIMB = "Lower limb"
    UNKNOWN = "Unknown"

    @classmethod
    def parse(cls, text: str) -> "Anatomy":
        """Return the region that a person's spelling means, whatever the case and separators.

        Raises:
            ValueError: If no region is spelt like that; the message lists those that exist.
        """
        key = _fold(text)
        for member in cls:
            if _fold(member.value) == key:
                return member
        if key in _BODY_PARTS:
            return _BODY_PARTS[key]
        known = ", ".join(member.value for member in cls)
        raise ValueError(f"{text!r} is not an anatomy; expected one of: {known}")

    @classmethod
    def from_dicom(cls, body_part: str) -> "Anatomy":
        """Return the region of a DICOM ``BodyPartExamined`` term or of a description.

        Returns:
            UNKNOWN where no region is named, and where several are ("CHEST ABDOMEN PELVIS").

        Source:
            DICOM PS3.16 Annex L, the terms that occur in practice.
        """
        if _fold(body_part) in _BODY_PARTS:
            return _BODY_PARTS[_fold(body_part)]
        words = re.findall("[a-z]+", body_part.lower())
        found: set[Anatomy] = set()
        while words:
            # "Thoracic spine" is the spine, "head first" is how the patient lies.
            pair = "".join(words[:2])
            is_pair = len(words) > 1 and (pair in _BODY_PARTS or pair in _POSTURES)
            found.add(_BODY_PARTS.get(pair if is_pair else words[0], cls.UNKNOWN))
            words = words[2 if is_pair else 1 :]
        found.discard(cls.UNKNOWN)
        return found.pop() if len(found) == 1 else cls.UNKNOWN


class Plane(StrEnum):
    """The plane in which a scan's slices lie, or the view of a projection."""

    AXIAL = "Axial"
    SAGITTAL = "Sagittal"
    CORONAL = "Coronal"
    OBLIQUE = "Oblique"
    FRONTAL = "Frontal"
    LATERAL = "Lateral"
    UNKNOWN = "Unknown"

    @classmethod
    def from_dicom_view(cls, view_position: str) -> "Plane":
        """Return the view of a radiograph's ``ViewPosition``; UNKNOWN for oblique and odd ones.

        Source:
            DICOM PS3.3 C.8.1.1 and PS3.16 CID 4010, the terms that occur in practice.
        """
        return _VIEW_POSITIONS.get(_fold(view_position), cls.UNKNOWN)


class Sex(StrEnum):
    """Sex as the source records it (DICOM ``PatientSex``: F, M, O)."""

    FEMALE = "Female"
    MALE = "Male"
    OTHER = "Other"


class Split(StrEnum):
    """The part of a data set that a case belongs to; one patient is always in one split."""

    TRAIN = "train"
    VALIDATION = "validation"
    TEST = "test"


def _fold(text: str) -> str:
    """Lower-case letters and digits only, so that ``X-ray`` and ``x ray`` are one spelling."""
    return "".join(letter for letter in text.lower() if letter.isalnum())


_DICOM_MODALITIES = {
    "CT": Modality.CT,
    "MR": Modality.MRI,
    "CR": Modality.XRAY,
    "DX": Modality.XRAY,
    "RG": Modality.XRAY,
    "IO": Modality.XRAY,
    "PX": Modality.XRAY,
    "US": Modality.ULTRASOUND,
    "IVUS": Modality.ULTRASOUND,
    "RF": Modality.FLUOROSCOPY,
    "DF": Modality.FLUOROSCOPY,
    "XA": Modality.DSA,
    "DS": Modality.DSA,
    "NM": Modality.NUCLEAR_MEDICINE,
    "PT": Modality.NUCLEAR_MEDICINE,
    "MG": Modality.MAMMOGRAPHY,
}

_MODALITY_SPELLINGS = {_fold(member.value): member for member in Modality} | {
    _fold(code): member for code, member in _DICOM_MODALITIES.items()
}
_MODALITY_SPELLINGS |= {
    "radiograph": Modality.XRAY,
    "angiography": Modality.DSA,
    "dsa": Modality.DSA,
    "sonography": Modality.ULTRASOUND,
    "mammogram": Modality.MAMMOGRAPHY,
    "pet": Modality.NUCLEAR_MEDICINE,
    "spect": Modality.NUCLEAR_MEDICINE,
    "bariumenema": Modality.BARIUM,
    "magneticresonance": Modality.MRI,
    "annotated": Modality.ANNOTATED_IMAGE,
}

_BODY_PARTS = {
    term: anatomy
    for anatomy, terms in {
        Anatomy.HEAD_AND_NECK: (
            "head headneck neck brain skull face orbit sinus paranasalsinus jaw mandible maxilla "
            "ear iac pituitary thyroid carotid tmj tongue larynx cerebral headandneck"
        ),
        Anatomy.SPINE: "spine cspine tspine lspine sspine cervicalspine thoracicspine lumbarspine "
        "sacrum coccyx wholespine ctspine tlspine lsspine",
        Anatomy.CHEST: "chest thorax lung heart ribs rib sternum mediastinum clavicle "
        "coronary coronaryartery thoracic pulmonary",
        Anatomy.BREAST: "breast mammography",
        Anatomy.ABDOMEN_AND_PELVIS: "abdomen pelvis abdomenpelvis abdomenandpelvis liver kidney "
        "pancreas spleen bladder prostate uterus colon rectum stomach bowel hip gallbladder "
        "abdpelv adrenal abd abdominal renal hepatic",
        Anatomy.UPPER_LIMB: "arm shoulder elbow wrist hand finger forearm humerus upperlimb radius "
        "ulna scapula thumb extremityupper armjoint",
        Anatomy.LOWER_LIMB: "leg knee ankle foot toe femur tibia fibula thigh lowerlimb calcaneus "
        "patella calf lowerleg upperleg heel femoral",
    }.items()
    for term in terms.split()
}

_POSTURES = frozenset({"headfirst", "feetfirst"})

_VIEW_POSITIONS = {
    term: plane
    for plane, terms in {
        Plane.FRONTAL: "ap pa apsupine aperect",
        Plane.LATERAL: "ll rl lat lateral leftlateral rightlateral",
    }.items()
    for term in terms.split()
}
