# The public names and where they live; `__init__.py` imports them from there at first use.

from .case_augmentation import CaseAugmentation as CaseAugmentation
from .collate import collate_cases as collate_cases
from .repetition import repeat_factors as repeat_factors
from .sampling import BalancedBatchSampler as BalancedBatchSampler
from .training_cases import CasePacker as CasePacker, TrainingCases as TrainingCases
