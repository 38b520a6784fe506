# The public names and where they live; `__init__.py` imports them from there at first use.

from .case_sizes import CaseSizes as CaseSizes
from .memory import MemoryPlan as MemoryPlan, plan_memory as plan_memory
from .step_speed import StepSpeed as StepSpeed, find_device as find_device
from .training_plan import TrainingPlan as TrainingPlan, plan_training as plan_training
