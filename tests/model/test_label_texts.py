"""A classifier that reads names: labels can be replaced after training."""

import logging
import zlib

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from huggingface_hub.errors import StrictDataclassError
from transformers import AutoModelForImageClassification

from raddiag_hf.labels.label_set import LabelSet
from raddiag_hf.model.label_texts import LabelTextError
from raddiag_hf.model.modeling_raddiag import RadDiagForImageClassification
from tests.fixtures.models import packed_batch, tiny_config

TRAINED = ["Normal", "Pneumothorax", "Meningioma", "Cyst of the liver", "Rib fracture"]
BATCH = packed_batch([[3, 1], [8]])


class WordEncoder:
    """Embeds a text as the mean of random vectors, one for each of its words."""

    def __init__(self, fingerprint="of words", width=12, salt=""):
        self.fingerprint, self.width, self.salt, self.encoded = fingerprint, width, salt, []

    def encode(self, texts):
        self.encoded += texts
        return F.normalize(torch.stack([self.embed(text) for text in texts]), dim=-1)

    def embed(self, text):
        seeds = [zlib.crc32((self.salt + word).encode()) for word in text.lower().split()]
        vectors = [
            torch.randn(self.width, generator=torch.Generator().manual_seed(seed)) for seed in seeds
        ]
        return torch.stack(vectors).mean(0)


def trained_model(**overrides):
    torch.manual_seed(0)
    model = RadDiagForImageClassification(tiny_config(classifier_type="knowledge", **overrides))
    model.set_label_texts(TRAINED, WordEncoder())
    return model.eval()


def logits_of(model):
    with torch.no_grad():
        return model(**BATCH).logits


def test_the_first_label_texts_are_those_of_the_training():
    model = trained_model()
    assert model.config.id2label == dict(enumerate(TRAINED))
    assert model.config.label2id["Meningioma"] == 2
    assert model.config.num_labels == 5
    assert model.config.label_set_fingerprint == LabelSet(tuple(TRAINED)).fingerprint
    assert model.config.text_encoder_fingerprint == "of words"
    assert model.config.trained_labels is None


def test_a_label_keeps_its_logit_whatever_labels_stand_beside_it():
    model = trained_model()
    before = logits_of(model)
    model.set_label_texts(["Cyst of the spleen", "Meningioma", "Normal"], WordEncoder())
    after = logits_of(model)
    assert after.shape == (2, 3)
    torch.testing.assert_close(after[:, 1:], before[:, [2, 0]])
    assert model.config.trained_labels == TRAINED


def test_only_unknown_names_are_encoded():
    model, encoder = trained_model(), WordEncoder()
    model.set_label_texts([*TRAINED, "Cyst of the spleen"], encoder)
    assert encoder.encoded == ["Cyst of the spleen"]


def test_known_labels_need_no_encoder_and_those_of_the_training_come_back():
    model = trained_model()
    before = logits_of(model)
    model.set_label_texts(["Rib fracture"])
    torch.testing.assert_close(logits_of(model), before[:, 4:])
    model.set_label_texts(TRAINED)
    assert torch.equal(logits_of(model), before)
    assert model.config.trained_labels is None
    with pytest.raises(LabelTextError, match="'Osteoma' for one: give the text encoder"):
        model.set_label_texts(["Normal", "Osteoma"])


@pytest.mark.parametrize("names", [TRAINED, ["Cyst of the spleen", "Normal"]])
def test_replaced_labels_survive_saving(names, tmp_path):
    model = trained_model()
    model.set_label_texts(names, WordEncoder())
    model.save_pretrained(tmp_path)
    loaded = AutoModelForImageClassification.from_pretrained(tmp_path)
    assert torch.equal(logits_of(loaded), logits_of(model))
    assert loaded.config.id2label == dict(enumerate(names))
    assert loaded.config.text_encoder_fingerprint == "of words"
    loaded.set_label_texts(TRAINED)  # remembered, so no encoder is needed
    torch.testing.assert_close(logits_of(loaded), logits_of(trained_model()))


def test_thresholds_of_other_labels_are_dropped_and_said_to_be(caplog):
    model = trained_model()
    model.config.decision_thresholds = [0.5] * 5
    model.config.decision_threshold_source = "validation"
    model.set_label_texts(TRAINED)
    assert model.config.decision_thresholds == [0.5] * 5
    with caplog.at_level(logging.WARNING):
        model.set_label_texts(["Normal"])
    assert model.config.decision_thresholds is None
    assert model.config.decision_threshold_source is None
    assert "dropped the decision thresholds of 5 labels" in caplog.text


