"""The README is true: its Python runs, its commands exist, its tree is the real one."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
VERBS_OF_VERBS = ("dataset", "knowledge")
README = (ROOT / "README.md").read_text()


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_python_blocks_run_one_after_the_other(tmp_path):
    program = "\n".join(blocks("python"))
    run = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    printed = "".join(run.stdout.split())
    for line in re.findall(r"^#( *[{'].*)$", program, re.MULTILINE):
        assert "".join(line.split()) in printed


def commands():
    lines = (line.partition("#")[0] for block in blocks("sh") for line in block.splitlines())
    return [shlex.split(line) for line in lines if line.strip()]


@pytest.mark.parametrize("command", commands(), ids=" ".join)
def test_commands_and_their_options_exist(command):
    program, verb, *arguments = command
    if program == "make":
        assert re.search(rf"^{verb}:", (ROOT / "Makefile").read_text(), re.MULTILINE)
        return
    assert program == "raddiag"
    verbs = [verb, arguments[0]] if verb in VERBS_OF_VERBS else [verb]
    help_text = subprocess.run(
        [Path(sys.executable).parent / "raddiag", *verbs, "--help"],
        capture_output=True, text=True, check=True, env={"COLUMNS": "200"},
    ).stdout  # fmt: skip
    for option in (argument for argument in arguments if argument.startswith("--")):
        assert option in help_text


def test_the_tree_is_the_real_one():
    (tree,) = re.findall(r"```\n(src/raddiag_hf/\n.*?)```", README, re.DOTALL)
    named = set(re.findall(r"^  (\w+)/ ", tree, re.MULTILINE))
    package = ROOT / "src" / "raddiag_hf"
    real = {path.parent.name for path in package.glob("*/__init__.py")}
    assert named == real
