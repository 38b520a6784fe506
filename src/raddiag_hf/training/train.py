"""Train RadDiag after a recipe; killed at any moment, the same command goes on where it was.

    accelerate launch -m raddiag_hf.training.train pretrain --overrides data.dataset=cases

``raddiag train`` builds such commands. Exit codes: 0 done, 2 the input is at fault, 1 ours.
"""

import argparse
import logging
import sys
from collections.abc import Sequence

from accelerate import PartialState

from raddiag_hf.checkpoints.model_source import ModelSourceError
from raddiag_hf.data.builder_error import DataSourceError
from raddiag_hf.data.label_agreement import LabelMismatchError
from raddiag_hf.training.recipe import load_recipe, recipe_names
from raddiag_hf.training.recipe_file import RecipeError
from raddiag_hf.training.run import train_recipe
from raddiag_hf.training.trainer import TrainingDivergedError

INPUT_ERRORS = (
    DataSourceError,
    LabelMismatchError,
    ModelSourceError,
    OSError,
    RecipeError,
    TrainingDivergedError,
)

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
        folder = train_recipe(load_recipe(options.recipe, options.overrides))
    except INPUT_ERRORS as error:
        sys.stderr.write(f"raddiag: {' '.join(str(error).split())}\n")
        return 2
    finally:
        PartialState().destroy_process_group()
    logger.info("the trained model is in %s", folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
