"""A knowledge classifier is trained with the label names of its data, or not at all."""

from dataclasses import replace

import pytest
import torch
from scipy.sparse import csr_array
from transformers import TrainingArguments

from raddiag_hf.checkpoints.loaded_model import LabelTextsMissingError
from raddiag_hf.checkpoints.loading import read_model
from raddiag_hf.core.model_source import ModelSourceError
from raddiag_hf.core.run_folder import RunFolderError
from raddiag_hf.data.case_splits import CaseSplits
from raddiag_hf.data.store.case_writer import BuiltCase
from raddiag_hf.labels.label_embeddings import LabelEmbeddings
from raddiag_hf.labels.label_set import LabelSet
from raddiag_hf.labels.open_labels import open_labels_of
from raddiag_hf.model.modeling_raddiag import RadDiagForImageClassification
from raddiag_hf.training.network import build_model, check_network, read_text_encoder
from raddiag_hf.training.recipe import ModelSection, Recipe
from raddiag_hf.training.recipe_file import RecipeError
from raddiag_hf.training.train import open_splits, train_recipe
from raddiag_hf.training.trainer import RadDiagTrainer
from raddiag_hf.vocabulary import Split
from tests.fixtures.cases import CaseMaker, make_case, numbered, write_store
from tests.fixtures.models import tiny_config
from tests.fixtures.recipes import NARROW_CONFIG, quick_recipe, write_training_cases
from tests.fixtures.saved_models import save_tiny_model
from tests.fixtures.text_encoders import tiny_text_encoder

LABELS = ["Normal", "Pneumothorax", "Hip fracture"]
CATEGORIES = LabelSet(
    ("Normal", "J93 Pneumothorax and air leak", "S72"),
    codes=("", "J93", "S72"),
    definitions=("", "Pneumothorax and air leak", "Fracture of femur"),
)


@pytest.fixture(scope="module")
def cases(tmp_path_factory):
    return write_training_cases(tmp_path_factory.mktemp("cases") / "cases")


@pytest.fixture(scope="module")
def encoder_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("encoder")
    tiny_text_encoder().save_pretrained(folder)
    return folder


def knowledge_recipe(cases, output, encoder_folder, **config):
    section = ModelSection(
        config={**NARROW_CONFIG, "classifier_type": "knowledge", **config},
        text_encoder=None if encoder_folder is None else str(encoder_folder),
        batch_norm="frozen",
    )
    return replace(quick_recipe(cases, output, max_steps=2), model=section)


@pytest.fixture(scope="module")
def trained(cases, encoder_folder, tmp_path_factory):
    output = tmp_path_factory.mktemp("run") / "output"
    train_recipe(knowledge_recipe(cases, output, encoder_folder))
    return output


def from_checkpoint(recipe, trained, encoder_folder=None):
    """Return the network of a recipe that starts from a trained model."""
    section = ModelSection(
        checkpoint=str(trained / "model"),
        text_encoder=None if encoder_folder is None else str(encoder_folder),
        batch_norm="frozen",
    )
    data = open_splits(recipe.data)
    label_texts = None
    if (encoder := read_text_encoder(section)) is not None:
        label_texts = LabelEmbeddings.embed(data.label_set, encoder)
    start = read_model(section.checkpoint)
    return build_model(replace(recipe, model=section), data, label_texts, start)[0]


def test_a_recipe_with_a_text_encoder_trains_with_the_label_names_of_its_data(trained):
    model = RadDiagForImageClassification.from_pretrained(trained / "model")
    encoder = tiny_text_encoder()
    torch.testing.assert_close(model.classifier.label_embeddings, encoder.encode(LABELS))
    assert model.config.text_encoder_fingerprint == encoder.fingerprint
    assert model.config.label_embedding_size == 16
    assert model.config.trained_labels is None


class CodedCases(CaseMaker):
    def __call__(self, number):
        name = CATEGORIES.names[number % 3]
        return BuiltCase(make_case(number, labels={"icd10": (name,)}))


