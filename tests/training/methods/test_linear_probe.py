"""The linear probe against scikit-learn, and what it does at the edges."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from raddiag_hf.training.methods.linear_probe import choose_probe, fit_linear_probes


def features_and_labels(cases, width, labels, seed=0):
    """Features of very different scales, and labels that depend on them with noise."""
    generator = torch.Generator().manual_seed(seed)
    scale = torch.logspace(-2, 1, width)
    standard = torch.randn(cases, width, generator=generator)
    direction = torch.randn(labels, width, generator=generator) / width**0.5
    noise = torch.randn(cases, labels, generator=generator)
    return standard * scale + 3, (standard @ direction.T * 2 + noise > 0.5).float()


@pytest.mark.parametrize(("cases", "width"), [(200, 40), (60, 150)])
@pytest.mark.parametrize("penalty", [1.0, 30.0, 1e4])
def test_the_solution_is_that_of_scikit_learn(cases, width, penalty):
    x, y = features_and_labels(cases, width, labels=3)
    (_, probe) = fit_linear_probes(x, y, [1e5, penalty])
    scaler = StandardScaler().fit(x.double())
    standard = scaler.transform(x.double())
    for column in range(3):
        model = LogisticRegression(C=1 / penalty, solver="newton-cholesky", tol=1e-12)
        model.fit(standard, y[:, column])
        np.testing.assert_allclose(
            probe.weight[column] * torch.from_numpy(scaler.scale_), model.coef_[0], atol=1e-4
        )
        np.testing.assert_allclose(
            probe.logits(x)[:, column], model.decision_function(standard), atol=1e-4
        )


def test_each_label_is_learnt_from_the_cases_where_it_is_known():
    x, y = features_and_labels(200, 40, labels=3)
    shares = torch.tensor([0.5, 0.0, 0.9])
    y[torch.rand(200, 3, generator=torch.Generator().manual_seed(1)) < shares] = torch.nan
    (probe,) = fit_linear_probes(x, y, [30.0])
    standard = StandardScaler().fit_transform(x.double())
    for column in range(3):
        known = ~y[:, column].isnan().numpy()
        model = LogisticRegression(C=1 / 30, solver="newton-cholesky", tol=1e-12)
        model.fit(standard[known], y[known, column])
        expected = model.decision_function(standard)
        np.testing.assert_allclose(probe.logits(x)[:, column], expected, atol=1e-4)
    logits = [torch.zeros(200, 3), torch.randn(200, 3)]
    _, losses = choose_probe([probe, *fit_linear_probes(x, y, [1.0])], logits, y)
    assert losses[30.0] == pytest.approx(np.log(2), rel=1e-6)


def test_a_label_of_which_nothing_is_known_gets_no_weights():
    x, y = features_and_labels(50, 5, 2)
    y[:, 0], y[:40, 1] = torch.nan, torch.nan
    y[40:, 1] = 0
    (probe,) = fit_linear_probes(x, y, [1.0])
    assert probe.weight.abs().max() == 0
    torch.testing.assert_close(probe.bias.sigmoid().float(), torch.tensor([0.5, 0.5 / 11]))


def test_penalties_come_back_in_their_order():
    x, y = features_and_labels(50, 5, 2)
    probes = fit_linear_probes(x, y, [10.0, 1000.0, 1.0])
    assert [probe.penalty for probe in probes] == [10.0, 1000.0, 1.0]
    sizes = [probe.weight.norm().item() for probe in probes]
    assert sizes[1] < sizes[0] < sizes[2]


def test_a_label_without_positives_gets_its_frequency_and_no_weights():
    x, y = features_and_labels(99, 5, 3)
    y[:, 0], y[:, 1] = 0, 1
    (probe,) = fit_linear_probes(x, y, [1.0])
    assert probe.weight[:2].abs().max() == 0
    torch.testing.assert_close(probe.bias[:2].sigmoid().float(), torch.tensor([0.005, 0.995]))
    assert probe.weight[2].abs().max() > 0


def test_where_no_label_varies_every_one_gets_its_frequency():
    x, _ = features_and_labels(9, 5, 1)
    y = torch.tensor([[0.0, 1.0]]).expand(9, 2)
    (probe,) = fit_linear_probes(x, y, [1.0])
    torch.testing.assert_close(
        probe.logits(x).sigmoid().float(), torch.tensor([[0.05, 0.95]]).expand(9, 2)
    )


def test_a_constant_feature_has_no_weight():
    x, y = features_and_labels(50, 5, 2)
    x[:, 2] = 7
    (probe,) = fit_linear_probes(x, y, [1.0])
    assert probe.weight[:, 2].abs().max() < 1e-12
    assert torch.isfinite(probe.bias).all()


def test_validation_chooses_the_penalty():
    x, y = features_and_labels(400, 60, 3)
    probes = fit_linear_probes(x[:80], y[:80], [1e-2, 10.0, 1e6])
    best, losses = choose_probe(probes, [probe.logits(x[80:]) for probe in probes], y[80:])
    assert best.penalty == 10.0
    assert losses[10.0] == min(losses.values())
    again, _ = choose_probe(probes, [probe.logits(x[:80]) for probe in probes], y[:80])
    assert again.penalty == 1e-2, "on its own training cases the weakest penalty is best"


def exclusive_labels(cases, labels, features):
    direction = torch.randn(labels, features.shape[1], generator=torch.Generator().manual_seed(3))
    return torch.eye(labels)[((features - 3) @ direction.T).argmax(1)][:cases]


@pytest.mark.parametrize("penalty", [1.0, 100.0])
def test_exclusive_labels_have_the_multinomial_solution_of_scikit_learn(penalty):
    x, _ = features_and_labels(200, 20, 3)
    y = exclusive_labels(200, 4, x)
    (_, probe) = fit_linear_probes(x, y, [1e5, penalty], exclusive=True)
    standard = StandardScaler().fit_transform(x.double())
    model = LogisticRegression(C=1 / penalty, tol=1e-10, max_iter=5000)
    model.fit(standard, y.argmax(1))
    np.testing.assert_allclose(probe.logits(x).sigmoid(), model.predict_proba(standard), atol=1e-4)


def test_an_exclusive_label_without_a_case_is_rare_whatever_is_seen():
    x, _ = features_and_labels(99, 5, 3)
    y = torch.cat([exclusive_labels(99, 3, x), torch.zeros(99, 1)], 1)
    (probe,) = fit_linear_probes(x, y, [10.0], exclusive=True)
    probabilities = probe.logits(x).sigmoid()
    torch.testing.assert_close(probabilities.sum(1), torch.ones(99, dtype=torch.float64))
    assert 0 < probabilities[:, 3].mean() < 0.02
    assert probe.weight[3].abs().max() == 0


def test_bad_features_are_refused():
    x, y = features_and_labels(20, 4, 2)
    with pytest.raises(ValueError, match=r"\(20, 4\).*\(19, 2\)"):
        fit_linear_probes(x, y[:19], [1.0])
    x[3, 1] = torch.nan
    with pytest.raises(ValueError, match="not finite"):
        fit_linear_probes(x, y, [1.0])
