"""Fine-tuning a knowledge head, which reads label names."""

import pytest
import torch

from raddiag_hf import RadDiagImageProcessor
from raddiag_hf.checkpoints.loaded_model import LabelTextsMissingError
from raddiag_hf.checkpoints.loading import load_model
from raddiag_hf.model.label_texts import LabelTextError
from raddiag_hf.model.modeling_raddiag import RadDiagForImageClassification
from raddiag_hf.training.finetune_settings import (
    FinetuneError,
    FinetuneSettings,
    Head,
    Method,
)
from raddiag_hf.training.finetuning import finetune
from tests.fixtures.cases import LABELS
from tests.fixtures.finetuning import FAST, SETTINGS
from tests.fixtures.models import tiny_config, tiny_model
from tests.fixtures.text_encoders import tiny_text_encoder


@pytest.mark.parametrize("method", [Method.FULL, Method.LORA])
def test_a_knowledge_head_reads_new_label_names(data, tmp_path, method):
    encoder = tiny_text_encoder(width=12)
    encoder.save_pretrained(tmp_path / "encoder")
    model = tiny_model(classifier_type="knowledge", num_labels=2)
    model.set_label_texts(["Pneumonia", "Fracture"], encoder, for_training=True)
    model.save_pretrained(tmp_path / "base")
    RadDiagImageProcessor(image_size=32, max_slices=8).save_pretrained(tmp_path / "base")
    options = FAST | {"num_epochs": 1}
    settings = FinetuneSettings(method, head=Head.KNOWLEDGE, **options)
    with pytest.raises(LabelTextError, match="text encoder"):
        finetune(str(tmp_path / "base"), data, tmp_path / "out", settings)
    record = finetune(
        str(tmp_path / "base"), data, tmp_path / "out", settings,
        text_encoder=str(tmp_path / "encoder"),
    )  # fmt: skip
    assert record.head == "knowledge head, by label names"
    assert record.fusion == "kept"
    adapted = load_model(str(tmp_path / "out"), device="cpu").model
    assert adapted.config.classifier_type == "knowledge"
    torch.testing.assert_close(
        adapted.classifier.label_embeddings, encoder.encode(list(LABELS.names))
    )


def test_a_knowledge_head_without_label_texts_is_not_trained(data, tmp_path):
    names = {"num_labels": len(LABELS), "id2label": LABELS.id2label, "label2id": LABELS.label2id}
    model = RadDiagForImageClassification(tiny_config(**names, classifier_type="knowledge"))
    model.save_pretrained(tmp_path / "base")
    RadDiagImageProcessor(image_size=32, max_slices=8).save_pretrained(tmp_path / "base")
    with pytest.raises(
        LabelTextsMissingError, match=r"base: its knowledge .*raddiag knowledge embed"
    ):
        finetune(str(tmp_path / "base"), data, tmp_path / "out", SETTINGS[Method.FULL])
    assert not (tmp_path / "out").exists()


def test_a_knowledge_head_goes_on_with_labels_it_knows_and_they_count_as_trained(data, tmp_path):
    model = tiny_model(classifier_type="knowledge", num_labels=2)
    model.set_label_texts(["Pneumonia", "Fracture"], tiny_text_encoder(width=12), for_training=True)
    model.set_label_texts(LABELS.names, tiny_text_encoder(width=12))
    model.save_pretrained(tmp_path / "base")
    RadDiagImageProcessor(image_size=32, max_slices=8).save_pretrained(tmp_path / "base")
    settings = FinetuneSettings(Method.FULL, **(FAST | {"num_epochs": 1}))
    finetune(str(tmp_path / "base"), data, tmp_path / "out", settings)
    assert load_model(str(tmp_path / "out"), device="cpu").model.config.trained_labels is None


def test_a_text_encoder_that_no_head_would_read_is_refused(base, data, tmp_path):
    with pytest.raises(FinetuneError, match="a text encoder was given, but the head would be"):
        finetune(str(base), data, tmp_path / "out", SETTINGS[Method.FULL], text_encoder="encoder")
