"""What each room offers at its door: few names, imported at first use."""

import importlib
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import raddiag_hf

SOURCE = Path(raddiag_hf.__file__).parents[1]
WITHOUT_FACE = {
    "raddiag_hf",  # names of every room; tests/test_package.py
    "raddiag_hf.cli",  # verbs; its entry point is a script
    "raddiag_hf.cli.dataset",
    "raddiag_hf.cli.knowledge",
    "raddiag_hf.evaluation.raddiag_metrics",  # a folder for `evaluate.load`
    "raddiag_hf.model",  # imports at once, to register itself
}
FOLDERS = [path.parent.relative_to(SOURCE) for path in SOURCE.rglob("raddiag_hf/**/__init__.py")]
PACKAGES = sorted({".".join(folder.parts) for folder in FOLDERS} - WITHOUT_FACE)


@pytest.mark.parametrize("package", PACKAGES)
def test_a_face_is_three_to_eight_names_that_can_be_imported(package):
    face = importlib.import_module(package)
    assert 3 <= len(face.__all__) <= 8
    assert dir(face) == sorted(face.__all__)
    modules = {found.name for found in pkgutil.iter_modules(face.__path__)}
    assert modules.isdisjoint(face.__all__)  # one would hide the other
    for name in face.__all__:
        offered = getattr(face, name)
        assert getattr(offered, "__name__", name) in (name, "Callable", "Union")
    with pytest.raises(AttributeError, match="no_such_name"):
        face.no_such_name  # noqa: B018


def test_importing_a_package_loads_no_torch():
    code = (
        "import importlib, sys\n"
        "for name in sys.argv[1:]:\n"
        "    importlib.import_module(name)\n"
        "    assert not {'torch', 'numpy', 'transformers', 'datasets'} & sys.modules.keys(), name\n"
    )
    subprocess.run([sys.executable, "-c", code, *PACKAGES], check=True)
