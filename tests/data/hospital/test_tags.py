"""Ages and dates as hospitals write them, and how much of them is kept."""

from datetime import date

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raddiag_hf.data.hospital.tags import (
    age_at,
    coarse_age,
    first_hospital_tags,
    parse_date,
    read_hospital_tags,
)
from raddiag_hf.imaging.scan import ScanReadError
from raddiag_hf.vocabulary import Sex
from tests.fixtures.dicom_files import write_dicom

pytestmark = pytest.mark.filterwarnings("ignore:Invalid value for VR")
PIXELS = np.arange(64, dtype=np.uint16).reshape(8, 8)


@pytest.mark.parametrize(
    ("text", "age"),
    [("045Y", 45), ("006M", 0.5), ("052W", 0.996), ("010D", 0.027), ("045", None), ("Y", None)],
)
def test_ages_of_tags_become_years(tmp_path, text, age):
    path = write_dicom(tmp_path / "1.dcm", PIXELS, PatientAge=text)
    assert read_hospital_tags(path).age == (None if age is None else pytest.approx(age, abs=0.001))


def test_a_date_of_birth_serves_where_the_age_is_missing(tmp_path):
    path = write_dicom(
        tmp_path / "1.dcm", PIXELS, StudyDate="20100102", PatientBirthDate="19700101"
    )
    tags = read_hospital_tags(path)
    assert tags.age == pytest.approx(40, abs=0.01)
    assert tags.birth_date == date(1970, 1, 1)


def test_patient_and_study_are_found(tmp_path):
    path = write_dicom(
        tmp_path / "1.dcm",
        PIXELS,
        PatientSex="m",
        StudyInstanceUID="1.2.3",
        BurnedInAnnotation="YES",
    )
    tags = read_hospital_tags(path)
    assert (tags.patient_id, tags.study, tags.sex) == ("MRN-4711", "1.2.3", Sex.MALE)
    assert tags.is_burned_in


def test_what_is_not_dicom_has_no_tags(tmp_path):
    (tmp_path / "notes.txt").write_text("no image")
    with pytest.raises(ScanReadError, match=r"notes\.txt"):
        read_hospital_tags(tmp_path / "notes.txt")
    path = write_dicom(tmp_path / "1.dcm", PIXELS)
    assert first_hospital_tags([tmp_path / "absent", tmp_path / "notes.txt"]) is None
    assert first_hospital_tags([tmp_path / "notes.txt", path]) == read_hospital_tags(path)


@pytest.mark.parametrize(
    ("exact", "kept"),
    [(None, None), (0.26, 0.25), (1.99, 23 / 12), (2.7, 2), (57.93, 57), (89.9, 89), (103, 90)],
)
def test_ages_are_kept_as_coarsely_as_they_serve(exact, kept):
    assert coarse_age(exact) == (None if kept is None else pytest.approx(kept))


@given(st.floats(0, 130))
def test_a_coarse_age_is_near_the_exact_one_up_to_ninety(age):
    coarse = coarse_age(age)
    assert 0 <= coarse <= 90
    assert age >= 90 or age - 1 < coarse <= age + 1e-5
    assert coarse_age(coarse) == pytest.approx(coarse)


def test_dates_in_the_wrong_order_give_no_age():
    assert age_at(date(2000, 1, 1), date(1999, 1, 1)) is None
    assert age_at(None, date(1999, 1, 1)) is None
    assert parse_date("19991301") is None
