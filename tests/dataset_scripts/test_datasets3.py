"""The scripts as loading scripts of `datasets` 3, which still ran them."""

import json
import os
import site
import subprocess
import venv

import pytest

from raddiag_hf.data.publishers.loading import scripts_folder
from tests.fixtures.publisher_files import save_picture

LOAD = """
import json, sys
import datasets

assert datasets.__version__ == "3.6.0", datasets.__version__
script, cache_dir, options = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
cases = datasets.load_dataset(script, trust_remote_code=True, cache_dir=cache_dir, **options)
row = cases["test"][0]
print(json.dumps([len(cases["train"]), row["case_id"], len(row["scans"][0]["volume"]["shape"])]))
"""


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    """An environment with `datasets` 3.6 in front of everything that is installed here."""
    folder = tmp_path_factory.mktemp("datasets3")
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    (packages,) = folder.glob("lib/python*/site-packages")
    lines = [f"import site; site.addsitedir({path!r})" for path in site.getsitepackages()]
    (packages / "parent.pth").write_text("\n".join(lines))
    install = [python, "-m", "pip", "install", "--quiet", "datasets==3.6.0"]
    result = subprocess.run(install, capture_output=True, text=True)
    if result.returncode:
        pytest.skip(f"datasets 3.6 cannot be installed: {result.stderr.splitlines()[-1]}")
    return python


def load(python, tmp_path, name, **options):
    script = scripts_folder().resolve() / name / f"{name}.py"
    run = subprocess.run(
        [python, "-c", LOAD, script, tmp_path / "cache", json.dumps(options)],
        env=os.environ | {"HF_HOME": str(tmp_path / "home")},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr[-2000:]
    return json.loads(run.stdout)


@pytest.mark.slow
def test_a_script_that_reads_files(python, tmp_path):
    for label in ("glioma", "meningioma", "notumor", "pituitary"):
        for number in range(4):
            save_picture(tmp_path / "data" / "Training" / label / f"Tr_{number}.jpg")
        save_picture(tmp_path / "data" / "Testing" / label / "Te_0.jpg")
    found = load(python, tmp_path, "brain_tumor", data_dir=str(tmp_path / "data"))
    assert found == [14, "testing-glioma-Te_0", 3]


@pytest.mark.slow
def test_a_script_with_options_of_its_own(python, tmp_path):
    small = {"num_train": 2, "num_validation": 1, "num_test": 1, "image_size": 32}
    assert load(python, tmp_path, "phantoms", **small) == [2, "phantom-2-000000", 3]
