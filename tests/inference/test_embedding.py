"""From a file or scans to embeddings."""

import numpy as np
import pytest
import torch

from raddiag_hf import RadDiagImageProcessor
from raddiag_hf.inference.case import CaseError
from raddiag_hf.inference.embedding import embed_case, embed_file, embed_scans
from raddiag_hf.vocabulary import Modality
from tests.fixtures.cases import make_scan
from tests.fixtures.dicom_files import numbered_slices, write_series
from tests.fixtures.models import tiny_model

PROCESSOR = RadDiagImageProcessor(image_size=32, max_slices=8)
CASE = [make_scan(0, (12, 40, 40)), make_scan(1, (1, 40, 40), Modality.XRAY)]


@pytest.fixture(scope="module")
def model():
    return tiny_model()


def test_a_scan_is_embedded_without_its_case(model):
    together = embed_scans(model, PROCESSOR, CASE)
    assert together.shape == (2, 32)
    for scan, embedding in zip(CASE, together, strict=True):
        alone = embed_scans(model, PROCESSOR, [scan])[0]
        torch.testing.assert_close(alone, embedding, atol=1e-5, rtol=1e-5)


def test_a_case_is_embedded_as_the_model_fuses_it(model):
    batch = PROCESSOR([scan.volume for scan in CASE], [scan.modality for scan in CASE])
    with torch.no_grad():
        expected = model(**batch).pooler_output[0]
    torch.testing.assert_close(embed_case(model, PROCESSOR, CASE), expected, atol=1e-5, rtol=1e-5)


def test_one_call_leads_from_a_file_to_its_embedding(model, tmp_path):
    np.save(tmp_path / "scan.npy", np.moveaxis(CASE[0].volume, 0, -1))  # depth last, as published
    embedding = embed_file(model, PROCESSOR, tmp_path / "scan.npy", Modality.CT)
    torch.testing.assert_close(embedding, embed_scans(model, PROCESSOR, CASE[:1]))


def test_a_file_that_does_not_say_what_made_it_needs_a_word(model, tmp_path):
    np.save(tmp_path / "scan.npy", CASE[0].volume)
    with pytest.raises(CaseError, match="nothing in it says what made it"):
        embed_file(model, PROCESSOR, tmp_path / "scan.npy")


def test_a_folder_of_two_patients_is_not_embedded(model, tmp_path):
    write_series(tmp_path / "a", numbered_slices(3), PatientID="A", SeriesNumber=1)
    write_series(tmp_path / "b", 2 * numbered_slices(3), PatientID="B", SeriesNumber=2)
    with pytest.raises(CaseError, match="of one patient"):
        embed_file(model, PROCESSOR, tmp_path)
