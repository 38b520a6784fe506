import time
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raddiag_hf.data.analysis.splits import SPLIT_FRACTIONS, few_shot_subsets, split_by_patient
from raddiag_hf.vocabulary import Split


def long_tailed_cases(patients, labels, seed=0, most=0.02, cases_per_patient=1.0):
    """Patients with one or more cases of several labels each, from common labels to single ones."""
    generator = np.random.default_rng(seed)
    frequencies = np.maximum(1, patients * most / np.arange(1, labels + 1) ** 0.8).astype(int)
    of_patient = [[] for _ in range(patients)]
    for label, count in enumerate(frequencies):
        for patient in generator.choice(patients, count, replace=False):
            of_patient[patient].append(label)
    patient_ids, case_labels = [], []
    for patient, its_labels in enumerate(of_patient):
        for _ in range(1 + generator.poisson(cases_per_patient - 1)):
            patient_ids.append(f"p{patient}")
            case_labels.append([one for one in its_labels if generator.random() < 0.9])
    return patient_ids, case_labels


def counts_by_split(splits, labels):
    counts = {split: Counter() for split in Split}
    for split, names in zip(splits, labels, strict=True):
        counts[split].update(names)
    return counts


cases = st.lists(
    st.tuples(st.integers(0, 30), st.sets(st.integers(0, 8), max_size=3)), min_size=1, max_size=80
)


@given(cases, st.integers(0, 3))
@settings(max_examples=60)
def test_every_case_has_a_split_and_no_patient_has_two(drawn, seed):
    patient_ids = [f"p{patient}" for patient, _ in drawn]
    splits = split_by_patient(patient_ids, [labels for _, labels in drawn], seed=seed)
    assert len(splits) == len(drawn)
    assert len(set(zip(patient_ids, splits, strict=True))) == len(set(patient_ids))


def test_splits_do_not_depend_on_how_names_are_hashed():
    """Or another process would split otherwise, and no build could be resumed."""
    patient_ids = [f"p{case}" for case in range(600)]
    labels = np.random.default_rng(0).integers(400, size=(600, 3)).tolist()
    plain = split_by_patient(patient_ids, labels)
    for prefix in ("a", "b", "c"):
        renamed = [[f"{prefix}{label}" for label in names] for names in labels]
        assert split_by_patient(patient_ids, renamed) == plain


@pytest.mark.parametrize("cases_per_patient", [1.0, 1.5])
def test_labels_of_30_cases_are_in_every_split_in_proportion(cases_per_patient):
    patient_ids, labels = long_tailed_cases(
        4000, 600, most=0.1, cases_per_patient=cases_per_patient
    )
    splits = split_by_patient(patient_ids, labels)
    counts = counts_by_split(splits, labels)
    totals = Counter(label for names in labels for label in names)
    common = [label for label, count in totals.items() if count >= 30]
    assert len(common) > 20
    for label in common:
        for split, fraction in SPLIT_FRACTIONS.items():
            expected = totals[label] * fraction
            assert counts[split][label] >= 1
            assert abs(counts[split][label] - expected) <= 4, (label, split)


def test_split_sizes_are_7_to_1_to_2_in_spite_of_the_tail():
    patient_ids, labels = long_tailed_cases(4000, 3000)
    sizes = Counter(split_by_patient(patient_ids, labels))
    for split, fraction in SPLIT_FRACTIONS.items():
        assert sizes[split] / len(labels) == pytest.approx(fraction, abs=0.005)