def test_all_logits_share_a_bias_that_is_learnt_and_saved(tmp_path):
    biased, plain = trained_model(knowledge_logit_bias=-3.0), trained_model()
    torch.testing.assert_close(logits_of(biased), logits_of(plain) - 3)
    biased(**BATCH, labels=torch.zeros(2, 5)).loss.backward()
    assert biased.classifier.logit_bias.grad > 0
    biased.classifier.logit_bias.data.fill_(-2.5)
    biased.save_pretrained(tmp_path)
    loaded = AutoModelForImageClassification.from_pretrained(tmp_path)
    torch.testing.assert_close(logits_of(loaded), logits_of(plain) - 2.5)


def test_whitened_label_texts_are_saved_and_opened_as_others(tmp_path):
    model = trained_model(label_text_whitening=1.0)
    expected = logits_of(model)
    assert not torch.allclose(expected, logits_of(trained_model()), atol=1e-3)
    model.save_pretrained(tmp_path)
    loaded = RadDiagForImageClassification.from_pretrained(tmp_path).eval()
    torch.testing.assert_close(logits_of(loaded), expected)
    loaded.set_label_texts(["Rib fracture", "Osteoma"], WordEncoder())
    torch.testing.assert_close(logits_of(loaded)[:, 0], expected[:, 4])
    loaded.save_pretrained(tmp_path / "open")
    opened = RadDiagForImageClassification.from_pretrained(tmp_path / "open").eval()
    torch.testing.assert_close(logits_of(opened), logits_of(loaded))
    loaded.set_label_texts(TRAINED)
    torch.testing.assert_close(logits_of(loaded), expected)


def test_whitened_label_texts_are_trained_as_they_are_evaluated():
    model = trained_model(label_text_whitening=1.0)
    evaluated = logits_of(model)
    torch.testing.assert_close(model(**BATCH).logits.detach(), evaluated)


def test_whitened_label_texts_are_trained_after_an_inference():
    model = trained_model(label_text_whitening=1.0)
    with torch.inference_mode():
        model(**BATCH)
    model(**BATCH, labels=torch.zeros(2, 5)).loss.backward()
    assert model.classifier.projection.weight.grad.abs().sum() > 0


@pytest.mark.parametrize("ridge", [None, 1.0])
def test_replaced_label_embeddings_are_noticed(ridge):
    model = trained_model(label_text_whitening=ridge)
    before = logits_of(model)
    head = model.classifier
    head.label_embeddings = head.label_embeddings.flip(0)
    torch.testing.assert_close(logits_of(model), before.flip(1))


def test_mixed_precision_leaves_nothing_behind():
    model = trained_model(label_text_whitening=1.0)
    before = logits_of(model)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        model(**BATCH)
    torch.testing.assert_close(logits_of(model), before)


def test_an_encoder_that_gives_no_numbers_is_refused():
    class BrokenEncoder(WordEncoder):
        def embed(self, text):
            return torch.full((self.width,), float("nan"))

    model = trained_model()
    with pytest.raises(LabelTextError, match="not finite"):
        model.set_label_texts(["Osteoma"], BrokenEncoder())


@pytest.mark.parametrize("ridge", [0, -1.0, float("inf")])
def test_a_ridge_that_is_none_is_refused(ridge):
    with pytest.raises(StrictDataclassError, match="label_text_whitening is"):
        tiny_config(classifier_type="knowledge", label_text_whitening=ridge)


def test_a_knowledge_head_on_a_linear_checkpoint_waits_for_its_label_texts(tmp_path):
    RadDiagForImageClassification(tiny_config()).save_pretrained(tmp_path)
    config = tiny_config(classifier_type="knowledge", knowledge_logit_bias=-3.0)
    model = RadDiagForImageClassification.from_pretrained(tmp_path, config=config)
    assert not model.classifier.has_label_embeddings()
    assert model.classifier.logit_bias.item() == -3
    model.set_label_texts(TRAINED, WordEncoder())
    assert model.config.trained_labels is None


def test_the_same_labels_again_are_no_others():
    model = trained_model()
    model.set_label_texts(TRAINED, WordEncoder())
    assert model.config.trained_labels is None
    assert model.classifier.trained_label_embeddings is None


