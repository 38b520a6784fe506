"""A model, cases whose labels can be seen, and what each method makes of both."""

import pytest

from raddiag_hf.training.finetuning import finetune
from tests.fixtures.finetuning import SETTINGS, write_visible_store
from tests.fixtures.saved_models import save_tiny_model


@pytest.fixture(scope="session")
def base(tmp_path_factory):
    return save_tiny_model(tmp_path_factory.mktemp("base") / "base")


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "cases"
    write_visible_store(folder)
    return folder


@pytest.fixture(scope="session")
def finished(base, data, tmp_path_factory):
    """The output of every method, by method, made when it is asked for."""
    outputs = {}

    def run(method):
        if method not in outputs:
            output = tmp_path_factory.mktemp(method) / "out"
            outputs[method] = (finetune(str(base), data, output, SETTINGS[method]), output)
        return outputs[method]

    return run
