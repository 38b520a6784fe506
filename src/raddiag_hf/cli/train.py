"""`raddiag train`: build the command that trains after a recipe, and run it."""

import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from raddiag_hf.cli.console import ArgumentError, SafeConsole
from raddiag_hf.cli.options import with_options
from raddiag_hf.core.settings import Setting

EXAMPLES = """
Killed at any moment, the same command resumes the run and ends with the same weights.

**Examples**

`raddiag train phantoms`

`raddiag train scratch data.dataset=cases output=ours`

`raddiag train pretrain data.dataset=rp3d output=run-1 training.learning_rate=1e-4`

`raddiag train pretrain data.dataset=rp3d --num-processes 8`

`raddiag train my-recipe.yaml --accelerate-config fsdp2`

`raddiag train pretrain --plan --device h100 --num-processes 8`

`raddiag train pretrain data.dataset=rp3d --plan --memory 12GB`
"""
ACCELERATE_CONFIGS = Path(__file__).parents[1] / "training" / "accelerate_configs"


@dataclass(frozen=True)
class TrainOptions:
    """What to train, and how to start it.

    Attributes:
        recipe: A YAML file, or one of pretrain, scratch, finetune, lora, linear_probe,
            attentive_probe, phantoms.
        overrides: Changes to the recipe.
        num_processes: Processes, one per GPU; one by default.
        accelerate_config: ddp, fsdp2, deepspeed, or a file that `accelerate config` wrote.
        plan: Predict peak memory and time, and do not train.
        memory: With --plan: the memory to fit in, such as 12GB; by default the device's.
        device: With --plan: what it is planned for, such as h100 or rtx4090; speed is then
            estimated. By default this machine, measured.
        show_command: Print the command, and do not run it.
    """

    recipe: Annotated[str, Setting(positional=True, metavar="RECIPE")]
    overrides: Annotated[
        tuple[str, ...], Setting(positional=True, metavar="[SECTION.KEY=VALUE]...")
    ] = ()
    num_processes: Annotated[int | None, Setting(min=1, metavar="N")] = None
    accelerate_config: Annotated[str | None, Setting(metavar="CONFIG")] = None
    plan: bool = False
    memory: Annotated[str | None, Setting(metavar="SIZE")] = None
    device: Annotated[str | None, Setting(metavar="NAME")] = None
    show_command: bool = False


@with_options
def train(options: TrainOptions) -> int:
    """Train a network after a recipe: data, network and schedule as a file, changes as arguments.

    Writes checkpoints, TensorBoard logs, and at the end OUTPUT/model with thresholds, metrics of
    the test cases and a model card; recipes that adapt a saved model write what `raddiag finetune`
    does.
    """
    from raddiag_hf.training.recipe import load_recipe

    loaded = load_recipe(options.recipe, options.overrides)
    if loaded.finetune is not None:
        if options.plan:
            raise ArgumentError("--plan is for trainings: it cannot predict a fine-tuning")
        if options.accelerate_config is not None or (options.num_processes or 1) > 1:
            raise ArgumentError(
                "--num-processes and --accelerate-config are for trainings: a fine-tuning runs in "
                "one process"
            )
    if options.plan:
        from raddiag_hf.cli.plan_table import print_plan

        print_plan(loaded, options.memory, options.device, options.num_processes or 1)
        return 0
    for name in ("memory", "device"):
        if getattr(options, name) is not None:
            raise ArgumentError(f"--{name} belongs to --plan")
    command = training_command(
        options.recipe, options.overrides, options.num_processes, options.accelerate_config
    )
    SafeConsole(stderr=True).print(
        shlex.join(command), style="dim", soft_wrap=True, highlight=False
    )
    if options.show_command:
        return 0
    import torch

    # Accelerate starts several processes without GPUs only if it is told so beforehand.
    use_cpu = loaded.training.get("use_cpu") or not torch.cuda.is_available()
    is_launched = "accelerate.commands.launch" in command
    without_gpus = {"ACCELERATE_USE_CPU": "true"} if use_cpu and is_launched else {}
    # In a log, bars of data sets would stand before the one line of a refusal.
    without_bars = {} if sys.stderr.isatty() else {"HF_DATASETS_DISABLE_PROGRESS_BARS": "1"}
    environment = {**without_bars, **os.environ, **without_gpus}
    return subprocess.run(command, check=False, env=environment).returncode


def training_command(
    recipe: str,
    overrides: Sequence[str],
    num_processes: int | None,
    accelerate_config: str | None,
) -> list[str]:
    """Return the command line of a training.

    One process needs no launcher, and its exit code comes through. More are started by
    ``accelerate launch``.

    Raises:
        ArgumentError: If there is no such configuration of Accelerate.
    """
    launch = [sys.executable]
    if accelerate_config is not None or (num_processes or 1) > 1:
        launch += ["-m", "accelerate.commands.launch"]
        launch += ["--config_file", str(_config_file(accelerate_config or "ddp"))]
        if num_processes is not None:
            launch += ["--num_processes", str(num_processes)]
    return [
        *launch, "-m", "raddiag_hf.training.train", recipe,
        *(["--overrides", *overrides] if overrides else []),
    ]  # fmt: skip


def _config_file(name: str) -> Path:
    shipped = sorted(path.stem for path in ACCELERATE_CONFIGS.glob("*.yaml"))
    path = ACCELERATE_CONFIGS / f"{name}.yaml" if name in shipped else Path(name)
    if not path.is_file():
        raise ArgumentError(
            f"--accelerate-config {name}: no such file, and not one of {', '.join(shipped)}"
        )
    return path
