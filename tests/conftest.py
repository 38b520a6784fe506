"""What every test may use."""

import gc
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("raddiag", deadline=None)  # two busy cores make single examples slow
settings.load_profile("raddiag")


gc.disable()  # a quarter of the time of collection, which makes modules and tests that stay


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """The folder of parity fixtures and real images; tests that need it skip where it is absent."""
    default = Path(__file__).parents[2] / "shared"
    folder = Path(os.environ.get("RADDIAG_SHARED", default)).resolve()
    if not folder.is_dir():
        pytest.skip(f"no shared fixtures at {folder}; set RADDIAG_SHARED to their folder")
    return folder


@pytest.fixture(autouse=True)
def nothing_left_behind(pytestconfig: pytest.Config) -> Iterator[None]:
    """No test writes into the checkout; caches, whose names begin with a dot, may."""
    before = set(os.listdir(pytestconfig.rootpath))
    yield
    left = set(os.listdir(pytestconfig.rootpath)) - before - {"__pycache__"}
    left = {name for name in left if not name.startswith(".")}
    assert not left, f"left in {pytestconfig.rootpath}: {sorted(left)}; write into tmp_path"


def pytest_itemcollected(item: pytest.Item) -> None:
    """Mark what reads the shared images and fixtures, so that it can be chosen or left out."""
    if "shared_dir" in getattr(item, "fixturenames", ()):
        item.add_marker("real_data")
