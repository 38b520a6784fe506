# The public names and where they live; `__init__.py` imports them from there at first use.

from .bootstrap import Interval as Interval
from .bootstrap_settings import BootstrapSettings as BootstrapSettings
from .calibration import (
    Reliability as Reliability,
    TemperatureScaling as TemperatureScaling,
    fit_temperature as fit_temperature,
    reliability as reliability,
)
from .class_metrics import evaluate_predictions as evaluate_predictions
from .comparison import (
    PairedComparison as PairedComparison,
    PairedDifference as PairedDifference,
    compare_predictions as compare_predictions,
)
from .delong import (
    DeLongIntervals as DeLongIntervals,
    DeLongTest as DeLongTest,
    delong_intervals as delong_intervals,
    delong_test as delong_test,
)
from .evaluation_result import EvaluationResult as EvaluationResult, GroupMetrics as GroupMetrics
from .mean_curves import RocCurve as RocCurve
from .sampled_metrics import BootstrapIntervals as BootstrapIntervals
from .thresholds import (
    DecisionThresholds as DecisionThresholds,
    choose_f1_thresholds as choose_f1_thresholds,
    choose_fpr_thresholds as choose_fpr_thresholds,
)
