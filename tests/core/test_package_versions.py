"""Versions that records of diagnoses, evaluations and trainings name."""

from raddiag_hf import __version__
from raddiag_hf.core.package_versions import package_versions


def test_our_own_version_and_those_of_the_libraries_are_named():
    versions = package_versions()
    assert versions["raddiag-hf"] == __version__
    assert set(versions) == {"raddiag-hf", "torch", "transformers"}
