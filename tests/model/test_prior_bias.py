"""A new classifier starts at how rare each label is, so that thousands of labels can be learnt."""

import pytest
import torch

from raddiag_hf import RadDiagForImageClassification
from raddiag_hf.metrics import evaluate_predictions
from tests.fixtures.models import tiny_config, tiny_model

NUM_LABELS, NUM_SEEN = 5569, 20
CASES = {"train_label_counts": [0, 1, 5, 9, 10], "num_train_cases": 10}


@pytest.mark.parametrize(("classifier", "layer"), [("linear", "fc2"), ("probe", "fc")])
def test_a_new_classifier_starts_at_the_log_odds_of_its_labels(classifier, layer):
    model = RadDiagForImageClassification(tiny_config(classifier_type=classifier, **CASES))
    shares = getattr(model.classifier, layer).bias.sigmoid()
    torch.testing.assert_close(shares, (torch.tensor([0, 1, 5, 9, 10]) + 0.5) / 11)


def test_log_odds_are_those_among_the_cases_where_a_label_is_known():
    known = [4, 10, 5, 9, 10]
    model = RadDiagForImageClassification(tiny_config(train_known_counts=known, **CASES))
    expected = (torch.tensor([0, 1, 5, 9, 10]) + 0.5) / (torch.tensor(known) + 1)
    torch.testing.assert_close(model.classifier.fc2.bias.sigmoid(), expected)


def test_without_training_cases_it_starts_at_zero():
    model = RadDiagForImageClassification(tiny_config())
    assert model.classifier.fc2.bias.eq(0).all()


def test_a_saved_classifier_keeps_what_it_has_learnt(tmp_path):
    model = tiny_model(**CASES)
    with torch.no_grad():
        model.classifier.fc2.bias.copy_(torch.arange(5.0))
    model.save_pretrained(tmp_path)
    again = RadDiagForImageClassification.from_pretrained(tmp_path)
    assert again.classifier.fc2.bias.tolist() == [0, 1, 2, 3, 4]


def draw_cases(count, seed):
    """One picture each, of a pattern that is its label, under noise; most labels have no case."""
    generator = torch.Generator().manual_seed(seed)
    patterns = torch.rand(NUM_SEEN, 1, 32, 32, generator=torch.Generator().manual_seed(99))
    seen = torch.randint(0, NUM_SEEN, (count,), generator=generator)
    labels = torch.zeros(count, NUM_LABELS)
    labels[torch.arange(count), seen] = 1
    return patterns[seen] + 0.3 * torch.randn(count, 1, 32, 32, generator=generator), labels


def pack(pictures, **more):
    ones = torch.ones(len(pictures), dtype=torch.long)
    single = {"slice_counts": ones, "scan_counts": ones, "modality_slots": ones}
    return {"pixel_values": pictures, **single, **more}


def auc_after_training(**fields):
    """Return the mean AUC of new cases after four epochs of 320."""
    torch.manual_seed(0)
    pictures, labels = draw_cases(320, seed=1)
    config = tiny_config(
        resnet_width=8,
        hidden_size=64,
        num_channels=1,
        num_labels=NUM_LABELS,
        initializer_range=0.125,
        **fields,
    )
    model = RadDiagForImageClassification(config)
    if config.classifier_type == "knowledge":
        model.classifier.set_label_embeddings(torch.randn(NUM_LABELS, 12))
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    for _ in range(4):
        for rows in torch.randperm(len(pictures)).split(8):
            model(**pack(pictures[rows], labels=labels[rows])).loss.backward()
            optimizer.step()
            optimizer.zero_grad()
    pictures, labels = draw_cases(160, seed=2)
    with torch.inference_mode():
        logits = model.eval()(**pack(pictures)).logits
    seen = slice(0, NUM_SEEN)
    found = evaluate_predictions(labels[:, seen].numpy(), logits[:, seen].numpy())
    return found.groups["all"].values["auc"]


def test_thousands_of_labels_are_learnt():
    counts = draw_cases(320, seed=1)[1].sum(0).int().tolist()
    assert auc_after_training() < 0.65, "no longer shows the fault"
    assert auc_after_training(train_label_counts=counts, num_train_cases=320) > 0.75


def test_thousands_of_label_texts_are_learnt_from_their_average_frequency():
    assert auc_after_training(classifier_type="knowledge", knowledge_logit_bias=-8.0) > 0.75
