"""The authors' checkpoint: converted, it answers as their network does."""

import json

import pytest
import torch
from safetensors.torch import save_file
from transformers import AutoImageProcessor, AutoModelForImageClassification

from raddiag_hf.checkpoints.convert import (
    CheckpointError,
    convert_checkpoint,
    model_from_reference,
    read_state_dict,
)
from raddiag_hf.checkpoints.reference_keys import DEAD, translate_key
from tests.fixtures.reference_network import ReferenceNetwork

LABELS = ["Normal", "Tumour", "Cyst", "Stone", "Bleed"]


def reference(seed=0, **options):
    torch.manual_seed(seed)
    return ReferenceNetwork(**options).eval()


def padded_cases(seed=0):
    """Two cases of up to three scans, as the reference pads them, and packed as ours."""
    torch.manual_seed(seed)
    counts = torch.tensor([[3, 8, 1], [5, 0, 0]])
    marks = (torch.arange(8) < counts[..., None]).long()
    images = torch.rand(2, 3, 8, 32, 32) * marks[..., None, None]
    mods = torch.tensor([[1, 4, 7], [9, 0, 0]])
    packed = {
        "pixel_values": images[marks.bool()][:, None],
        "slice_counts": counts[counts > 0],
        "scan_counts": torch.tensor([3, 1]),
        "modality_slots": mods[mods > 0],
    }
    return (images, mods, marks), packed


