"""Reading in threads leaves the process as it was."""

import logging
import warnings
from concurrent.futures import ThreadPoolExecutor

import pytest

from raddiag_hf.imaging.foreign_errors import only_scan_read_errors
from raddiag_hf.imaging.reading import read_scans
from raddiag_hf.imaging.scan import ScanReadError
from raddiag_hf.vocabulary import Modality


@pytest.fixture
def pictures(tmp_path):
    from PIL import Image

    for number in range(24):
        Image.new("L", (16, 16), 10 * number).save(tmp_path / f"{number}.png")
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(40))
    return sorted(tmp_path.glob("*.png"))


def test_warnings_and_loggers_are_as_before(pictures):
    def read(path):
        try:
            return read_scans(path, modality=Modality.CT)
        except ScanReadError:
            return None

    before = list(warnings.filters), warnings.showwarning, logging.root.level, logging.root.handlers
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(read, pictures * 8))
    assert answers.count(None) == 8
    assert (
        list(warnings.filters),
        warnings.showwarning,
        logging.root.level,
        logging.root.handlers,
    ) == before
    with pytest.warns(UserWarning, match="still heard"):
        warnings.warn("still heard", stacklevel=1)


def test_blocks_that_overlap_in_threads_restore_what_was_before_all_of_them(tmp_path):
    before = list(warnings.filters)
    first = only_scan_read_errors(tmp_path, "it", quote=False)
    second = only_scan_read_errors(tmp_path, "it", quote=False)
    with ThreadPoolExecutor(1) as one, ThreadPoolExecutor(1) as other:
        one.submit(first.__enter__).result()
        other.submit(second.__enter__).result()
        one.submit(first.__exit__, None, None, None).result()
        other.submit(second.__exit__, None, None, None).result()
    assert list(warnings.filters) == before
