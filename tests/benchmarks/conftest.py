"""The benchmarks are scripts: their helpers are modules of their own folder."""

import importlib
from pathlib import Path

import pytest


@pytest.fixture
def benchmark_module(monkeypatch):
    """Import a module of ``benchmarks/`` as its scripts do."""
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "benchmarks")
    return importlib.import_module
