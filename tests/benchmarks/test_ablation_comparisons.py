"""The cases that an unseen composition is ranked among."""

import numpy as np
import pytest


@pytest.fixture
def comparisons(benchmark_module):
    return benchmark_module("_ablation_comparisons")


@pytest.fixture
def cases(benchmark_module):
    """One case without a lesion and one of every disorder."""
    source = benchmark_module("_ablation_cases")
    disorders = (*source.SEEN, *source.UNSEEN)
    regions = [disorders[0].site.anatomy.value, *(d.site.anatomy.value for d in disorders)]
    return source.Cases(
        packed=[{}] * len(source.LABELS),
        labels=np.eye(len(source.LABELS), dtype=np.bool_),
        patient_ids=np.arange(len(source.LABELS)).astype(str),
        anatomies=np.array(regions),
    )


@pytest.mark.parametrize(
    ("name", "shared"),
    [
        ("auc_within_lesions", lambda d: (d.site.anatomy,)),
        ("auc_within_site", lambda d: (d.site.name,)),
        ("auc_within_kind", lambda d: (d.site.anatomy, d.kind.name)),
    ],
)
def test_an_unseen_composition_is_ranked_among_what_shares_a_part_of_it(
    comparisons, benchmark_module, cases, name, shared
):
    source = benchmark_module("_ablation_cases")
    among = comparisons.unseen_cases(cases).among[name]
    for column, unseen in enumerate(source.UNSEEN):
        expected = {d.name for d in (*source.SEEN, *source.UNSEEN) if shared(d) == shared(unseen)}
        found = {source.LABELS.names[row] for row in np.flatnonzero(among[:, column])}
        assert found == expected
        assert len(found) > 1


def test_an_oracle_of_what_all_share_is_at_chance_there(comparisons, benchmark_module, cases):
    evaluation = benchmark_module("_ablation_evaluation")
    nothing = benchmark_module("_ablation_cases").Cases(
        [], cases.labels[:0], cases.patient_ids[:0], cases.anatomies[:0]
    )
    found = evaluation.Evaluation({"test": cases, "unseen": nothing}, "test", 2).evaluate_oracles()
    lesion, region, both = (found[oracle] for oracle in comparisons.ORACLES)
    for name in ("auc_within_lesions", "auc_within_site", "auc_within_kind"):
        assert both["unseen", name].value == 0.5
    assert region["unseen", "auc_within_anatomy"].value == 0.5
    assert both["unseen", "auc"].value >= region["unseen", "auc"].value > 0.8
    assert lesion["unseen", "auc"].value > 0.5
