"""Pictures of CT in reports show what its file wants shown."""

from pathlib import Path

import numpy as np
import pytest

from raddiag_hf.imaging.reading import read_scan
from raddiag_hf.reports.pictures import draw_slice, filmstrip, intensity_window
from tests.fixtures.dicom_files import write_series


@pytest.fixture
def ramp() -> np.ndarray:
    return np.tile(np.linspace(-1000, 1000, 64 * 64).reshape(64, 64), (3, 1, 1)).astype(np.int16)


def test_a_ct_is_drawn_in_the_window_of_its_file(tmp_path: Path, ramp: np.ndarray) -> None:
    write_series(tmp_path, ramp, WindowCenter=40, WindowWidth=400)
    scan = read_scan(tmp_path)
    assert intensity_window(scan) == (-160, 240)
    picture = np.asarray(draw_slice(scan, 1, 64))
    assert picture[ramp[1] < -200].max() <= 2
    assert picture[ramp[1] > 280].min() >= 253
    assert np.median(picture[np.abs(ramp[1] - 40) < 10]) == pytest.approx(127, abs=5)
    assert filmstrip(scan, 3)[1] == 3


def test_without_one_outliers_are_cut_off(tmp_path: Path, ramp: np.ndarray) -> None:
    write_series(tmp_path, ramp)
    low, high = intensity_window(read_scan(tmp_path))
    assert -1000 < low < -950
    assert 950 < high < 1000
