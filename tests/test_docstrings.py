"""The examples in docstrings run as they stand, beside a model, an encoder, cases and a scan."""

import doctest
import importlib
from pathlib import Path

import numpy as np
import pytest
from transformers import Dinov2Model

from raddiag_hf import RadDiagForImageClassification, RadDiagImageProcessor
from raddiag_hf.inference.diagnose import diagnose_case
from raddiag_hf.labels.label_embeddings import LabelEmbeddings
from raddiag_hf.vocabulary import Modality
from tests.fixtures.cases import LABELS, make_scan
from tests.fixtures.evaluation_data import save_evaluation_model, write_evaluation_data
from tests.fixtures.models import BACKBONES, tiny_config
from tests.fixtures.text_encoders import tiny_text_encoder

SOURCE = Path(__file__).parents[1] / "src"
MODULES = [
    ".".join(path.relative_to(SOURCE).with_suffix("").parts)
    for path in sorted(SOURCE.rglob("*.py"))
    if ">>> " in path.read_text()
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """What the examples name by relative paths."""
    folder = tmp_path_factory.mktemp("examples")
    save_evaluation_model(folder / "model")
    write_evaluation_data(folder / "cases")
    encoder = tiny_text_encoder(width=12)
    encoder.save_pretrained(folder / "knowledge-encoder")
    LabelEmbeddings.embed(LABELS, encoder).save(folder / "label_embeddings.safetensors")
    knowledge_model = RadDiagForImageClassification(
        tiny_config(classifier_type="knowledge", num_labels=len(LABELS))
    )
    knowledge_model.set_label_texts(LABELS.names, encoder)
    knowledge_model.save_pretrained(folder / "knowledge-model")
    volume = np.moveaxis(make_scan(0, (6, 32, 32)).volume, 0, -1)  # depth last, as published
    np.save(folder / "knee.npy", volume)
    Dinov2Model(BACKBONES["dinov2"][0]).save_pretrained(folder / "dinov2")
    return folder


@pytest.mark.parametrize("module", MODULES)
def test_the_examples_give_what_they_say(module, folder, monkeypatch):
    monkeypatch.chdir(folder)
    names = {
        "model": RadDiagForImageClassification.from_pretrained("model").eval(),
        "processor": RadDiagImageProcessor.from_pretrained("model"),
        "scans": [make_scan(0, (6, 32, 32)), make_scan(1, (1, 32, 32), Modality.XRAY)],
        "diagnose_case": diagnose_case,
        "Path": Path,
    }
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    found = importlib.import_module(module)
    result = doctest.testmod(found, extraglobs=names, optionflags=flags)
    assert result.attempted > 0
    assert result.failed == 0


def test_no_example_is_skipped():
    skipped = [
        path.relative_to(SOURCE).as_posix()
        for path in SOURCE.rglob("*.py")
        if "doctest: +SKIP" in path.read_text()
    ]
    assert skipped == []
