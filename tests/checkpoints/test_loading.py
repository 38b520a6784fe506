"""Loading from folders: saved models, the authors' layout, and what is refused."""

import json
import shutil

import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import load_file, save_file

from raddiag_hf import RadDiagForImageClassification
from raddiag_hf.checkpoints import authors_repository
from raddiag_hf.checkpoints.label_file import LabelFileError
from raddiag_hf.checkpoints.loaded_model import DeviceError, choose_device
from raddiag_hf.checkpoints.loading import load_model
from raddiag_hf.core.model_source import ModelSourceError
from raddiag_hf.model.weight_digests import DIGEST_FILE
from tests.fixtures.models import packed_batch, tiny_model
from tests.fixtures.saved_models import (
    AUTHORS_FOLDER,
    LABELS,
    authors_checkpoint,
    authors_label_file,
    label_names,
    save_tiny_model,
)


@pytest.fixture(scope="session")
def checkpoint():
    return authors_checkpoint()


@pytest.fixture
def saved(tmp_path):
    return save_tiny_model(tmp_path / "saved")


@pytest.fixture
def authors(tmp_path, monkeypatch, checkpoint):
    """A folder laid out as the authors' repository, and a cache of its own."""
    monkeypatch.setattr(constants, "HF_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "authors"
    (folder / AUTHORS_FOLDER).mkdir(parents=True)
    (folder / AUTHORS_FOLDER / "pytorch_model.bin").write_bytes(checkpoint)
    (folder / "disorder_label_dict.json").write_bytes(authors_label_file())
    return folder


def labels_of(loaded):
    return tuple(loaded.model.config.id2label.values())


def test_a_saved_model_answers_as_before(saved):
    batch = packed_batch([[3, 1], [2]])
    with torch.no_grad():
        expected = tiny_model(**label_names())(**batch).logits
        loaded = load_model(str(saved), device="cpu")
        torch.testing.assert_close(loaded.model(**batch).logits, expected, atol=1e-4, rtol=1e-4)
    assert (loaded.model_id, loaded.revision) == (str(saved), None)
    assert labels_of(loaded) == LABELS
    assert loaded.processor.image_size == 32
    assert loaded.model.is_optimized_for_inference


def test_type_and_chunk_size_are_as_asked(saved):
    loaded = load_model(str(saved), device="cpu", dtype=torch.bfloat16, encoder_chunk_size=2)
    assert loaded.model.dtype == torch.bfloat16
    assert loaded.model.config.encoder_chunk_size == 2
    with pytest.raises(ValueError, match="encoder_chunk_size is 0"):
        load_model(str(saved), encoder_chunk_size=0)


def test_a_folder_inside_a_folder_can_be_named(saved):
    nested = saved.parent / "all"
    shutil.copytree(saved, nested / "small")
    for loaded in (load_model(f"{nested}:small"), load_model(str(nested), subfolder="small")):
        assert labels_of(loaded) == LABELS


def test_labels_that_agree_are_accepted_and_others_refused(saved):
    load_model(str(saved), labels=LABELS)
    with pytest.raises(ModelSourceError, match="has 5 labels, but 2 label names were given"):
        load_model(str(saved), labels=LABELS[:2])
    with pytest.raises(ModelSourceError, match="its label 0 is 'Normal', but 'Meningioma'"):
        load_model(str(saved), labels=LABELS[::-1])


def test_the_authors_folder_is_converted_once(authors, monkeypatch):
    first = load_model(str(authors))
    assert labels_of(first) == LABELS
    assert first.processor.rescale_range == "padded_study"

    def refuse(*_):
        raise AssertionError("converted again")

    monkeypatch.setattr(authors_repository, "convert_checkpoint", refuse)
    second = load_model(str(authors))
    batch = packed_batch([[3, 1]], size=256)
    with torch.no_grad():
        torch.testing.assert_close(second.model(**batch).logits, first.model(**batch).logits)


def test_a_checkpoint_written_again_is_converted_again(authors):
    load_model(str(authors))
    path = authors / AUTHORS_FOLDER / "pytorch_model.bin"
    path.write_bytes(authors_checkpoint(num_labels=2))
    assert labels_of(load_model(str(authors), labels=("Cyst", "Stone"))) == ("Cyst", "Stone")


def test_labels_given_go_before_those_of_the_repository(authors):
    names = ("A", "B", "C", "D", "E")
    assert labels_of(load_model(str(authors), labels=names)) == names
    assert labels_of(load_model(str(authors))) == LABELS


def test_the_checkpoint_folder_itself_can_be_named(authors):
    folder = authors / AUTHORS_FOLDER
    assert labels_of(load_model(str(folder), labels=LABELS)) == LABELS


def test_without_label_names_the_error_says_where_the_authors_publish_them(authors):
    (authors / "disorder_label_dict.json").unlink()
    with pytest.raises(ModelSourceError, match=r"github\.com/qiaoyu-zheng/RP3D-Diag.*--labels"):
        load_model(str(authors))


def test_a_label_file_beside_the_checkpoint_goes_first(authors):
    names = ["A", "B", "C", "D", "E"]
    (authors / AUTHORS_FOLDER / "disorder_label_dict.json").write_text(json.dumps(names))
    assert labels_of(load_model(str(authors))) == tuple(names)


def test_of_several_checkpoints_one_has_to_be_chosen(authors, checkpoint):
    (authors / "other").mkdir()
    (authors / "other" / "pytorch_model.bin").write_bytes(checkpoint)
    with pytest.raises(ModelSourceError, match=f"2 checkpoints.*{AUTHORS_FOLDER}, other"):
        load_model(str(authors))
    assert labels_of(load_model(f"{authors}:other")) == LABELS
    with pytest.raises(ModelSourceError, match="absent: no model there"):
        load_model(f"{authors}:absent")


@pytest.mark.parametrize(
    ("make_content", "message"),
    [
        (lambda: authors_checkpoint(num_labels=3), "scores 3 labels, but 5 label names were given"),
        (lambda: authors_checkpoint(ke=True), "text embeddings of the labels are needed"),
        (lambda: b"not a checkpoint", "not a checkpoint of tensors"),
        (bytes, "not a checkpoint of tensors"),
    ],
    ids=["label count", "knowledge head", "noise", "empty"],
)
def test_a_checkpoint_that_does_not_fit_is_refused_by_name(authors, make_content, message):
    (authors / AUTHORS_FOLDER / "pytorch_model.bin").write_bytes(make_content())
    with pytest.raises(ModelSourceError, match=f"pytorch_model.bin: .*{message}"):
        load_model(str(authors))
    assert not list((authors.parent / "cache").rglob("config.json"))


def test_a_bad_label_file_is_refused_by_name(authors):
    (authors / "disorder_label_dict.json").write_text('{"Normal": 3}')
    with pytest.raises(LabelFileError, match=r"disorder_label_dict\.json: .*found 3"):
        load_model(str(authors))


def test_a_pickle_that_would_run_code_does_not(authors, tmp_path):
    class Touch:
        def __reduce__(self):
            return (open, (str(tmp_path / "touched"), "w"))

    torch.save({"fc.0.weight": Touch()}, authors / AUTHORS_FOLDER / "pytorch_model.bin")
    with pytest.raises(ModelSourceError, match="not a checkpoint of tensors"):
        load_model(str(authors))
    assert not (tmp_path / "touched").exists()


def spoil_config(folder):
    (folder / "config.json").write_text("{")


def change_type(folder):
    (folder / "config.json").write_text('{"model_type": "vit"}')


def change_width(folder):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"hidden_size": 48}))


