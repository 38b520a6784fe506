"""A package that was left out is named with what installs it."""

import ast
import configparser
import sys
from pathlib import Path

import pytest

from raddiag_hf.core.extras import ExtraMissingError, require_extra

ROOT = Path(__file__).parents[2]


def required():
    """The calls of `require_extra` in the package, as (package, extra)."""
    for path in (ROOT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "require_extra":
                options = {option.arg: option.value for option in node.keywords}
                yield node.args[0].value, options["extra"].value


def test_what_is_there_is_not_refused():
    require_extra("torch", extra="peft", needed_by="anything")


def test_what_is_missing_is_named_with_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(ExtraMissingError) as raised:
        require_extra("sentence_transformers", extra="knowledge", needed_by="a text encoder")
    expected = "a text encoder needs sentence-transformers: pip install 'raddiag-hf[knowledge]'"
    assert str(raised.value) == expected


def test_each_extra_installs_what_it_is_required_for():
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    pairs = set(required())
    assert pairs == {
        ("peft", "peft"),
        ("sentence_transformers", "knowledge"),
        ("timm", "timm"),
        ("torchvision", "timm"),
    }
    for package, extra in pairs:
        assert package.replace("_", "-") in setup["options.extras_require"][extra]
