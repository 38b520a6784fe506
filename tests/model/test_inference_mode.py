"""The inference mode: the same answers for less work."""

import copy

import pytest
import torch

from raddiag_hf import RadDiagForImageClassification
from raddiag_hf.model.chunking import INFERENCE_CHUNK_SIZE
from tests.fixtures.models import packed_batch, tiny_config, tiny_model


@pytest.mark.parametrize("encoder", ["resnet_vit", "resnet", "vit"])
@pytest.mark.parametrize("depth", [10, 50])
def test_folding_keeps_the_logits(encoder, depth):
    hidden = {} if depth == 10 else {"hidden_size": 128, "stem_depth": 50}
    model = tiny_model(encoder_type=encoder, resnet_depth=depth, **hidden)
    batch = packed_batch([[3, 1], [8]])
    with torch.inference_mode():
        expected = model(**batch).logits
        fast = copy.deepcopy(model).optimize_for_inference()
        torch.testing.assert_close(fast(**batch).logits, expected, atol=1e-4, rtol=1e-3)
        rough = copy.deepcopy(model).optimize_for_inference(torch.bfloat16)
        spread = expected.std()
        assert (rough(**batch).logits.float() - expected).abs().max() < 0.3 * spread
    if encoder != "vit":
        names = [type(module).__name__ for module in fast.modules()]
        assert not any(name.startswith("BatchNorm") for name in names)


def test_an_optimised_model_is_neither_saved_nor_optimised_again(tmp_path):
    model = tiny_model().optimize_for_inference()
    with pytest.raises(ValueError, match="cannot be saved"):
        model.save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="already optimised"):
        model.optimize_for_inference()
    assert list(tmp_path.iterdir()) == []


def whole_model(model):
    return model


def encoder_of(model):
    return model.raddiag


@pytest.mark.parametrize("optimised", [whole_model, encoder_of])
@pytest.mark.parametrize("saved", [whole_model, encoder_of])
def test_a_model_is_optimised_with_its_parts_and_with_what_is_around_it(optimised, saved, tmp_path):
    model = tiny_model()
    optimised(model).optimize_for_inference()
    assert saved(model).is_optimized_for_inference
    with pytest.raises(ValueError, match="cannot be saved"):
        saved(model).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="already optimised"):
        saved(model).optimize_for_inference()
    assert list(tmp_path.iterdir()) == []


def test_the_configuration_stays_the_callers():
    config = tiny_config()
    model = RadDiagForImageClassification(config)
    before = config.to_dict()
    batch, sizes = packed_batch([[INFERENCE_CHUNK_SIZE, 3]]), []
    model.optimize_for_inference()
    assert config.to_dict() == before
    resnet = model.raddiag.encoder.resnet
    resnet.register_forward_hook(lambda _, inputs, __: sizes.append(len(inputs[0])))
    model(**batch)
    assert sizes == [6, 5]  # in chunks all the same
