"""Settings of a fine-tuning that are refused."""

import pytest

from raddiag_hf.training.finetune_settings import FinetuneError, FinetuneSettings, Head, Method


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"method": Method.LORA, "train_batch_norm": True},
            "train_batch_norm is True, but the method lora does not use it; full does",
        ),
        ({"head": "knowledge"}, "the method linear-probe learns its own head"),
        ({"num_epochs": 0}, "num_epochs is 0"),
        ({"learning_rate": 0.0}, "learning_rate is 0.0"),
        ({"layer_decay": 1.5}, "layer_decay is 1.5"),
        ({"penalties": (1.0, -1.0)}, "penalties"),
        ({"penalties": (1.0, float("nan"))}, "penalties are"),
        ({"penalties": ("a",)}, r"penalties\[0\] is 'a', expected float"),
        ({"seed": -1}, "seed is -1, expected at least 0"),
        ({"seed": 2**32}, "seed is 4294967296, expected at least 0 and less than"),
        ({"image_size": 100_000}, "image_size is 100000, expected at least 16 and at most 4096"),
        ({"num_workers": -1}, "num_workers is -1"),
        ({"weight_decay": -0.1}, "weight_decay is -0.1"),
        ({"num_epochs": 2.5}, "num_epochs is 2.5, expected int"),
        ({"batch_size": "8"}, "batch_size is '8'"),
        ({"lora_rank": 4}, "the method linear-probe does not use it; lora does"),
        ({"num_epochs": 4}, r"num_epochs \(--epochs\) is 4, .* not use it; lora and full do"),
        ({"patience": 4}, "patience is 4, but the method linear-probe"),
        ({"learning_rate": 1e-3}, "learning_rate is 0.001, but the method linear-probe"),
        ({"weight_decay": 0.05}, "weight_decay is 0.05, but the method linear-probe"),
        ({"augmentation": "light"}, "augmentation is light, but the method linear-probe"),
        ({"features": "kept"}, "features is kept, .*; attentive-probe does"),
        ({"method": Method.FULL, "penalties": (3.0,)}, "linear-probe and attentive-probe do"),
        ({"method": Method.FULL, "train_batch_norm": True, "batch_size": 1}, "batch_size is 1"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(changes, message):
    if "head" in changes:
        changes = {"head": Head(changes["head"])}
    with pytest.raises(FinetuneError, match=message):
        FinetuneSettings(**({"method": Method.LINEAR_PROBE} | changes))