def test_training_counts_follow_their_labels(tmp_path):
    model = trained_model()
    model.config.train_label_counts, model.config.num_train_cases = [50, 40, 30, 20, 10], 100
    model.config.classification_loss = "class_balanced"
    model.set_label_texts(["Osteoma", "Meningioma"], WordEncoder())
    assert model.config.train_label_counts == [0, 30]
    model.save_pretrained(tmp_path)
    loaded = AutoModelForImageClassification.from_pretrained(tmp_path)
    loaded.set_label_texts(["Normal", "Meningioma"])
    assert loaded.config.train_label_counts == [50, 30]
    loaded.set_label_texts(TRAINED)
    assert loaded.config.train_label_counts == [50, 40, 30, 20, 10]
    assert loaded.config.trained_label_counts is None


def test_another_encoder_is_refused_and_changes_nothing():
    model = trained_model()
    before = logits_of(model)
    with pytest.raises(LabelTextError, match="its embeddings mean nothing here"):
        model.set_label_texts(["Osteoma"], WordEncoder("of other words"))
    assert torch.equal(logits_of(model), before)


def test_an_encoder_of_a_model_that_names_none_is_known_by_its_embeddings():
    model = trained_model()
    model.config.text_encoder_fingerprint = None  # as of a converted checkpoint
    with pytest.raises(LabelTextError, match="another encoder than the one"):
        model.set_label_texts(["Osteoma"], WordEncoder(salt="other"))
    model.set_label_texts(["Osteoma"], WordEncoder())
    assert model.config.text_encoder_fingerprint == "of words"


def test_training_with_new_labels_forgets_the_old_ones():
    model = trained_model()
    model.set_label_texts(["Osteoma", "Normal"], WordEncoder("new", salt="new"), for_training=True)
    assert model.config.trained_labels is None
    assert model.config.text_encoder_fingerprint == "new"
    with pytest.raises(LabelTextError, match="no text embedding of 1 of 1 labels"):
        model.set_label_texts(["Meningioma"])


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["Normal", "Normal"], "labels 'Normal' and 'Normal' are the same label twice"),
        (["Normal", "normal"], "labels 'Normal' and 'normal' are the same label twice"),
        (["M\u00e9ni\u00e8re", "Me\u0301nie\u0300re"], "the same label twice"),
        (["Normal", " "], "label 1 is ' ', expected one line"),
        ([" Normal"], "without spaces around it"),
        (["Rib\nfracture"], "expected one line"),
        (["Normal", 3], "label 1 is 3, expected one line"),
        ([None], "label 0 is None"),
        ([], "at least one label"),
        ("Normal", "label names are 'Normal', expected a list"),
        (None, "label names are of type NoneType, expected a list"),
        (np.array(["Normal", "Glioma"]), "label names are of type ndarray, expected a list"),
        ((name for name in TRAINED), "label names are of type generator, expected a list"),
    ],
)
def test_names_that_cannot_be_labels_are_refused(names, message):
    with pytest.raises(LabelTextError, match=message):
        trained_model().set_label_texts(names, WordEncoder())


def test_how_many_labels_were_not_trained_is_logged(caplog):
    model = trained_model()
    with caplog.at_level(logging.WARNING):
        model.set_label_texts(["Normal", "Meningioma"], WordEncoder())
        assert caplog.text == ""
        model.set_label_texts(["Normal", "Osteoma", "Chondroma"], WordEncoder())
    assert "2 of 3 labels were not trained" in caplog.text


def test_training_with_known_labels_needs_no_encoder_and_they_count_as_trained():
    model = trained_model()
    model.set_label_texts(["Normal", "Osteoma"], WordEncoder())
    before = logits_of(model)
    model.set_label_texts(["Normal", "Osteoma"], for_training=True)
    assert torch.equal(logits_of(model), before)
    assert model.config.trained_labels is None


def test_an_encoder_of_another_width_is_refused():
    model = RadDiagForImageClassification(tiny_config(classifier_type="knowledge"))
    with pytest.raises(LabelTextError, match=r"shape \(1, 13\), the model takes \(1, 12\)"):
        model.set_label_texts(["Normal"], WordEncoder(width=13))


def test_a_linear_classifier_reads_no_names():
    model = RadDiagForImageClassification(tiny_config())
    with pytest.raises(LabelTextError, match="classifier_type is 'linear'"):
        model.set_label_texts(["Normal"], WordEncoder())
