"""A file whose decoder dies costs an import, or a diagnosis, that file alone."""

import pytest

from raddiag_hf.data.hospital.importing import import_hospital_data
from raddiag_hf.data.hospital.pseudonyms import Pseudonyms
from raddiag_hf.imaging.guard import end_readers
from raddiag_hf.inference.case import read_case
from tests.fixtures.dicom_files import numbered_slices, write_series
from tests.fuzz.kinds import WRITERS

DEADLY_DECODER = """
import os, signal
import imagecodecs
imagecodecs.jpegls_decode = lambda source: os.kill(os.getpid(), signal.SIGSEGV)
"""


@pytest.fixture
def deadly_jpeg_ls(tmp_path, monkeypatch):
    """Python runs this file when the process that reads starts."""
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(DEADLY_DECODER)
    monkeypatch.syspath_prepend(folder)
    end_readers()
    yield
    end_readers()


@pytest.fixture
def study(tmp_path):
    write_series(tmp_path / "study" / "good", numbered_slices(3))
    WRITERS["jpeg_ls"](tmp_path / "study" / "deadly.dcm")
    return tmp_path / "study"


def test_an_import_goes_on_and_names_the_file(tmp_path, deadly_jpeg_ls, study):
    manifest = tmp_path / "manifest.csv"
    manifest.write_text("case_id,path\na,study/good\nb,study/deadly.dcm\n")
    done = import_hospital_data(manifest, tmp_path / "cases", Pseudonyms(b"k" * 32))
    told = [(one.path, one.reason) for one in done.rejections]
    assert told == [(str(study / "deadly.dcm"), "crashed")]
    assert sum(map(len, done.store.shards.values())) == 1


def test_a_case_is_read_without_the_file(deadly_jpeg_ls, study):
    case = read_case(study, "CT")
    assert len(case.scans) == 1
    assert [(one.path.name, one.reason.value) for one in case.rejected] == [
        ("deadly.dcm", "crashed")
    ]
