import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from raddiag_hf.data.publishers.loading import builder_names

ROOT = Path(__file__).parents[2]
PARTS = ("src", "dataset_scripts", "model_cards")
OURS = (
    "raddiag_hf/training/recipes/", "raddiag_hf/py.typed", "raddiag_hf/__init__.pyi",
    "raddiag_hf/data/store/__init__.pyi",
)  # fmt: skip


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """What is built: a copy, as building writes beside its source."""
    folder = tmp_path_factory.mktemp("source")
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    for name in PARTS:
        ignored = shutil.ignore_patterns("*.egg-info", "__pycache__")
        shutil.copytree(ROOT / name, folder / name, symlinks=True, ignore=ignored)
    return folder


def build(source, kind):
    code = f"from setuptools import build_meta; print(build_meta.build_{kind}('dist'))"
    out = subprocess.run(
        [sys.executable, "-c", code], cwd=source, check=True, capture_output=True, text=True
    ).stdout
    return source / "dist" / out.splitlines()[-1]


@pytest.mark.slow
def test_an_installed_wheel_carries_the_scripts_and_cards(source, tmp_path):
    wheel = build(source, "wheel")
    names = zipfile.ZipFile(wheel).namelist()
    for name in builder_names():
        assert f"raddiag_hf/dataset_scripts/{name}/{name}.py" in names
    assert all(any(name.startswith(ours) for name in names) for ours in OURS)
    zipfile.ZipFile(wheel).extractall(tmp_path)
    code = (
        "from raddiag_hf.data.publishers.loading import builder_names, load_builder\n"
        "from jinja2 import PackageLoader\n"
        "print(load_builder('phantoms').name, *builder_names())\n"
        "print(*PackageLoader('raddiag_hf.model_cards', '').list_templates())\n"
    )
    lines = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        check=True,
        capture_output=True,
        text=True,
    ).stdout.splitlines()
    assert lines[0] == f"phantoms {' '.join(builder_names())}"
    assert ".md.jinja" in lines[1]


@pytest.mark.slow
def test_a_source_distribution_carries_them_too(source):
    with tarfile.open(build(source, "sdist")) as archive:
        names = archive.getnames()
    inside = {name.partition("/")[2] for name in names}
    assert {f"dataset_scripts/{name}/{name}.py" for name in builder_names()} <= inside
    assert any(name.startswith("model_cards/") and name.endswith(".jinja") for name in inside)


def test_no_part_of_the_package_is_a_link():
    links = [path for name in PARTS for path in (ROOT / name).rglob("*") if path.is_symlink()]
    assert links == []
