"""Train RadDiag after a recipe; killed at any moment, the same command goes on where it was.

    accelerate launch -m raddiag_hf.training.train pretrain --overrides data.dataset=cases

``raddiag train`` builds such commands. Exit codes: 0 done, 2 the input is at fault, 1 ours.
"""

import argparse
import logging
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from accelerate import PartialState

from raddiag_hf.core.errors import InputError
from raddiag_hf.model.label_texts import LabelTextError
from raddiag_hf.training.finetune import finetune
from raddiag_hf.training.finetune_settings import (
    FinetuneSettings,
    Fusion,
    Head,
    Method,
)
from raddiag_hf.training.recipe import Recipe, load_recipe, recipe_names
from raddiag_hf.training.recipe_file import RecipeError
from raddiag_hf.training.run import train_recipe

logger = logging.getLogger(__name__)


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
    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    logging.getLogger("raddiag_hf").setLevel(logging.INFO)
    try:
        recipe = load_recipe(options.recipe, options.overrides)
        folder = train_recipe(recipe) if recipe.finetune is None else finetune_recipe(recipe)
    except (InputError, LabelTextError, OSError) as error:
        sys.stderr.write(f"raddiag: {' '.join(str(error).split())}\n")
        return 2
    finally:
        PartialState().destroy_process_group()
    logger.info("the trained model is in %s", folder)
    return 0


def finetune_recipe(recipe: Recipe) -> Path:
    """Adapt a saved model after a recipe's ``finetune`` section; return the folder of the result.

    Raises:
        RecipeError: If model, data or a setting is missing or refused.
        FinetuneError: As `finetune`, with its other errors.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise RecipeError("a recipe with a finetune section runs in one process")
    if recipe.model.checkpoint is None or recipe.data.dataset is None:
        missing = "data.dataset" if recipe.model.checkpoint else "model.checkpoint"
        raise RecipeError(f"{missing} is missing")
    values = dict(recipe.finetune or {})
    kinds: dict[str, Callable[[Any], Any]] = {
        "method": Method, "head": Head, "fusion": Fusion, "penalties": tuple
    }  # fmt: skip
    try:
        settings = FinetuneSettings(
            **{name: kinds.get(name, lambda one: one)(value) for name, value in values.items()}
        )
    except (ValueError, TypeError) as error:
        raise RecipeError(f"finetune: {error}") from None
    finetune(
        recipe.model.checkpoint,
        recipe.data.dataset,
        recipe.output,
        settings,
        text_encoder=recipe.model.text_encoder,
    )
    return Path(recipe.output)


if __name__ == "__main__":
    sys.exit(main())
