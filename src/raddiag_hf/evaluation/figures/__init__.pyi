# The public names and where they live; `__init__.py` imports them from there at first use.

from .calibration_figure import draw_calibration as draw_calibration
from .curve_figures import draw_precision_recall as draw_precision_recall, draw_roc as draw_roc
from .evaluation_figure import (
    EvaluationFigure as EvaluationFigure,
    evaluation_figures as evaluation_figures,
    save_figures as save_figures,
)
from .probability_figure import draw_probabilities as draw_probabilities
from .subgroup_figures import draw_breakdown as draw_breakdown
