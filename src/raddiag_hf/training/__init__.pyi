# The public names and where they live; `__init__.py` imports them from there at first use.

from .finetune_settings import FinetuneSettings as FinetuneSettings
from .finetuning import finetune as finetune
from .plan.memory import plan_memory as plan_memory
from .recipe import Recipe as Recipe, load_recipe as load_recipe
from .record import TrainingRecord as TrainingRecord
from .train import train_recipe as train_recipe
from .trainer import RadDiagTrainer as RadDiagTrainer
