"""The command line as a whole: help, exit codes, and what becomes of errors."""

import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from raddiag_hf.cli import main as main_module
from raddiag_hf.cli.main import OUR_FAULT, main

SCRIPT = Path(sys.executable).with_name("raddiag")


def test_the_version_is_that_of_the_package(run):
    assert run("--version") == (0, f"raddiag {version('raddiag-hf')}\n", "")


def test_without_a_verb_help_is_shown(run):
    code, out, _ = run()
    assert code == 0
    assert "diagnose" in out
    assert "convert-checkpoint" in out


@pytest.mark.parametrize("verb", ["diagnose", "convert-checkpoint", "demo"])
def test_every_verb_explains_itself_with_an_example(run, verb):
    code, out, _ = run(verb, "--help")
    assert code == 0
    assert f"raddiag {verb} " in out.split("Example")[1]


@pytest.mark.parametrize("arguments", [["--help"], ["diagnose", "--help"], ["--version"]])
def test_help_needs_no_torch(arguments):
    process = subprocess.run(
        [SCRIPT, *arguments],
        env=os.environ | {"PYTHONPROFILEIMPORTTIME": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    modules = {line.rpartition("|")[2].strip() for line in process.stderr.splitlines()}
    assert "raddiag_hf.cli.main" in modules
    assert modules.isdisjoint({"torch", "transformers", "numpy", "pydicom", "huggingface_hub"})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["diagnos"], "No such command 'diagnos'"),
        (["diagnose", "--modle", "x"], "No such option"),
        (["diagnose", "scan.dcm"], "Missing option '--model'"),
        (["convert-checkpoint"], "Missing argument 'checkpoint'"),
    ],
)
def test_a_mistyped_command_line_is_answered_in_one_line(run, arguments, message):
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1


def replace_app(monkeypatch, error):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(main_module, "app", fail)


@pytest.mark.parametrize("error", [RuntimeError("broken"), ValueError("ours"), KeyError("x")])
def test_our_own_faults_keep_their_traceback_and_say_so(monkeypatch, error):
    replace_app(monkeypatch, error)
    with pytest.raises(type(error)) as caught:
        main([])
    assert caught.value.__notes__ == [OUR_FAULT]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["diagnose", "scan.dcm"], ""),
        (["train", "recipe"], "; the same command goes on where it stopped"),
        (["dataset", "import"], "; the same command goes on where it stopped"),
    ],
)
def test_an_interruption_is_no_fault_and_says_how_to_go_on(monkeypatch, capsys, arguments, said):
    replace_app(monkeypatch, KeyboardInterrupt())
    assert main(arguments) == 130
    assert capsys.readouterr().err == f"\nraddiag: interrupted{said}\n"


def test_an_error_of_the_operating_system_names_its_file(monkeypatch, capsys):
    replace_app(monkeypatch, PermissionError(13, "Permission denied", "/data/scan.dcm"))
    assert main([]) == 2
    assert capsys.readouterr().err == "raddiag: /data/scan.dcm: Permission denied\n"


def test_a_fault_of_ours_ends_the_process_with_one():
    code = (
        "import sys; from raddiag_hf.cli import main\n"
        "def fail(*_, **__): raise RuntimeError('broken')\n"
        "main.app = fail; sys.exit(main.main([]))"
    )
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert process.returncode == 1
    assert "RuntimeError: broken" in process.stderr
    assert OUR_FAULT in process.stderr
