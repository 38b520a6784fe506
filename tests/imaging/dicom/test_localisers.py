"""Localisers: known by their name in any language, or by the way they lie."""

from pathlib import Path

import numpy as np
import pytest
from pydicom import uid

from raddiag_hf.imaging.dicom.localiser_names import is_named_localiser
from raddiag_hf.imaging.reading import read_scans
from raddiag_hf.imaging.scan import ScanReadError, ScanReadReason
from tests.fixtures.dicom_files import AXIAL, CORONAL, SAGITTAL, numbered_slices, write_dicom

NORMALS = {AXIAL: (0, 0, 1), SAGITTAL: (-1, 0, 0), CORONAL: (0, 1, 0)}


@pytest.mark.parametrize(
    "description",
    [
        *("localizer", "LOCALISER SAG", "Loc", "T2_LOC", "loc_3pl", "trufi_loc_multi"),
        *("AAHead_Scout", "3D_Scout", "Scout1", "HEAD-SCOUT", "AutoAlignScout"),
        *("Survey_SHC", "CoilSurvey", "Surview", "SmartBrain", "Topogram  0.6", "pilot"),
        *("3-pl T2* FGRE S", "3Plane Loc FGRE", "SCOUT 3 PLANI", "3 Ebenen", "tri-planar"),
        *("Localisateur", "Repérage 3 plans", "localizador", "LOCALIZZATORE", "piloto"),
        *("Lokalizer", "Lokalizator", "Lokalisation", "lokalisering", "Übersicht", "Topogramm"),
        *("定位像", "スカウト", "位置決め", "로컬라이저", "локалайзер", "Топограмма"),
    ],
)
def test_localisers_are_known_by_name(description: str) -> None:
    assert is_named_localiser(description)


@pytest.mark.parametrize(
    "description",
    [
        *("T2 FLAIR", "t2_tse_dixon_tra", "Ax DWI 3 dir", "3D FLAIR", "velocity", "Ax T1 post"),
        *("T1 local tx", "Localized spectroscopy", "Needle localization", "Locked knee"),
        *("Bone survey", "Skeletal survey", "Pilonidal sinus T2", "MPR 3 planes", "topography"),
        *("surveillance CT chest", "CT Colocolic", "肝脏增强", ""),
    ],
)
def test_scans_to_be_read_do_not_bear_such_names(description: str) -> None:
    assert not is_named_localiser(description)


def write_planes(
    folder: Path, planes: dict[tuple[float, ...], int], step_mm: float, **tags: object
) -> None:
    for plane, (orientation, count) in enumerate(planes.items()):
        for place, pixels in enumerate(numbered_slices(count)):
            write_dicom(
                folder / f"{plane}-{place}",
                pixels,
                **{
                    "Modality": "MR",
                    "SOPClassUID": uid.MRImageStorage,
                    "ImageOrientationPatient": list(orientation),
                    "ImagePositionPatient": (
                        step_mm * place * np.array(NORMALS[orientation], float)
                    ).tolist(),
                    **tags,
                },
            )


@pytest.mark.parametrize(
    ("planes", "step_mm"),
    [
        ({AXIAL: 3, SAGITTAL: 3, CORONAL: 3}, 10),
        ({AXIAL: 1, SAGITTAL: 1, CORONAL: 1}, 0),
        ({AXIAL: 5, SAGITTAL: 9, CORONAL: 7}, 8),
        ({AXIAL: 15, SAGITTAL: 1, CORONAL: 3}, 6),
        ({SAGITTAL: 3, CORONAL: 5}, 20),
    ],
)
def test_a_few_slices_far_apart_in_several_planes_are_a_localiser(
    tmp_path: Path, planes: dict[tuple[float, ...], int], step_mm: float
) -> None:
    write_planes(tmp_path, planes, step_mm, SeriesDescription="FGRE")
    with pytest.raises(ScanReadError, match="a localiser") as caught:
        read_scans(tmp_path)
    assert caught.value.reason is ScanReadReason.NOT_DIAGNOSTIC


@pytest.mark.parametrize(
    ("planes", "step_mm", "tags"),
    [
        ({AXIAL: 3, SAGITTAL: 3, CORONAL: 3}, 1.0, {}),
        ({AXIAL: 30, SAGITTAL: 3, CORONAL: 3}, 6.0, {}),
        ({AXIAL: 3, SAGITTAL: 2}, 4.0, {}),
        ({AXIAL: 3}, 20.0, {}),
        ({AXIAL: 3, SAGITTAL: 3, CORONAL: 3}, 10.0, {"Modality": "CT"}),
    ],
)
def test_other_series_of_several_planes_are_read(
    tmp_path: Path,
    planes: dict[tuple[float, ...], int],
    step_mm: float,
    tags: dict[str, object],
) -> None:
    write_planes(tmp_path, planes, step_mm, **tags)
    assert len(read_scans(tmp_path).scans) == len(planes)
