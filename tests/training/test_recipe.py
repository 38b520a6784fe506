"""Recipes: what ships, what is read, and what is refused."""

from types import SimpleNamespace

import pytest
import yaml

from raddiag_hf.core.progress import no_progress
from raddiag_hf.data.batches.case_augmentation import CaseAugmentation
from raddiag_hf.imaging.augmentation import ScanAugmentation
from raddiag_hf.training import train
from raddiag_hf.training.finetune_settings import Method
from raddiag_hf.training.recipe import load_recipe, recipe_from_dict, recipe_names
from raddiag_hf.training.recipe_file import RecipeError
from raddiag_hf.training.trainer_arguments import build_augmentation, training_arguments


def write(folder, text):
    path = folder / "recipe.yaml"
    path.write_text(text)
    return path


def test_the_pretrain_recipe_is_the_papers():
    recipe = load_recipe("pretrain")
    training = recipe.training
    assert (training["learning_rate"], training["num_train_epochs"]) == (1e-5, 100)
    assert training["warmup_steps"] * training["num_train_epochs"] == 5
    assert training["lr_scheduler_type"] == "cosine"
    assert (
        training_arguments(load_recipe("pretrain", ["training.bf16=false"])).optim == "adamw_torch"
    )
    assert recipe.model.preset == "raddiag"


@pytest.mark.parametrize("name", recipe_names())
def test_every_shipped_recipe_is_read_and_survives_a_round_trip(name, tmp_path):
    recipe = load_recipe(name)
    assert load_recipe(write(tmp_path, yaml.safe_dump(recipe.to_dict()))) == recipe


def test_overrides_replace_values_and_keep_the_rest():
    recipe = load_recipe(
        "pretrain", ["training.learning_rate=1e-4", "data.dataset=cases", "output=run"]
    )
    assert recipe.training["learning_rate"] == 1e-4
    assert recipe.training["num_train_epochs"] == 100
    assert (recipe.data.dataset, recipe.output) == ("cases", "run")


def test_yaml_reads_as_people_mean_it(tmp_path):
    text = "training: {learning_rate: 1e-5, save_strategy: no, bf16: true, seed: 7}"
    training = load_recipe(write(tmp_path, text)).training
    assert training == {"learning_rate": 1e-5, "save_strategy": "no", "bf16": True, "seed": 7}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("trainning: {}", r"there is no trainning; did you mean training\?"),
        ("training: {lerning_rate: 1}", r"did you mean training\.learning_rate\?"),
        ("data: {data_set: x}", r"there is no data\.data_set; did you mean data\.dataset\?"),
        ("model: {preset: 3}", r"model\.preset is 3, expected str"),
        ("model: {config: 3}", r"model\.config is 3, expected keys and values"),
        ("model: {processor: {foo: 1}}", r"there is no model\.processor\.foo; expected one of"),
        (
            "model: {processor: {rescale_rnage: scan}}",
            r"there is no model\.processor\.rescale_rnage; did you mean "
            r"model\.processor\.rescale_range\?",
        ),
        ("data: {name: 3}", r"data\.name is 3, expected str or nothing"),
        ("model: {batch_norm: frosen}", "expected one of frozen, local, synchronised"),
        ("model: [a]", "model is .*expected keys and values"),
        ("finetune: {method: full}\ntraining: {seed: 1}", "training: a recipe with a finetune"),
        ("finetune: {rank: 1}", r"there is no finetune\.rank; did you mean"),
        ("output: ''", "output is '', expected a folder"),
        ("output: ' '", "output is ' ', expected a folder"),
        ("output:", "output is None, expected a folder"),
        ("finetune: {method: linear-probe, penalties: [a, 1]}", r"penalties\[0\] is 'a', expected"),
        ("training: {seed: 1}\ntraining: {seed: 2}", "line 2: .* duplicate key .training"),
        ("training: {seed: 1, seed: 2}", "line 1: .* duplicate key .seed"),
        ("training: {output_dir: x}", "training.output_dir: the folder .* is named by output"),
        ("training: {learning_rate: abc}", "training.learning_rate is 'abc', expected float"),
        ("training: {num_train_epochs: two}", "num_train_epochs is 'two', expected float"),
        ("training: {seed: true}", "training.seed is True, expected int"),
        ("training: {bf16: 1}", "training.bf16 is 1, expected bool"),
        ("augmentation: {shuffle_scans: maybe}", "shuffle_scans is 'maybe', expected bool"),
        ("augmentation: {max_mixed_cases: 2.5}", "max_mixed_cases is 2.5, expected int"),
        ("augmentation: {scan_augmentation: {shear: x}}", r"scan_augmentation\.shear is 'x'"),
        ("finetune: {method: full}\ndata: {label_column: x}", r"mean finetune\.label_column"),
        (
            "finetune: {method: full}\ndata: {train_split: x}",
            "of data, .* reads data_dir, dataset, name, options alone",
        ),
        (
            "finetune: {method: full}\nmodel: {config: {a: 1}}",
            "of model, .* reads checkpoint, text_encoder alone",
        ),
        ("- a", "holds list, expected keys and values"),
        ("a: [", "is not YAML"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, text, message):
    with pytest.raises(RecipeError, match=message):
        load_recipe(write(tmp_path, text))


