"""How good are the predictions? Every metric with its interval, thresholds and calibration."""

from .bootstrap import BootstrapIntervals, BootstrapSettings
from .calibration import Reliability, TemperatureScaling, fit_temperature, reliability
from .comparison import PairedComparison, PairedDifference, compare_predictions
from .delong import DeLongIntervals, DeLongTest, delong_intervals, delong_test
from .evaluation_result import EvaluationResult, GroupMetrics
from .groups import frequency_groups
from .intervals import Interval
from .metrics import evaluate_predictions
from .roc import RocCurve
from .thresholds import DecisionThresholds, choose_f1_thresholds, choose_fpr_thresholds

__all__ = [
    "BootstrapIntervals",
    "BootstrapSettings",
    "DeLongIntervals",
    "DeLongTest",
    "DecisionThresholds",
    "EvaluationResult",
    "GroupMetrics",
    "Interval",
    "PairedComparison",
    "PairedDifference",
    "Reliability",
    "RocCurve",
    "TemperatureScaling",
    "choose_f1_thresholds",
    "choose_fpr_thresholds",
    "compare_predictions",
    "delong_intervals",
    "delong_test",
    "evaluate_predictions",
    "fit_temperature",
    "frequency_groups",
    "reliability",
]
