"""How good are the predictions? Every metric with its interval, thresholds and calibration."""

from raddiag_hf.metrics.bootstrap import BootstrapSettings, Interval
from raddiag_hf.metrics.calibration import (
    Reliability,
    TemperatureScaling,
    fit_temperature,
    reliability,
)
from raddiag_hf.metrics.class_metrics import evaluate_predictions
from raddiag_hf.metrics.comparison import PairedComparison, PairedDifference, compare_predictions
from raddiag_hf.metrics.delong import DeLongIntervals, DeLongTest, delong_intervals, delong_test
from raddiag_hf.metrics.evaluation_result import EvaluationResult, GroupMetrics
from raddiag_hf.metrics.mean_curves import RocCurve
from raddiag_hf.metrics.sampled_metrics import BootstrapIntervals
from raddiag_hf.metrics.thresholds import (
    DecisionThresholds,
    choose_f1_thresholds,
    choose_fpr_thresholds,
)

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
    "reliability",
]
