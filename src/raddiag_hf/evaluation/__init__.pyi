# The public names and where they live; `__init__.py` imports them from there at first use.

from .breakdown import break_down as break_down
from .evaluation_comparison import compare_evaluations as compare_evaluations
from .evaluation_run import evaluate_model as evaluate_model
from .evaluation_settings import (
    EvaluationInputError as EvaluationInputError,
    EvaluationSettings as EvaluationSettings,
    PredictionSettings as PredictionSettings,
)
from .model_evaluation import ModelEvaluation as ModelEvaluation
from .prediction_table import PredictionTable as PredictionTable
