# The public names and where they live; `__init__.py` imports them from there at first use.

from .bootstrap_settings import BootstrapSettings as BootstrapSettings
from .calibration import fit_temperature as fit_temperature, reliability as reliability
from .class_metrics import evaluate_predictions as evaluate_predictions
from .comparison import compare_predictions as compare_predictions
from .evaluation_result import EvaluationResult as EvaluationResult
from .thresholds import (
    choose_f1_thresholds as choose_f1_thresholds,
    choose_fpr_thresholds as choose_fpr_thresholds,
)