def test_categories_are_learnt_by_what_they_mean(encoder_folder, tmp_path):
    write_store(
        tmp_path / "cases",
        {Split.TRAIN: numbered(range(24)), Split.TEST: numbered(range(24, 30))},
        build_case=CodedCases(),
        label_sets={"icd10": CATEGORIES},
    )
    train_recipe(knowledge_recipe(tmp_path / "cases", tmp_path / "run", encoder_folder))
    model = RadDiagForImageClassification.from_pretrained(tmp_path / "run" / "model")
    meanings = ["Normal", *CATEGORIES.definitions[1:]]
    torch.testing.assert_close(
        model.classifier.label_embeddings, tiny_text_encoder().encode(meanings)
    )
    assert model.config.id2label[1] == "J93 Pneumothorax and air leak"
    stored = LabelSet.load(tmp_path / "run" / "model" / "label_set.json")
    assert (stored.codes, stored.definitions) == (CATEGORIES.codes, CATEGORIES.definitions)
    assert (stored.train_counts, stored.test_counts) == ((8, 8, 8), (2, 2, 2))
    card = (tmp_path / "run" / "model" / "README.md").read_text()
    assert "Column `icd10` of the data set.\n\nNormal, J93 Pneumothorax and air leak, S72" in card


def test_a_run_does_not_go_on_with_another_text_encoder(trained, cases, tmp_path):
    recipe = knowledge_recipe(cases, trained, tmp_path / "encoder")
    tiny_text_encoder(seed=1).save_pretrained(tmp_path / "encoder")
    with pytest.raises(RunFolderError, match=r"differs in recipe\.model\.text_encoder, text_enc"):
        train_recipe(recipe)


@pytest.mark.parametrize(
    ("config", "has_encoder", "message"),
    [
        ({}, False, r"model\.text_encoder is missing: a knowledge classifier"),
        ({"label_embedding_size": 12}, True, r"shape \(3, 16\), the model takes \(3, 12\)"),
        ({"classifier_type": "linear"}, True, "classifier is 'linear'"),
    ],
)
def test_what_cannot_be_trained_is_refused_before_anything_is_written(
    cases, encoder_folder, tmp_path, config, has_encoder, message
):
    encoder = encoder_folder if has_encoder else None
    with pytest.raises(RecipeError, match=message):
        train_recipe(knowledge_recipe(cases, tmp_path / "run", encoder, **config))
    assert not (tmp_path / "run").exists()


def test_a_missing_text_encoder_is_said_before_cases_are_read(tmp_path):
    with pytest.raises(RecipeError, match=r"model\.text_encoder is missing"):
        train_recipe(knowledge_recipe(tmp_path / "no cases", tmp_path / "run", None))


def test_a_checkpoint_without_label_texts_is_refused_with_both_ways_to_mend_it(
    trained, cases, tmp_path
):
    model = save_changed(trained, tmp_path)
    model.classifier.set_label_embeddings(torch.zeros(3, 16))
    model.save_pretrained(tmp_path / "model")
    with pytest.raises(RecipeError, match=r"text_encoder is missing.*knowledge embed --encoder"):
        from_checkpoint(quick_recipe(cases, tmp_path), tmp_path)


def test_a_checkpoint_with_label_texts_needs_no_encoder(trained, cases, tmp_path):
    model = from_checkpoint(quick_recipe(cases, tmp_path), trained)
    torch.testing.assert_close(
        model.classifier.label_embeddings, tiny_text_encoder().encode(LABELS)
    )


def save_changed(trained, folder, *label_spaces):
    """Save the trained model as if it were trained with the first labels, and set to the next."""
    model = RadDiagForImageClassification.from_pretrained(trained / "model")
    for number, names in enumerate(label_spaces):
        model.set_label_texts(names, tiny_text_encoder(), for_training=number == 0)
    model.save_pretrained(folder / "model")
    processor = (trained / "model" / "preprocessor_config.json").read_bytes()
    (folder / "model" / "preprocessor_config.json").write_bytes(processor)
    return model


