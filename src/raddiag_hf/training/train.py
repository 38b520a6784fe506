"""Train RadDiag after a recipe; killed at any moment, the same command resumes the run.

    accelerate launch -m raddiag_hf.training.train pretrain --overrides data.dataset=cases

``raddiag train`` builds such commands. Exit codes: 0 done, 2 the input is at fault, 1 ours.
"""

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from accelerate import PartialState
from transformers import TrainingArguments, set_seed

from raddiag_hf.checkpoints.loaded_model import LoadedModel, model_fingerprint
from raddiag_hf.checkpoints.loading import read_model
from raddiag_hf.core.errors import InputError, one_line
from raddiag_hf.core.plain_text import PlainFormatter, printable
from raddiag_hf.core.processes import started_processes
from raddiag_hf.core.progress import Progress, no_progress
from raddiag_hf.core.run_folder import RunFolder
from raddiag_hf.data.batches.repetition import repeat_factors
from raddiag_hf.data.case_splits import CaseSplits
from raddiag_hf.data.opening import SourceOptions, find_cases, open_cases
from raddiag_hf.data.publishers.loading import builder_names, check_options
from raddiag_hf.data.store.case_store import CaseStore
from raddiag_hf.labels.label_embeddings import LabelEmbeddings
from raddiag_hf.model.label_texts import LabelTextError
from raddiag_hf.model.modeling_raddiag import RadDiagForImageClassification
from raddiag_hf.training.driver import TrainingRun, complete_run
from raddiag_hf.training.finetune_settings import FinetuneSettings
from raddiag_hf.training.finetuning import finetune
from raddiag_hf.training.methods.weights import fit_weights
from raddiag_hf.training.network import build_model, check_network, read_text_encoder
from raddiag_hf.training.recipe import DataSection, Recipe, load_recipe, recipe_names
from raddiag_hf.training.recipe_file import RecipeError
from raddiag_hf.training.record import TrainingOrigin, TrainingRecord, public_name
from raddiag_hf.training.trainer_arguments import build_augmentation, training_arguments
from raddiag_hf.vocabulary import Split

logger = logging.getLogger(__name__)

MODEL_FOLDER, RECORD_FILE = "model", "training.json"
HARMLESS_ARGUMENTS = frozenset(
    {
        "per_device_train_batch_size",  # the cases of a step are compared instead
        "gradient_accumulation_steps",
        "per_device_eval_batch_size",
        "dataloader_num_workers",
        "dataloader_persistent_workers",
        "dataloader_prefetch_factor",
        "dataloader_pin_memory",
        "disable_tqdm",
        "logging_steps",
        "report_to",
        "run_name",
        "save_total_limit",
        "ddp_backend",
        "ddp_timeout",
    }
)
"""Training arguments that may change between a run and its continuation; any other may not."""


def train_recipe(recipe: Recipe, progress: Progress = no_progress) -> Path:
    """Train after a recipe and return the folder of the trained model.

    Everything goes to ``recipe.output``: checkpoints, TensorBoard logs in ``runs``, and at the end
    ``model``; see `complete_run`. A run that was interrupted, even killed, resumes from its last
    complete checkpoint when this is called again with the same recipe, and ends with the same
    weights, on one CPU to the last bit.

    The best checkpoint by macro AUC on the validation cases becomes the model, with temperature and
    thresholds chosen on them; without a validation split, the last. A recipe with a ``finetune``
    section is followed by `finetune`.

    Args:
        recipe: What to train, on what, and how.
        progress: Called after every step.

    Raises:
        RecipeError: If the recipe cannot be followed.
        CaseDataError, DataSourceError, ModelSourceError, TextEncoderError: If the data, the
            checkpoint to start from, or the text encoder are not available.
        LabelMismatchError: If checkpoint and data have different labels.
        RunFolderError, StorageError, TrainingDivergedError: As `complete_run`.
    """
    if recipe.finetune is not None:
        return _finetune_recipe(recipe, progress)
    args = training_arguments(recipe)
    if (started := started_processes()) != args.world_size:
        raise RecipeError(
            f"{started} processes were started, but {args.world_size} would train together; set "
            "training.use_cpu=true where there are not as many GPUs"
        )
    # What can be refused without data is, before cases are prepared for hours.
    address = recipe.model.checkpoint
    checkpoint = None if address is None else read_model(address)
    check_network(recipe, checkpoint)
    augmentation = build_augmentation(recipe)
    encoder = read_text_encoder(recipe.model)
    with PartialState().main_process_first():
        data = open_splits(recipe.data)
    factors = None
    if (threshold := recipe.data.repeat_threshold) is not None:
        try:
            train = data[Split.TRAIN]
            indicators = train.metadata.labels[data.label_column]
            factors = repeat_factors(indicators, threshold, train.known_counts)
        except ValueError as error:
            raise RecipeError(f"data.repeat_threshold: {one_line(error)}") from None
    max_scans = None if augmentation is None else augmentation.max_scans
    label_texts = None if encoder is None else LabelEmbeddings.embed(data.label_set, encoder)
    identity = _identity(recipe, args, data, checkpoint, label_texts)
    set_seed(args.seed)  # draws the weights of a new network
    model, processor = build_model(recipe, data, label_texts, checkpoint)
    run = TrainingRun(
        folder=RunFolder(Path(recipe.output)),
        identity=identity,
        data=data,
        processor=processor,
        origin=_origin(recipe, checkpoint, model),
        fit=lambda report: fit_weights(
            model,
            args,
            data,
            processor,
            report,
            augmentation=augmentation,
            slice_counts=data[Split.TRAIN].slice_counts(processor.max_slices, max_scans).tolist(),
            repeat_factors=factors,
        ),
        device=args.device,
        record_file=RECORD_FILE,
        ood_score=recipe.model.ood_score,
        model_folder=MODEL_FOLDER,
    )
    _tell(complete_run(run, progress))
    return Path(recipe.output) / MODEL_FOLDER


