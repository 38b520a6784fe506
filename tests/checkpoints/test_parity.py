"""Full-size parity with the authors' network, wherever its recorded answers are at hand.

Runs with `make test-all` on every ``expected_seed<N>.safetensors`` in the parity folder.
"""

import importlib.util

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from raddiag_hf.checkpoints.convert import model_from_reference, reference_processor

LABELS = [f"disorder {number}" for number in range(5569)]
EARLY = ("xray1", "xray3", "ct12_mri20", "xray_ct32_ct7", "mri9_mri14_mri32_nm", "batch2")
SEEDS = (0, 1)

pytestmark = pytest.mark.slow


def module_at(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module", params=SEEDS)
def parity(request, shared_dir):
    """Seed, the rules for weights and inputs, and what the reference answered."""
    folder = shared_dir / "parity"
    answers = folder / f"expected_seed{request.param}.safetensors"
    if not answers.is_file():
        pytest.skip(f"the reference's answers for seed {request.param} are not at hand: {answers}")
    weights, inputs = (module_at(folder / f"make_{what}.py") for what in ("weights", "inputs"))
    return request.param, weights, inputs, load_file(answers)


def state_dict(parity, variant):
    seed, weights, _, _ = parity
    return {key: torch.from_numpy(value) for key, value in weights.build(seed, variant).items()}


@pytest.fixture(scope="module")
def early_model(parity):
    return model_from_reference(state_dict(parity, "early"), LABELS)


def packed(padded):
    """The reference's padded batch without its padding."""
    cases, scans = padded["marks"].shape[:2]
    images = np.moveaxis(padded["images"].reshape(cases, scans, 256, 256, 32), -1, 2)
    real_slices = padded["marks"].astype(bool)
    real_scans = real_slices.any(-1)
    return {
        "pixel_values": torch.from_numpy(images[real_slices])[:, None],
        "slice_counts": torch.from_numpy(real_slices.sum(-1)[real_scans]),
        "scan_counts": torch.from_numpy(real_scans.sum(-1)),
        "modality_slots": torch.from_numpy(padded["mods"].reshape(cases, scans)[real_scans]),
        "key_slices": torch.from_numpy(padded["keys"].reshape(cases, scans)[real_scans]),
        "labels": torch.from_numpy(padded["labels"]),
    }, real_scans.ravel()


def assert_equal_answers(output, answers, name, real_scans):
    def gap(found, key):
        return np.abs(found.detach().numpy() - answers[f"{name}/{key}"]).max()

    assert gap(output.logits, "logits") <= 2e-4
    assert (
        np.abs(output.scan_embeddings.numpy() - answers[f"{name}/scan_embed"][real_scans]).max()
        <= 5e-5
    )
    assert abs(output.loss_classification.item() - answers[f"{name}/loss_cls"][0]) <= 1e-5


@pytest.mark.parametrize("name", EARLY)
def test_early_fusion_equals_the_reference(name, parity, early_model):
    seed, _, inputs, answers = parity
    num_scans = answers[f"early/{name}/mods"].shape[1]
    batch, real_scans = packed(inputs.batch(name, seed, num_scans))
    with torch.no_grad():
        output = early_model(**batch)
    assert_equal_answers(output, answers, f"early/{name}", real_scans)
    assert np.abs(output.pooler_output.numpy() - answers[f"early/{name}/fused"]).max() <= 5e-5
    assert abs(output.loss_key_slice.item() - answers[f"early/{name}/loss_attn"][0]) <= 1e-5
    assert abs(output.loss.item() - answers[f"early/{name}/loss"][0]) <= 1e-5


@pytest.mark.parametrize("name", EARLY[:-1])
def test_the_processor_gives_the_reference_logits_from_raw_scans(name, parity, early_model):
    seed, _, inputs, answers = parity
    studies = inputs.cases(seed)[name]
    scans, modalities, groups = [], [], []
    for number, study in enumerate(studies):
        for volume in study["volumes"]:
            scans.append(np.moveaxis(volume, -1, 0))
            modalities.append(study["modality"])
            groups.append(number)
    batch = reference_processor(early_model.config)(scans, modalities, studies=groups)
    with torch.no_grad():
        logits = early_model(**batch).logits.numpy()
    assert np.abs(logits - answers[f"early/{name}/logits"]).max() <= 2e-4


def test_late_fusion_equals_the_reference(parity):
    seed, _, inputs, answers = parity
    model = model_from_reference(state_dict(parity, "late"), LABELS)
    padded = inputs.late_input(seed)
    batch, real_scans = packed(padded | {"marks": padded["marks"][:, None]})
    with torch.no_grad():
        output = model(**batch)
    assert_equal_answers(output, answers, "late/ct24", real_scans)


def test_knowledge_head_equals_the_reference(parity):
    seed, weights, inputs, answers = parity
    model = model_from_reference(
        state_dict(parity, "ke"),
        LABELS,
        label_embeddings=torch.from_numpy(weights.label_embeddings(seed)),
    )
    num_scans = answers["ke/xray1/mods"].shape[1]
    batch, real_scans = packed(inputs.batch("xray1", seed, num_scans))
    with torch.no_grad():
        output = model(**batch)
    assert_equal_answers(output, answers, "ke/xray1", real_scans)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 2e-4), (torch.bfloat16, 0.25)])
def test_inference_mode_stays_close_to_the_reference(dtype, tolerance, parity):
    seed, _, inputs, answers = parity
    model = model_from_reference(state_dict(parity, "early"), LABELS).optimize_for_inference(dtype)
    batch, _ = packed(inputs.batch("ct12_mri20", seed, 2))
    del batch["labels"], batch["key_slices"]
    with torch.inference_mode():
        logits = model(**batch).logits.float().numpy()
    assert np.abs(logits - answers["early/ct12_mri20/logits"]).max() <= tolerance
