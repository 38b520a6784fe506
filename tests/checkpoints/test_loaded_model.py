"""A knowledge classifier without label texts gives every label one score, so it is refused."""

import pytest

from raddiag_hf import RadDiagImageProcessor
from raddiag_hf.checkpoints.loaded_model import LabelTextsMissingError, check_label_texts
from raddiag_hf.inference.diagnose import diagnose_case
from raddiag_hf.inference.explain.explanation import explain_case
from raddiag_hf.model.modeling_raddiag import RadDiagForImageClassification
from raddiag_hf.vocabulary import Modality
from tests.fixtures.cases import make_scan
from tests.fixtures.models import tiny_config, tiny_model

CASE = (make_scan(0, (4, 32, 32), Modality.CT),)
PROCESSOR = RadDiagImageProcessor(image_size=32, max_slices=8)


@pytest.mark.parametrize("ask", [diagnose_case, explain_case])
def test_no_case_is_answered_without_label_texts(ask):
    model = RadDiagForImageClassification(tiny_config(classifier_type="knowledge")).eval()
    with pytest.raises(LabelTextsMissingError, match=r"our-model: .* `raddiag knowledge embed"):
        ask(model, PROCESSOR, CASE, model_id="our-model")


@pytest.mark.parametrize("classifier", ["knowledge", "linear", "probe"])
def test_other_classifiers_and_label_texts_pass(classifier):
    model = tiny_model(classifier_type=classifier)
    check_label_texts(model)
    assert diagnose_case(model, PROCESSOR, CASE, model_id="our-model").findings
