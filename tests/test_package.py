"""What `import raddiag_hf` costs, offers, and tells a type checker."""

import ast
import configparser
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

import raddiag_hf

ROOT = Path(__file__).parents[1]
STUB = Path(raddiag_hf.__file__).with_suffix(".pyi")

HEAVY = {
    "torch", "transformers", "datasets", "numpy", "monai", "scipy", "pydicom", "matplotlib", "peft",
    "pandas", "sklearn", "huggingface_hub",
}  # fmt: skip


def run(code, *arguments):
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True
    ).stdout


def test_importing_the_package_loads_nothing_heavy():
    start = time.perf_counter()
    loaded = json.loads(run("import raddiag_hf, sys, json; print(json.dumps([*sys.modules]))"))
    assert HEAVY.isdisjoint(loaded)
    assert time.perf_counter() - start < 5  # a fifth of a second; torch alone would take more


@pytest.mark.parametrize(
    "imports",
    [
        "import raddiag_hf; import transformers",
        pytest.param("import transformers; import raddiag_hf", marks=pytest.mark.slow),
        pytest.param(
            "import raddiag_hf.model.configuration_raddiag; import transformers",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_the_auto_classes_know_raddiag_in_any_order_of_imports(imports):
    code = f"""
{imports}
import sys
from transformers import AutoConfig, AutoModel, AutoModelForImageClassification
from transformers.models.auto.image_processing_auto import AutoImageProcessor

assert {{"peft", "datasets"}}.isdisjoint(sys.modules)
config = AutoConfig.for_model("raddiag", num_hidden_layers=1, num_fusion_layers=1)
print(type(AutoModel.from_config(config)).__name__)
"""
    assert run(code) == "RadDiagModel\n"


def test_every_public_name_can_be_imported_and_is_listed():
    assert len(raddiag_hf.__all__) > 15
    for name in raddiag_hf.__all__:
        assert getattr(raddiag_hf, name).__name__ == name
    assert dir(raddiag_hf) == sorted(raddiag_hf.__all__)
    with pytest.raises(AttributeError, match="no_such_name"):
        raddiag_hf.no_such_name  # noqa: B018


def test_a_type_checker_sees_the_same_names():
    imported = [node for node in ast.parse(STUB.read_text()).body if hasattr(node, "names")]
    stated = {alias.asname for node in imported for alias in node.names}
    assert stated == set(raddiag_hf.__all__)


@pytest.mark.slow
def test_a_users_type_checker_finds_types_and_refuses_other_names(tmp_path):
    (tmp_path / "user.py").write_text(
        "import raddiag_hf\nreveal_type(raddiag_hf.read_scans)\nraddiag_hf.no_such_name\n"
    )
    mypy = [sys.executable, "-m", "mypy", "--follow-imports=silent", "user.py"]
    out = subprocess.run(mypy, cwd=tmp_path, capture_output=True, text=True).stdout
    assert "path: pathlib.Path | str" in out
    assert 'has no attribute "no_such_name"' in out


def test_every_package_is_installed():
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    found = {
        ".".join(path.parent.relative_to(ROOT / "src").parts)
        for path in (ROOT / "src").rglob("__init__.py")
    }
    found |= {"raddiag_hf.dataset_scripts", "raddiag_hf.model_cards"}
    assert set(setup["options"]["packages"].split()) == found


def test_the_version_is_the_same_everywhere():
    assert f"\nversion: {raddiag_hf.__version__}\n" in (ROOT / "CITATION.cff").read_text()
    assert f"\n## {raddiag_hf.__version__} " in (ROOT / "CHANGELOG.md").read_text()
