"""The closed word lists and their spellings in the sources."""

import pytest

from raddiag_hf.vocabulary import Anatomy, Modality, Plane


@pytest.mark.parametrize(
    ("text", "modality"),
    [
        ("ct", Modality.CT),
        ("MR", Modality.MRI),
        ("x ray", Modality.XRAY),
        ("X-Ray", Modality.XRAY),
        ("dsa (angiography)", Modality.DSA),
        ("US", Modality.ULTRASOUND),
        ("Nuclear_medicine", Modality.NUCLEAR_MEDICINE),
    ],
)
def test_a_modality_is_known_by_its_common_spellings(text: str, modality: Modality) -> None:
    assert Modality.parse(text) is modality


def test_an_unknown_modality_names_those_that_exist() -> None:
    with pytest.raises(ValueError, match=r"'tarot' is not a modality; expected one of: .*CT.*"):
        Modality.parse("tarot")


@pytest.mark.parametrize("code", ["OT", "SR", ""])
def test_codes_that_say_nothing_of_imaging_give_no_modality(code: str) -> None:
    assert Modality.from_dicom(code) is None


@pytest.mark.parametrize("anatomy", list(Anatomy))
def test_an_anatomy_is_known_by_its_own_name(anatomy: Anatomy) -> None:
    assert Anatomy.parse(anatomy.value.upper()) is anatomy


@pytest.mark.parametrize(
    ("text", "anatomy"),
    [
        ("KNEE", Anatomy.LOWER_LIMB),
        ("HEAD_NECK", Anatomy.HEAD_AND_NECK),
        ("C-SPINE", Anatomy.SPINE),
        ("MRI lumbar spine without contrast", Anatomy.SPINE),
        ("Thoracic spine AP", Anatomy.SPINE),
        ("Femoral neck", Anatomy.UNKNOWN),
        ("CT chest abdomen pelvis", Anatomy.UNKNOWN),
        ("abdomen & pelvis", Anatomy.ABDOMEN_AND_PELVIS),
        ("Head First Supine", Anatomy.UNKNOWN),
        ("AORTA", Anatomy.UNKNOWN),
        ("", Anatomy.UNKNOWN),
    ],
)
def test_a_description_gives_an_anatomy_only_where_it_names_one(
    text: str, anatomy: Anatomy
) -> None:
    assert Anatomy.from_dicom(text) is anatomy


@pytest.mark.parametrize(
    ("view", "plane"),
    [("PA", Plane.FRONTAL), ("LL", Plane.LATERAL), ("LLO", Plane.UNKNOWN), ("", Plane.UNKNOWN)],
)
def test_a_view_position_gives_the_view(view: str, plane: Plane) -> None:
    assert Plane.from_dicom_view(view) is plane