def change_field(folder):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"image_size": "large"}))


def change_labels(folder):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"id2label": 3}))


def remove_weights(folder):
    (folder / "model.safetensors").unlink()


def truncate_weights(folder):
    weights = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(weights[: len(weights) // 2])


def drop_tensor(folder):
    (folder / DIGEST_FILE).unlink()
    weights = load_file(folder / "model.safetensors")
    del weights["classifier.fc2.bias"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def shrink_tensor(folder):
    (folder / DIGEST_FILE).unlink()
    weights = load_file(folder / "model.safetensors")
    weights["classifier.fc2.bias"] = weights["classifier.fc2.bias"][:3].clone()
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def remove_processor(folder):
    (folder / "preprocessor_config.json").unlink()


def spoil_processor(folder):
    (folder / "preprocessor_config.json").write_text('{"image_size": 0}')


def give_processor_other_channels(folder):
    (folder / "preprocessor_config.json").write_text(
        '{"image_size": 32, "max_slices": 8, "ct_channel_windows": ["lung", "bone"]}'
    )


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (spoil_config, "config.json: is not JSON"),
        (change_type, "model_type 'vit', expected 'raddiag'"),
        (change_width, "hidden_size is 48"),
        (change_field, "image_size"),
        (change_labels, "config.json"),
        (remove_weights, "model.safetensors"),
        (truncate_weights, "model.safetensors is not what was written"),
        (drop_tensor, "1 tensors are missing.*first is classifier.fc2.bias"),
        (shrink_tensor, "another shape.*first is classifier.fc2.bias"),
        (remove_processor, "its image processor"),
        (spoil_processor, "its image processor: image_size is 0"),
        (give_processor_other_channels, "has num_channels 2, expected the model's 1 or 3"),
    ],
)
def test_a_spoilt_model_is_refused_by_name(saved, spoil, message):
    spoil(saved)
    with pytest.raises(ModelSourceError, match=message) as caught:
        load_model(str(saved))
    assert str(saved) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_place_without_a_model_is_refused(tmp_path):
    (tmp_path / "file.bin").write_bytes(b"")
    for place, message in (
        (tmp_path, "no model there"),
        (tmp_path / "file.bin", "is a file, expected a model's folder"),
        (tmp_path / "absent", "no such folder"),
    ):
        with pytest.raises(ModelSourceError, match=message):
            load_model(str(place))


def test_the_device_is_one_that_is_there():
    assert choose_device("cpu") == torch.device("cpu")
    expected = "cuda" if torch.cuda.is_available() else "cpu"
    if not torch.backends.mps.is_available():
        assert choose_device() == torch.device(expected)


@pytest.mark.parametrize("name", ["cuda:99", "cpu:1", "abacus", "meta", "xpu"])
def test_a_device_that_is_not_there_is_refused(name):
    with pytest.raises(DeviceError, match=name):
        choose_device(name)


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("image_size", 64, "image_size 64, expected the model's 32"),
        ("max_slices", 99, "max_slices 99, expected at most the model's 8"),
        ("modality_slots", {"CT": [40]}, "modality_slots 40, expected less than the model's 16"),
        ("modality_slots", {"CT": []}, "expected slots for each modality"),
    ],
)
def test_a_processor_of_another_model_is_refused(saved, option, value, message):
    path = saved / "preprocessor_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {option: value}))
    with pytest.raises(ModelSourceError, match=message):
        load_model(str(saved))


@pytest.mark.parametrize("error", [AttributeError, TypeError, KeyError])
def test_a_fault_of_ours_is_not_told_as_a_broken_file(saved, monkeypatch, error):
    def fail(*_, **__):
        raise error("ours")

    monkeypatch.setattr(RadDiagForImageClassification, "post_init", fail)
    with pytest.raises(error, match="ours"):
        load_model(str(saved))


@pytest.mark.parametrize(
    "content",
    [
        "[]",
        '{"modality_slots": 3}',
        '{"modality_slots": {"CT": [null]}}',
        '{"image_size": "large"}',
        '{"max_slices": 1.5}',
        '{"ct_window": [1, "x"]}',
        "null",
    ],
)
def test_a_processor_file_of_another_kind_is_refused(saved, content):
    (saved / "preprocessor_config.json").write_text(content)
    with pytest.raises(ModelSourceError, match="image processor"):
        load_model(str(saved))