@pytest.mark.parametrize("override", ["learning_rate", "=3", "training.seed=[", "output.a.b=1"])
def test_overrides_of_no_form_are_refused(override):
    with pytest.raises(RecipeError, match=r"expected an override|not YAML|has no keys"):
        load_recipe("pretrain", [override])


@pytest.mark.parametrize(
    ("name", "method"),
    [("finetune", "full"), ("lora", "lora"), ("linear_probe", "linear-probe")],
)
def test_recipes_for_saved_models_run_finetune(name, method, monkeypatch, tmp_path, caplog):
    calls = []

    def record_call(*given, **named):
        calls.append((given, named))
        return SimpleNamespace(choices=("Start: base",), warnings=("few cases",), notes=())

    monkeypatch.setattr(train, "finetune", record_call)
    overrides = ["model.checkpoint=base", "data.dataset=cases", f"output={tmp_path}"]
    overrides += ["model.text_encoder=encoder", "data.name=small", "data.data_dir=there"]
    overrides += ["data.options={limit: 3}"]
    assert train.main([name, "--overrides", *overrides]) == 0
    (((model, dataset, output, settings), named),) = calls
    source = {"name": "small", "data_dir": "there", "options": {"limit": 3}}
    assert named == {"text_encoder": "encoder", "source": source, "progress": no_progress}
    assert (model, dataset, output) == ("base", "cases", str(tmp_path))
    assert settings.method is Method(method)
    assert "Start: base" in caplog.text
    assert "not to be relied on: few cases" in caplog.text
    assert train.main([name, "--overrides", "data.dataset=cases"]) == 2


def test_an_unknown_recipe_is_refused_with_the_known_ones():
    with pytest.raises(RecipeError, match=r"nothing\.yaml: no such file.*phantoms, pretrain"):
        load_recipe("nothing.yaml")


def test_what_the_training_relies_on_cannot_be_turned_off():
    with pytest.raises(RecipeError, match=r"remove_unused_columns is True, but has to be False"):
        training_arguments(load_recipe("phantoms", ["training.remove_unused_columns=true"]))


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("gradient_accumulation_steps=0", "gradient_accumulation_steps is 0, expected at least 1"),
        ("seed=-1", "seed is -1, expected at least 0"),
        ("learning_rate=.nan", "learning_rate is nan"),
        ("num_train_epochs=0", "num_train_epochs is 0, expected more than 0"),
        ("report_to=wnadb", "report_to is 'wnadb', expected none or what is installed"),
        ("metric_for_best_model=aucc", r"metric_for_best_model is 'aucc'; did you mean auc\?"),
        ("lr_scheduler_type=cosin", "training: cosin is not a valid SchedulerType"),
        ("save_only_model=true", "save_only_model is True, but has to be False"),
        ("ignore_data_skip=true", "ignore_data_skip is True, but has to be False"),
    ],
)
def test_values_that_no_training_can_follow_are_named(override, message):
    with pytest.raises(RecipeError, match=message):
        training_arguments(load_recipe("phantoms", [f"training.{override}"]))


def test_an_augmentation_that_is_named_brings_no_other_with_it():
    assert build_augmentation(load_recipe("finetune")) is None
    found = build_augmentation(
        recipe_from_dict(
            {
                "augmentation": {
                    "scan_augmentation": {"noise_probability": 1, "contrast_gamma": [0.9, 1.1]}
                }
            }
        )
    )
    assert found == CaseAugmentation(
        scan_augmentation=ScanAugmentation(
            noise_probability=1,
            contrast_probability=0,
            affine_probability=0,
            elastic_probability=0,
            contrast_gamma=(0.9, 1.1),
        ),
        key_slice_probability=0,
        mixing_probability=0,
        scan_drop_probability=0,
        shuffle_scans=False,
    )


def test_the_pretrain_recipe_augments_as_the_paper():
    assert build_augmentation(load_recipe("pretrain")) == CaseAugmentation(
        max_scans=4, slice_budget=256
    )


@pytest.mark.parametrize(
    "override",
    [
        "training.hub_token=hf_abcdefghijklmnopqrst",
        "data.options={token: abc}",
        "model.checkpoint=https://user:hf_abcdefghijklmnopqrst@example.org",
        "hf_abcdefghijklmnopqrst",
    ],
)
def test_a_recipe_holds_no_token_and_none_is_shown(override):
    with pytest.raises(RecipeError) as caught:
        load_recipe("phantoms", [override])
    assert "hf_abc" not in str(caught.value)
    if "=" in override:
        assert "a recipe holds no token" in str(caught.value)