@pytest.mark.parametrize("seed", range(3))
def test_early_fusion_gives_the_reference_logits(seed):
    network, (padded, packed) = reference(seed), padded_cases(seed)
    model = model_from_reference(network.state_dict(), LABELS, image_size=32)
    with torch.no_grad():
        output = model(**packed)
    logits, scans, scores = network(*padded)
    assert logits.std() > 0.05
    torch.testing.assert_close(output.logits, logits, atol=1e-5, rtol=1e-4)
    real = padded[1].flatten() > 0
    torch.testing.assert_close(output.scan_embeddings, scans[real], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(output.slice_scores[0, :3], scores[0, :3], atol=1e-4, rtol=1e-4)


def test_late_fusion_gives_the_reference_logits_scan_by_scan():
    network, ((images, mods, marks), packed) = reference(fuse="late"), padded_cases()
    model = model_from_reference(network.state_dict(), LABELS, image_size=32)
    assert model.config.fusion_type == "max"
    logits = network(images, mods, marks)[0][mods.flatten() > 0]
    with torch.no_grad():
        pooled = model(**packed).logits
    torch.testing.assert_close(pooled[0], logits[:3].amax(0), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(pooled[1], logits[3], atol=1e-5, rtol=1e-4)


def test_knowledge_head_gives_the_reference_logits():
    network, (padded, packed) = reference(ke=True), padded_cases()
    texts = torch.randn(5, 12) * 3
    model = model_from_reference(
        network.state_dict(), LABELS, label_embeddings=texts, image_size=32
    )
    assert model.config.classifier_type == "knowledge"
    with torch.no_grad():
        logits = model(**packed).logits
    torch.testing.assert_close(logits, network(*padded, label_texts=texts)[0], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("suffix", [".bin", ".safetensors"])
def test_a_converted_folder_loads_by_the_auto_classes(suffix, tmp_path):
    network, (padded, packed) = reference(), padded_cases()
    checkpoint = tmp_path / f"pytorch_model{suffix}"
    state_dict = network.state_dict()
    if suffix == ".bin":
        torch.save(state_dict, checkpoint)
    else:
        save_file({k: v.clone().contiguous() for k, v in state_dict.items()}, checkpoint)
    output = convert_checkpoint(checkpoint, LABELS, tmp_path / "model", image_size=32)
    model = AutoModelForImageClassification.from_pretrained(output)
    with torch.no_grad():
        logits = model(**packed).logits
    torch.testing.assert_close(logits, network(*padded)[0], atol=1e-5, rtol=1e-4)
    assert list(model.config.id2label.values()) == LABELS
    processor = AutoImageProcessor.from_pretrained(output)
    assert processor.rescale_range == "padded_study"
    assert processor.grey_picture_slices == 3
    assert not processor.antialias
    weights = (output / "model.safetensors").stat().st_size
    assert weights < 0.75 * checkpoint.stat().st_size  # dead tensors are gone


def test_a_late_fusion_checkpoint_gets_its_own_data_handling(tmp_path):
    torch.save(reference(fuse="late").state_dict(), tmp_path / "late.bin")
    convert_checkpoint(tmp_path / "late.bin", LABELS, tmp_path / "model")
    processor = AutoImageProcessor.from_pretrained(tmp_path / "model")
    assert (processor.rescale_range, processor.grey_picture_slices) == ("scan", 1)


def test_fine_tuned_heads_and_wrapped_state_dicts_are_understood():
    state_dict = reference().state_dict()
    renamed = {
        k.replace("fc.", "fc2.") if k.startswith("fc.") else k: v for k, v in state_dict.items()
    }
    plain = model_from_reference(state_dict, LABELS).state_dict()
    other = model_from_reference(renamed, LABELS).state_dict()
    assert all(torch.equal(plain[key], other[key]) for key in plain)


def test_batch_counters_do_not_matter():
    state_dict = reference().state_dict()
    for key in state_dict:
        if key.endswith("num_batches_tracked"):
            state_dict[key] = torch.tensor([7])  # as arrays of one number are often stored
    plain = model_from_reference(reference().state_dict(), LABELS).state_dict()
    other = model_from_reference(state_dict, LABELS).state_dict()
    weights = [key for key in plain if not key.endswith("num_batches_tracked")]
    assert all(torch.equal(plain[key], other[key]) for key in weights)


def test_a_distributed_checkpoint_is_unwrapped(tmp_path):
    state_dict = {f"module.{k}": v for k, v in reference().state_dict().items()}
    torch.save({"state_dict": state_dict}, tmp_path / "model.bin")
    assert read_state_dict(tmp_path / "model.bin").keys() == reference().state_dict().keys()


def without(prefix):
    return {k: v for k, v in reference().state_dict().items() if not k.startswith(prefix)}


@pytest.mark.parametrize(
    ("make_state_dict", "labels", "message"),
    [
        (lambda: without("attention1D.pos_emb"), LABELS,
         "tensors are missing: attention1D.pos_emb"),
        (lambda: without("resnet2D.layer4.2.bn3.weight"), LABELS,
         "tensors are missing: raddiag.encoder.resnet.layer4.2.bn3.weight"),
        (lambda: without("fc."), LABELS, "tensors are missing: classifier.fc1.bias"),
        (lambda: reference().state_dict() | {"resnet3D.conv1.weight": torch.zeros(1)}, LABELS,
         "not tensors of the authors' network: resnet3D.conv1.weight"),
        (lambda: reference().state_dict() | {"vitFuse.cls_token": torch.zeros(1, 1, 7)}, LABELS,
         r"wrong shape: raddiag.fusion.scan_transformer.cls_token is \(1, 1, 7\)"),
        (lambda: reference().state_dict(), LABELS[:3],
         "scores 5 labels, but 3 label names were given"),
        (lambda: reference(ke=True).state_dict(), LABELS,
         "text embeddings of the labels are needed"),
        (dict, LABELS, "tensors are missing: resnet2D.conv1.weight"),
    ],
)  # fmt: skip
def test_other_networks_are_refused_with_the_tensors_at_fault(make_state_dict, labels, message):
    with pytest.raises(CheckpointError, match=message):
        model_from_reference(make_state_dict(), labels)


class Harmful:
    def __reduce__(self):
        return (print, ("code in a checkpoint was run",))


def test_code_in_a_checkpoint_is_not_run(tmp_path, capsys):
    torch.save({"weights": Harmful()}, tmp_path / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match="not a checkpoint of tensors"):
        convert_checkpoint(tmp_path / "pytorch_model.bin", LABELS, tmp_path / "model")
    assert "was run" not in capsys.readouterr().out
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.safetensors"])
def test_files_that_are_no_checkpoints_are_refused(name, tmp_path):
    for content in (b"", b"hello", b"\x80\x04" + b"x" * 100, b"PK\x03\x04" + b"\0" * 200):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(CheckpointError, match=name):
            convert_checkpoint(tmp_path / name, LABELS, tmp_path / "model")
    assert [p.name for p in tmp_path.iterdir()] == [name]


def test_a_truncated_checkpoint_is_named(tmp_path):
    torch.save(reference().state_dict(), tmp_path / "whole.bin")
    for length in (100, 5000, 200_000):
        (tmp_path / "cut.bin").write_bytes((tmp_path / "whole.bin").read_bytes()[:length])
        with pytest.raises(
            CheckpointError, match=r"cut\.bin: not a checkpoint of tensors: truncated"
        ):
            read_state_dict(tmp_path / "cut.bin")


@pytest.mark.parametrize("key", ["attention1D.cls_token", "attention1D.pos_emb"])
def test_tensors_with_other_axes_are_refused(key):
    with pytest.raises(CheckpointError, match="wrong shape"):
        model_from_reference(reference().state_dict() | {key: torch.tensor(1.0)}, LABELS)


def test_a_folder_with_content_is_never_overwritten(tmp_path):
    torch.save(reference().state_dict(), tmp_path / "pytorch_model.bin")
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "notes.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="exists already"):
        convert_checkpoint(tmp_path / "pytorch_model.bin", LABELS, tmp_path / "model")
    assert [p.name for p in (tmp_path / "model").iterdir()] == ["notes.txt"]


def test_the_key_map_knows_every_tensor_of_the_published_checkpoint(shared_dir):
    spec = json.loads((shared_dir / "parity" / "state_dict_spec.json").read_text())["tensors"]
    for key, facts in spec.items():
        is_dead = not facts["used_in_forward"] and not key.endswith("num_batches_tracked")
        assert bool(DEAD.match(key)) == is_dead, key
        assert is_dead or translate_key(key) is not None, key
