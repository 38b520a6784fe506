import pytest

from raddiag_hf.data.model_labels import LabelMismatchError, check_model_fits
from raddiag_hf.data.store.case import case_features
from raddiag_hf.labels.label_set import LabelSet
from raddiag_hf.model.configuration_raddiag import RadDiagConfig
from tests.fixtures.cases import LABELS

FEATURES = case_features(LABELS)


def config_of(label_set, **fields):
    return RadDiagConfig(id2label=label_set.id2label, label2id=label_set.label2id, **fields)


def test_a_model_fits_the_data_that_it_was_made_for(tmp_path):
    config_of(LABELS, label_set_fingerprint=LABELS.fingerprint).save_pretrained(tmp_path)
    check_model_fits(RadDiagConfig.from_pretrained(tmp_path), FEATURES)
    check_model_fits(config_of(LABELS), FEATURES, "labels")
    reordered = LabelSet(LABELS.names[::-1])
    with pytest.raises(ValueError, match="column 0"):
        check_model_fits(config_of(reordered), FEATURES, "labels")


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("Normal", "Hip fracture", "Pneumothorax"), "column 1: 'Hip fracture' in the model, 'Pn"),
        (("Normal", "Pneumothorax"), "the model has 2 labels, the data set has 3.*'Hip fracture'"),
        ((*LABELS.names, "Gout"), "then the model continues with 'Gout'"),
    ],
)
def test_the_first_label_that_differs_is_named(names, message):
    with pytest.raises(LabelMismatchError, match=f"label column 'labels': .*{message}"):
        check_model_fits(config_of(LabelSet(names)), FEATURES)


def test_a_model_without_label_names_fits_nothing():
    with pytest.raises(ValueError, match="column 0: 'LABEL_0' in the model, 'Normal' in the data"):
        check_model_fits(RadDiagConfig(num_labels=3), FEATURES)


def test_labels_that_were_renamed_after_training_are_refused():
    config = config_of(LABELS, label_set_fingerprint="0" * 64)
    with pytest.raises(ValueError, match="its id2label was changed"):
        check_model_fits(config, FEATURES)


def test_the_column_is_chosen_among_those_that_there_are():
    features = case_features({"disorders": LABELS, "icd10": LabelSet(("J93",))})
    check_model_fits(config_of(LabelSet(("J93",))), features, "icd10")
    with pytest.raises(ValueError, match=r"no label column 'labels', only \['disorders', 'icd10'"):
        check_model_fits(config_of(LABELS), features)