def test_open_labels_of_a_checkpoint_become_trained_ones(trained, cases, tmp_path):
    model = save_changed(trained, tmp_path, ["Osteoma", "Normal"], LABELS)
    assert len(open_labels_of(model).labels) == 2
    started = from_checkpoint(quick_recipe(cases, tmp_path), tmp_path)
    assert open_labels_of(started).labels == ()


def test_a_checkpoint_learns_other_labels_by_their_names(trained, cases, encoder_folder, tmp_path):
    save_changed(trained, tmp_path, ["Osteoma"])
    started = from_checkpoint(quick_recipe(cases, tmp_path), tmp_path, encoder_folder)
    assert list(started.config.id2label.values()) == LABELS
    assert len(started.config.train_label_counts) == 3


def test_the_trainer_refuses_a_model_without_label_texts(tmp_path):
    model = RadDiagForImageClassification(tiny_config(classifier_type="knowledge"))
    with pytest.raises(LabelTextsMissingError, match="no label texts"):
        RadDiagTrainer(model=model, args=TrainingArguments(str(tmp_path)))


def test_a_new_network_starts_from_backbone_weights(cases, tmp_path):
    torch.manual_seed(5)
    config = NARROW_CONFIG | {"classifier_type": "probe"}
    section = ModelSection(config=config, backbone_weights=str(tmp_path / "resnet.pth"))
    recipe = replace(quick_recipe(cases, tmp_path / "out"), model=section)
    data = open_splits(recipe.data)
    source = build_model(replace(recipe, model=ModelSection(config=config)), data, None, None)[0]
    weights = source.raddiag.encoder.resnet.state_dict()
    torch.save(weights, tmp_path / "resnet.pth")
    check_network(recipe, None)
    built = build_model(recipe, data, None, None)[0].raddiag.encoder.resnet.state_dict()
    assert all(torch.equal(built[name], tensor) for name, tensor in weights.items())
    del weights["bn1.weight"]
    torch.save(weights, tmp_path / "resnet.pth")
    with pytest.raises(ModelSourceError, match=r"the first is bn1\.weight"):
        check_network(recipe, None)


def test_a_checkpoint_takes_no_backbone_weights(tmp_path):
    section = ModelSection(checkpoint="anywhere", backbone_weights="resnet.pth")
    start = read_model(str(save_tiny_model(tmp_path / "base")))
    with pytest.raises(RecipeError, match=r"model\.backbone_weights: a checkpoint brings its own"):
        check_network(Recipe(model=section), start)


def test_ct_windows_are_as_many_as_the_channels_of_the_network(tmp_path):
    windows = {"ct_channel_windows": ["lung", "mediastinum", "bone"]}
    coloured = NARROW_CONFIG | {"num_channels": 3}
    check_network(Recipe(model=ModelSection(config=coloured, processor=windows)), None)
    for grey in ({"num_channels": 1}, {"encoder_type": "vit"}):
        section = ModelSection(config=coloured | grey, processor=windows)
        with pytest.raises(RecipeError, match=r"has 3 windows, expected .* takes: 1"):
            check_network(Recipe(model=section), None)


def test_exclusive_labels_of_a_recipe_need_cases_of_one_label_each(cases, tmp_path):
    exclusive = {**NARROW_CONFIG, "problem_type": "single_label_classification"}
    recipe = quick_recipe(cases, tmp_path, max_steps=2)
    recipe = replace(recipe, model=ModelSection(config=exclusive))
    check_network(recipe, None)
    data = open_splits(recipe.data)
    model, _ = build_model(recipe, data, None, None)
    assert model.config.has_exclusive_labels
    train = data["train"]
    labels = train.metadata.labels["labels"].toarray()
    labels[0] = True
    several = replace(train.metadata, labels={"labels": csr_array(labels)})
    others = CaseSplits({**data.splits, "train": replace(train, metadata=several)})
    with pytest.raises(RecipeError, match="has cases with no label or several"):
        build_model(recipe, others, None, None)
