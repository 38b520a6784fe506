"""What the tests of the command line share: one small model on disk, and a scan of each kind."""

import os
from pathlib import Path

import numpy as np
import pydicom.data
import pytest
from PIL import Image

from raddiag_hf.cli.main import main
from tests.fixtures.saved_models import save_tiny_model


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture(scope="session")
def scan_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``ct.dcm`` says what made it; ``knee.npy`` and ``film.png`` do not."""
    folder = tmp_path_factory.mktemp("scans")
    ct = pydicom.data.get_testdata_file("CT_small.dcm")
    (folder / "ct.dcm").write_bytes(Path(ct).read_bytes())
    random = np.random.default_rng(0)
    np.save(folder / "knee.npy", random.normal(size=(64, 64, 12)).astype(np.float32))
    pixels = random.integers(0, 255, (70, 64), dtype=np.uint8)
    Image.fromarray(pixels).save(folder / "film.png")
    return folder


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]):
    """Run a command line; return exit code, standard output and standard error."""

    def run(*arguments: str | os.PathLike[str]) -> tuple[int, str, str]:
        code = main([os.fspath(argument) for argument in arguments])
        return code, *capsys.readouterr()

    return run
