import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from raddiag_hf.data.publishers.loading import builder_names

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_an_installed_wheel_carries_the_scripts(tmp_path):
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        (tmp_path / "source").mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / "source")
    for name in ("src", "dataset_scripts"):
        ignored = shutil.ignore_patterns("*.egg-info", "__pycache__")
        shutil.copytree(ROOT / name, tmp_path / "source" / name, symlinks=True, ignore=ignored)
    build = "from setuptools import build_meta; build_meta.build_wheel('.')"
    subprocess.run([sys.executable, "-c", build], cwd=tmp_path / "source", check=True)
    (wheel,) = (tmp_path / "source").glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    for name in builder_names():
        assert f"raddiag_hf/dataset_scripts/{name}/{name}.py" in names
