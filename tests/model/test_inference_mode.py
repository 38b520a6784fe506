"""The inference mode: the same answers for less work."""

import copy

import pytest
import torch

from raddiag_hf.model.heads import KnowledgeHead
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


def test_label_texts_are_projected_once_until_something_changes():
    torch.manual_seed(0)
    head = KnowledgeHead(tiny_config(classifier_type="knowledge")).eval()
    head.set_label_embeddings(torch.randn(5, 12))
    calls = []
    head.projection.register_forward_hook(lambda *_: calls.append(1))
    case = torch.randn(2, 32)
    with torch.no_grad():
        first = head(case)
        assert torch.equal(head(case), first)
        assert len(calls) == 1
        head.projection.weight.data += 1
        assert not torch.allclose(head(case), first)
        head.set_label_embeddings(torch.randn(7, 12))
        assert head(case).shape == (2, 7)
        head.load_state_dict(head.state_dict() | {"label_embeddings": torch.ones(7, 12)})
        assert head(case).std(1).max() < 1e-5  # equal texts, equal logits
    assert len(calls) == 4
    assert head(case).requires_grad  # with gradients, the projection takes part


def test_label_texts_of_another_width_are_refused():
    head = KnowledgeHead(tiny_config(classifier_type="knowledge"))
    with pytest.raises(ValueError, match=r"shape \(5, 13\), expected \(labels, 12\)"):
        head.set_label_embeddings(torch.randn(5, 13))
