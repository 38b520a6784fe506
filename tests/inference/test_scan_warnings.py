"""Doubts about scans reach the reader; what is usual does not."""

import pytest

from raddiag_hf.imaging.decisions import DecisionKind, decision
from raddiag_hf.inference.scan_warnings import DOUBTFUL_DECISIONS, warn_about_scans
from tests.fixtures.cases import make_scan


def scan_with(*kinds, shape=(3, 64, 64)):
    decisions = [decision(kind) for kind in kinds]
    return make_scan(0, shape, provenance={"path": "/x/DOE.dcm", "decisions": decisions})


@pytest.mark.parametrize("kind", DOUBTFUL_DECISIONS)
def test_a_doubtful_decision_is_told(kind):
    (warning,) = warn_about_scans([scan_with(kind)])
    assert warning == f"scan-0: {DOUBTFUL_DECISIONS[kind]}."


def test_what_is_usual_is_not_told():
    usual = set(DecisionKind) - DOUBTFUL_DECISIONS.keys()
    assert warn_about_scans([scan_with(*usual)]) == []


def test_a_thumbnail_is_told():
    (warning,) = warn_about_scans([scan_with(shape=(1, 80, 16))])
    assert warning == "scan-0: it has only 80 x 16 pixels."


def test_a_scan_from_anywhere_else_has_no_decisions():
    assert warn_about_scans([make_scan(0, (1, 64, 64))]) == []
