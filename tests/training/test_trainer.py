"""The Trainer for packed batches."""

import pytest
import torch
from transformers import TrainingArguments

from raddiag_hf.training.trainer import RadDiagTrainer
from tests.fixtures.models import packed_batch, tiny_model


def cases(count):
    labels = torch.eye(5)
    return [
        packed_batch([[1 + n % 3, 2]], seed=n)
        | {"labels": labels[n % 5][None], "key_slices": torch.tensor([0, 1])}
        for n in range(count)
    ]


def trainer_for(model, folder, **options):
    arguments = TrainingArguments(
        output_dir=str(folder), use_cpu=True, report_to="none", disable_tqdm=True,
        per_device_train_batch_size=3, per_device_eval_batch_size=2, save_strategy="no", **options,
    )  # fmt: skip
    return RadDiagTrainer(
        model=model, args=arguments, train_dataset=cases(6), eval_dataset=cases(5)
    )


def test_partial_losses_are_logged_and_add_up(tmp_path):
    model = tiny_model(key_slice_loss_weight=0.5)
    trainer = trainer_for(model, tmp_path, max_steps=4, logging_steps=2, learning_rate=1e-3)
    trainer.train()
    entries = [entry for entry in trainer.state.log_history if "loss" in entry]
    assert len(entries) == 2
    for entry in entries:
        assert entry["loss_key_slice"] > 0
        parts = entry["loss_classification"] + entry["loss_key_slice"]
        assert entry["loss"] == pytest.approx(parts, abs=2e-4)


@pytest.mark.parametrize("has_unknown", [False, True])
def test_gradient_accumulation_equals_the_large_batch(tmp_path, has_unknown):
    weights = []
    for batch_size, accumulation in ((6, 1), (3, 2)):
        model = tiny_model(freeze_batch_norm=True)
        arguments = TrainingArguments(
            output_dir=str(tmp_path), use_cpu=True, report_to="none", disable_tqdm=True,
            save_strategy="no", max_steps=2, learning_rate=0.01, optim="sgd",
            per_device_train_batch_size=batch_size, gradient_accumulation_steps=accumulation,
        )  # fmt: skip
        data = [{k: v for k, v in case.items() if k != "key_slices"} for case in cases(6)]
        if has_unknown:  # of one case all but one label
            data[2]["labels"] = torch.cat([torch.ones(1, 1), torch.full((1, 4), torch.nan)], dim=1)
        RadDiagTrainer(model=model, args=arguments, train_dataset=data).train()
        weights.append(model.state_dict())
    for name, weight in weights[0].items():
        torch.testing.assert_close(weights[1][name], weight, atol=1e-5, rtol=1e-4)


def test_predictions_are_logits_of_every_case(tmp_path):
    trainer = trainer_for(tiny_model(), tmp_path)
    found = trainer.predict(cases(5))
    assert found.predictions.shape == (5, 5)
    assert found.label_ids.shape == (5, 5)
    with torch.no_grad():
        expected = trainer.model(**packed_batch([[1, 2]], seed=0)).logits
    torch.testing.assert_close(torch.from_numpy(found.predictions[:1]), expected)
