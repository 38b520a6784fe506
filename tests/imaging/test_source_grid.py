"""Where the voxels of a scan lie, by its own files."""

import nibabel
import numpy as np

from raddiag_hf.imaging.reading import read_scan
from raddiag_hf.imaging.source_grid import source_grid
from tests.fixtures.dicom_files import CORONAL, numbered_slices, write_dicom

AFFINE = np.diag([2.0, 2.0, 5.0, 1.0])


def test_a_single_dicom_slice_has_its_place(tmp_path):
    path = write_dicom(
        tmp_path / "one.dcm", numbered_slices(1)[0],
        ImageOrientationPatient=list(CORONAL), ImagePositionPatient=[1, 2, 3], SliceThickness=4,
    )  # fmt: skip
    grid = source_grid(read_scan(path))
    np.testing.assert_allclose(grid.affine[:3, 3], [-1, -2, 3])
    np.testing.assert_allclose(np.abs(np.linalg.det(grid.affine)), 0.5 * 0.5 * 4)


def test_a_file_that_is_gone_leaves_the_position_unknown(tmp_path):
    path = tmp_path / "scan.nii"
    nibabel.save(nibabel.Nifti1Image(np.zeros((4, 3, 6), np.int16), AFFINE), path)
    scan = read_scan(path)
    assert source_grid(scan).space_code != 0
    path.unlink()
    assert source_grid(scan).space_code == 0