def test_rare_labels_are_not_all_put_in_training():
    labels = [[number // 2] for number in range(2000)]  # two cases of each
    splits = split_by_patient([str(number) for number in range(2000)], labels)
    shares = Counter(splits)
    for split, fraction in SPLIT_FRACTIONS.items():
        assert shares[split] / 2000 == pytest.approx(fraction, abs=0.02)


def test_equal_seeds_give_equal_splits_and_others_do_not():
    patient_ids, labels = long_tailed_cases(300, 50)
    first = split_by_patient(patient_ids, labels, seed=1)
    assert split_by_patient(patient_ids, labels, seed=1) == first
    assert split_by_patient(patient_ids, labels, seed=2) != first


def test_a_published_test_list_is_kept_and_the_rest_shared_out():
    patient_ids, labels = long_tailed_cases(1000, 100)
    published = [Split.TEST if index % 7 == 0 else None for index in range(len(labels))]
    splits = split_by_patient(patient_ids, labels, published=published)
    assert [split is Split.TEST for split in splits] == [given is not None for given in published]
    rest = Counter(split for split in splits if split is not Split.TEST)
    assert rest[Split.VALIDATION] / rest.total() == pytest.approx(1 / 8, abs=0.01)


def test_other_cases_of_a_published_patient_follow_and_that_is_logged(caplog):
    splits = split_by_patient(
        ["a", "a", "b", "c"], [[], [], [], []], published=[Split.TEST, None, None, None]
    )
    assert splits[:2] == [Split.TEST, Split.TEST]
    assert Split.TEST not in splits[2:]
    assert "1 further cases of published patients" in caplog.text


def test_a_patient_published_in_two_splits_is_refused():
    with pytest.raises(ValueError, match="case 1 is published in test and in train"):
        split_by_patient(["a", "a"], [[], []], published=[Split.TEST, Split.TRAIN])


def test_cases_without_a_place_are_refused():
    published = [Split.TRAIN, Split.VALIDATION, Split.TEST, None]
    with pytest.raises(ValueError, match="1 cases are in none"):
        split_by_patient(["a", "b", "c", "d"], [[]] * 4, published=published)


def test_all_published_is_nothing_to_do():
    published = [Split.TRAIN, Split.TEST]
    assert split_by_patient(["a", "b"], [[], []], published=published) == published


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match="labels has 1 entries for 2 cases"):
        split_by_patient(["a", "b"], [[]])
    with pytest.raises(ValueError, match="sum to 1"):
        split_by_patient(["a"], [[]], {Split.TRAIN: 0.5, Split.TEST: 0.2})


def test_forty_thousand_patients_and_5569_labels_take_less_than_a_minute():
    generator = np.random.default_rng(0)
    labels = [
        generator.zipf(1.3, size).clip(max=5569).tolist()
        for size in generator.integers(1, 5, 40_000)
    ]
    start = time.perf_counter()
    split_by_patient([str(number) for number in range(40_000)], labels)
    assert time.perf_counter() - start < 60


def test_few_shot_subsets_are_nested_and_of_their_size():
    patient_ids, labels = long_tailed_cases(3000, 200, cases_per_patient=1.3)
    subsets = few_shot_subsets(patient_ids, labels)
    assert set(subsets[0.01]) < set(subsets[0.1]) < set(subsets[0.3])
    for fraction, subset in subsets.items():
        assert len(subset) / len(labels) == pytest.approx(fraction, rel=0.15)


def test_few_shot_subsets_take_whole_patients():
    patient_ids, labels = long_tailed_cases(500, 50, cases_per_patient=2.0)
    for subset in few_shot_subsets(patient_ids, labels).values():
        chosen = {patient_ids[index] for index in subset}
        assert len(subset) == sum(patient in chosen for patient in patient_ids)


def test_few_shot_subsets_hold_the_common_labels_in_proportion():
    patient_ids, labels = long_tailed_cases(5000, 100, most=0.2)
    subset = few_shot_subsets(patient_ids, labels)[0.1]
    totals = Counter(label for names in labels for label in names)
    found = Counter(label for index in subset for label in labels[index])
    for label, total in totals.items():
        if total >= 100:
            assert abs(found[label] - 0.1 * total) <= 4, label


def test_few_shot_subsets_depend_on_the_seed_alone():
    patient_ids, labels = long_tailed_cases(500, 50)
    first, again, other = (few_shot_subsets(patient_ids, labels, seed=one) for one in (0, 0, 1))
    assert all(np.array_equal(first[fraction], again[fraction]) for fraction in first)
    assert not np.array_equal(first[0.3], other[0.3])


def test_a_subset_of_everything_is_everything():
    assert few_shot_subsets(["a", "b"], [[1], [2]], [1.0])[1.0].tolist() == [0, 1]


def test_impossible_subsets_are_refused():
    with pytest.raises(ValueError, match="1% of 3 cases of 2 patients is no patient"):
        few_shot_subsets(["a", "a", "b"], [[0], [0], [0]], [0.01])
    with pytest.raises(ValueError, match="expected shares"):
        few_shot_subsets(["a"], [[0]], [0.0])
