"""Label texts as classifier: projected once, whitened so that what tells them apart stays."""

import pytest
import torch
import torch.nn.functional as F

from raddiag_hf.model.heads import KnowledgeHead, whiten
from tests.fixtures.models import tiny_config


def crowded_texts(count=40, width=16, seed=0):
    """Unit vectors around one direction, spread far along another: organs, and little beside."""
    generator = torch.Generator().manual_seed(seed)
    spread = torch.full((width,), 0.1)
    spread[1] = 0.6
    drawn = torch.randn(count, width, generator=generator) * spread
    drawn[:, 0] += 2
    return F.normalize(drawn, dim=-1)


def cosines(texts):
    return (texts @ texts.T)[~torch.eye(len(texts), dtype=torch.bool)]


def test_labels_that_lay_close_together_lie_apart():
    texts = crowded_texts()
    whitened = whiten(texts, texts, 1.0)
    torch.testing.assert_close(whitened.norm(dim=-1), torch.ones(len(texts)))
    assert cosines(texts).mean() > 0.8
    assert cosines(whitened).mean().abs() < 0.1


def test_neighbours_stay_neighbours():
    texts = crowded_texts()
    near = F.normalize(texts[:1] + 0.02 * crowded_texts(1, seed=1), dim=-1)
    whitened = whiten(torch.cat([texts, near]), texts, 1.0)
    assert (whitened[:-1] @ whitened[-1]).argmax() == 0


def test_a_large_ridge_only_centres():
    texts = crowded_texts()
    centred = F.normalize(texts - texts.mean(0), dim=-1)
    torch.testing.assert_close(whiten(texts, texts, 1e6), centred, atol=1e-4, rtol=0)


def test_a_small_ridge_gives_all_directions_the_same_variance():
    texts = crowded_texts(400, 8)
    whitened = whiten(texts, texts, 1e-6)
    variances = torch.linalg.eigvalsh(whitened.T.cov())[1:]  # unit vectors have one less
    assert torch.linalg.eigvalsh(texts.T.cov())[1:].max() > 20 * texts.T.cov().diag()[2]
    assert variances.max() < 1.5 * variances.min()


def test_a_label_is_the_same_in_every_label_set():
    texts = crowded_texts()
    torch.testing.assert_close(whiten(texts[3:5], texts, 1.0), whiten(texts, texts, 1.0)[3:5])


def test_half_precision_is_whitened_in_full():
    texts = crowded_texts()
    half = whiten(texts.bfloat16(), texts, 1.0)
    assert half.dtype == torch.bfloat16
    torch.testing.assert_close(half.float(), whiten(texts, texts, 1.0), atol=0.05, rtol=0)


@pytest.mark.parametrize("texts", [torch.ones(1, 4), torch.ones(3, 4)])
def test_labels_that_are_all_alike_stay_as_they_are(texts):
    torch.testing.assert_close(whiten(texts, texts, 1.0), texts / 2)


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
