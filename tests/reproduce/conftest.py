"""Cases with the label columns of RP3D-DiagDS, few enough for a test."""

from dataclasses import replace

import pytest

from raddiag_hf.data.store.case_writer import BuiltCase
from raddiag_hf.vocabulary import Split
from tests.fixtures.cases import LABELS, make_case, numbered, write_store

COLUMNS = ("disorders", "icd10")


def build_case(number):
    """Case of a number, of patients that no two splits share."""
    case = make_case(number)
    (names,) = case.labels.values()
    return BuiltCase(replace(case, labels=dict.fromkeys(COLUMNS, names)))


@pytest.fixture(scope="session")
def rp3d_like(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rp3d") / "cases"
    splits = {
        Split.TRAIN: numbered(range(16)),
        Split.VALIDATION: numbered(range(100, 112)),
        Split.TEST: numbered(range(200, 216)),
    }
    label_sets = dict.fromkeys(COLUMNS, LABELS)
    write_store(folder, splits, build_case=build_case, label_sets=label_sets)
    return folder
