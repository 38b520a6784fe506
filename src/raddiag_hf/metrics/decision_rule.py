"""From logits to decisions: a temperature and thresholds, chosen on validation cases."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from raddiag_hf.core.errors import InputError
from raddiag_hf.metrics.calibration import TemperatureScaling, fit_temperature
from raddiag_hf.metrics.threshold_rule import MIN_POSITIVES, ThresholdRule
from raddiag_hf.metrics.thresholds import choose_f1_thresholds, choose_fpr_thresholds
from raddiag_hf.model.configuration_raddiag import RadDiagConfig
from raddiag_hf.model.exclusive_labels import temper_log_odds


@dataclass(frozen=True)
class DecisionRule:
    """How probabilities and decisions follow from logits.

    Attributes:
        temperature: Divides the logits before the sigmoid, or the scores before the softmax.
        thresholds: Calibrated probability from which each class counts as predicted, shape
            ``(classes,)``; None where nobody chose.
        source: Where both come from, in words; None where nobody chose.
        scaling: How the temperature was found; None where it was not found here.
        is_exclusive: Whether logits are log-odds of a softmax, whose probabilities sum to 1 at
            every temperature.
    """

    temperature: float
    thresholds: NDArray[np.float64] | None
    source: str | None
    scaling: TemperatureScaling | None = None
    is_exclusive: bool = False

    @classmethod
    def of_model(cls, config: RadDiagConfig) -> "DecisionRule":
        """Return what is stored with a model."""
        thresholds = config.decision_thresholds
        return cls(
            temperature=float(config.calibration_temperature),
            thresholds=None if thresholds is None else np.asarray(thresholds, dtype=np.float64),
            source=config.decision_threshold_source,
            is_exclusive=config.has_exclusive_labels,
        )

    def calibrated(self, logits: ArrayLike) -> NDArray[np.float32]:
        """Return the logits that the thresholds are for: their sigmoid is the probability."""
        return _temper(np.asarray(logits, np.float32), self.temperature, self.is_exclusive)

    def uncalibrated(self, logits: ArrayLike) -> NDArray[np.float32]:
        """Return the model's own logits of what `calibrated` made of them, up to rounding."""
        return _temper(np.asarray(logits, np.float32), 1 / self.temperature, self.is_exclusive)

    def config_fields(self) -> dict[str, Any]:
        """Return the fields of `RadDiagConfig` that store the rule with a checkpoint."""
        return {
            "calibration_temperature": self.temperature,
            "decision_thresholds": None if self.thresholds is None else self.thresholds.tolist(),
            "decision_threshold_source": self.source,
        }


def choose_decision_rule(
    labels: ArrayLike,
    logits: ArrayLike,
    *,
    target_fpr: float | None = None,
    threshold_rule: ThresholdRule = ThresholdRule.F1_SHARED,
    min_positives: int = MIN_POSITIVES,
    least_gain: float = 0.0,
    exclusive: bool = False,
) -> DecisionRule:
    """Choose a temperature, and then thresholds on the calibrated probabilities.

    Args:
        labels: 0 or 1, NaN where unknown, shape ``(cases, classes)``, of validation cases.
        logits: Shape ``(cases, classes)``.
        target_fpr: The highest false-positive rate of each class; by default thresholds have the
            highest F1.
        threshold_rule: Which classes have an F1 threshold of their own.
        min_positives: Positives that a class needs for one, by `ThresholdRule.F1_SHARED`.
        least_gain: Share of the cross-entropy that a temperature has to save to be kept.
        exclusive: The logits are log-odds of a softmax; see `RadDiagConfig.has_exclusive_labels`.

    Raises:
        InputError: If the cases are too few to choose anything.
    """
    values = np.asarray(logits, dtype=np.float32)
    scaling = fit_temperature(labels, values, exclusive=exclusive)
    is_useful = scaling.loss_after <= (1 - least_gain) * scaling.loss_before
    is_kept = is_useful and not scaling.at_limit
    temperature = scaling.temperature if is_kept else 1.0
    calibrated = _temper(values, temperature, exclusive)
    try:
        if target_fpr is None:
            floor = min_positives if threshold_rule is ThresholdRule.F1_SHARED else None
            chosen = choose_f1_thresholds(labels, calibrated, min_positives=floor)
        else:
            chosen = choose_fpr_thresholds(labels, calibrated, target_fpr=target_fpr)
    except ValueError as error:
        raise InputError(f"no thresholds can be chosen: {error}") from error
    if is_kept:
        how = f"probabilities are calibrated there with the temperature {temperature:.4g}"
    elif scaling.at_limit:
        how = "probabilities are not calibrated, because no temperature is best"
    else:
        how = f"probabilities are not calibrated, which would gain less than {least_gain:.0%}"
    return DecisionRule(
        temperature=temperature,
        thresholds=chosen.probabilities,
        source=f"{chosen.describe()}; {how}",
        scaling=scaling,
        is_exclusive=exclusive,
    )


def _temper(
    logits: NDArray[np.float32], temperature: float, exclusive: bool
) -> NDArray[np.float32]:
    if not exclusive:
        return logits / np.float32(temperature)
    return np.asarray(temper_log_odds(torch.tensor(logits), temperature))
