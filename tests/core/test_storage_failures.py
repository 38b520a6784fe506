"""What a full disk is called, whoever meets it."""

import resource

import pytest
import torch
from safetensors.torch import save_file

from raddiag_hf.core.atomic_files import StorageError, named_storage_failure


@pytest.fixture
def small_files():
    """Let this process write no file beyond a kilobyte."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.mark.parametrize("save", [save_file, torch.save])
def test_a_write_that_fails_names_the_folder(tmp_path, small_files, save):
    with (
        pytest.raises(StorageError, match="out: cannot be written, is the disk full") as caught,
        named_storage_failure(tmp_path / "out"),
    ):
        save({"weights": torch.zeros(100_000)}, tmp_path / "weights")
    assert str(tmp_path / "out") in str(caught.value)


def test_errors_of_another_kind_pass(tmp_path):
    with pytest.raises(RuntimeError, match="shapes differ"), named_storage_failure(tmp_path):
        raise RuntimeError("shapes differ")