def open_splits(section: DataSection) -> CaseSplits:
    """Open the splits of a recipe; the test split, only where the data set has one.

    Raises:
        RecipeError: If no data set is named.
        BuilderOptionError: If a builder does not have or take one of the options.
        CaseDataError, DataSourceError: As `open_cases`.
    """
    if section.dataset is None:
        raise RecipeError("data.dataset is missing: name a folder, a builder or a Hub id")
    source = _source(section)
    wanted: dict[str, str] = {Split.TRAIN: section.train_split}
    if section.validation_split is not None:
        wanted[Split.VALIDATION] = section.validation_split
    if section.test_split is not None:
        found = find_cases(section.dataset, **source)
        if isinstance(found, CaseStore):
            names = {str(split) for split in found.shards}
        else:
            names = {split for split, rows in found.items() if len(rows)}
        if section.test_split.partition("[")[0] in names:
            wanted[Split.TEST] = section.test_split
    data = open_cases(section.dataset, wanted, label_column=section.label_column, **source)
    return data.for_training()


def _source(section: DataSection) -> SourceOptions:
    if section.options and section.dataset in builder_names():
        check_options(section.dataset, section.options, "data.options.")
    return {"name": section.name, "data_dir": section.data_dir, "options": section.options}


def _identity(
    recipe: Recipe,
    args: TrainingArguments,
    data: CaseSplits,
    checkpoint: LoadedModel | None,
    label_texts: LabelEmbeddings | None,
) -> dict[str, Any]:
    """Return what must be equal for a run to continue another."""
    content = recipe.to_dict()
    del content["output"]
    content["training"] = {
        name: value for name, value in recipe.training.items() if name not in HARMLESS_ARGUMENTS
    }
    batch = args.per_device_train_batch_size * args.gradient_accumulation_steps
    return {
        "recipe": content,
        "cases_per_step": batch * args.world_size,
        "data": {split: cases.fingerprint for split, cases in data.items()},
        "checkpoint": None if checkpoint is None else model_fingerprint(checkpoint),
        "text_encoder": None if label_texts is None else label_texts.fingerprint,
    }


def _origin(
    recipe: Recipe, checkpoint: LoadedModel | None, model: RadDiagForImageClassification
) -> TrainingOrigin:
    config = model.config
    network = {} if checkpoint is not None else {"preset": recipe.model.preset}
    return TrainingOrigin(
        base_model=None if checkpoint is None else public_name(checkpoint.model_id),
        base_revision=None if checkpoint is None else checkpoint.revision,
        method="from-scratch" if checkpoint is None else "continued",
        head=config.classifier_type if checkpoint is None else "the model's own",
        fusion=config.fusion_type,
        hyperparameters={
            **network,
            **recipe.model.config,
            "batch_norm": recipe.model.batch_norm,
            **recipe.loss,
            **recipe.training,
            **({} if recipe.augmentation is None else {"augmentation": recipe.augmentation}),
        },
    )


def _finetune_recipe(recipe: Recipe, progress: Progress) -> Path:
    """Adapt a saved model after a recipe's ``finetune`` section; return the folder of the result.

    Raises:
        RecipeError: If model, data or a setting is missing or refused.
    """
    if started_processes() > 1:
        raise RecipeError("a recipe with a finetune section runs in one process")
    if recipe.model.checkpoint is None or recipe.data.dataset is None:
        missing = "data.dataset" if recipe.model.checkpoint else "model.checkpoint"
        raise RecipeError(f"{missing} is missing")
    try:
        settings = FinetuneSettings(**(recipe.finetune or {}))
    except InputError as error:
        raise RecipeError(f"finetune.{error}") from None
    record = finetune(
        recipe.model.checkpoint,
        recipe.data.dataset,
        recipe.output,
        settings,
        text_encoder=recipe.model.text_encoder,
        source=_source(recipe.data),
        progress=progress,
    )
    for choice in record.choices:
        logger.info("%s", choice)
    _tell(record)
    return Path(recipe.output)


def _tell(record: TrainingRecord) -> None:
    """Log what a user of the model has to know."""
    for warning in record.warnings:
        logger.warning("not to be relied on: %s", warning)
    for note in record.notes:
        logger.info("%s", note)


def main(arguments: Sequence[str] | None = None) -> int:
    """Train after the recipe of a command line and return the exit code.

    Args:
        arguments: Without the program's name; those of the process by default.
    """
    parser = argparse.ArgumentParser(description="Train RadDiag after a recipe.")
    parser.add_argument(
        "recipe", help=f"a YAML file, or one of the recipes {', '.join(recipe_names())}"
    )
    parser.add_argument(
        "--overrides", nargs="*", default=[], metavar="SECTION.KEY=VALUE", help="values in YAML"
    )
    options = parser.parse_args(arguments)
    handler = logging.StreamHandler()
    handler.setFormatter(PlainFormatter())
    logging.basicConfig(handlers=[handler], level=logging.WARNING)
    logging.getLogger("raddiag_hf").setLevel(logging.INFO)
    try:
        folder = train_recipe(load_recipe(options.recipe, options.overrides))
    except (InputError, LabelTextError, OSError) as error:
        sys.stderr.write(f"raddiag: {printable(one_line(error))}\n")
        return 2
    except KeyboardInterrupt:  # whoever started this process says what can be done
        return 130
    finally:
        PartialState().destroy_process_group()
    logger.info("the trained model is in %s", folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
