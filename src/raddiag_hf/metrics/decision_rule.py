"""From logits to decisions: a temperature and thresholds, chosen on validation cases."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit

from raddiag_hf.core.errors import InputError
from raddiag_hf.metrics.calibration import TemperatureScaling, fit_temperature
from raddiag_hf.metrics.threshold_rule import MIN_POSITIVES, ThresholdRule
from raddiag_hf.metrics.thresholds import choose_f1_thresholds, choose_fpr_thresholds
from raddiag_hf.model.configuration_raddiag import RadDiagConfig
from raddiag_hf.model.exclusive_labels import most_probable, temper_log_odds

MOST_PROBABLE = "the most probable label of each case is predicted"
FEWEST_CASES = 10
"""Validation cases of exclusive labels below which no temperature is fitted."""


@dataclass(frozen=True)
class DecisionRule:
    """How probabilities and decisions follow from logits.

    Attributes:
        temperature: Divides the logits before the sigmoid, or the scores before the softmax.
        thresholds: Calibrated probability from which each class counts as predicted, shape
            ``(classes,)``; None where nobody chose, and of exclusive labels.
        source: Where both come from, in words; None where nobody chose.
        scaling: How the temperature was found; None where it was not found here.
        is_exclusive: Whether logits are log-odds of a softmax, whose probabilities sum to 1 at
            every temperature, and the most probable label of a case is predicted.
    """

    temperature: float
    thresholds: NDArray[np.float64] | None
    source: str | None
    scaling: TemperatureScaling | None = None
    is_exclusive: bool = False

    @classmethod
    def of_model(cls, config: RadDiagConfig) -> "DecisionRule":
        """Return what is stored with a model."""
        temperature = float(config.calibration_temperature)
        source = config.decision_threshold_source
        if config.has_exclusive_labels:
            return cls(temperature, None, source or MOST_PROBABLE, is_exclusive=True)
        thresholds = config.decision_thresholds
        values = None if thresholds is None else np.asarray(thresholds, dtype=np.float64)
        return cls(temperature, values, source)

    def calibrated(self, logits: ArrayLike) -> NDArray[np.float32]:
        """Return the logits that the thresholds are for: their sigmoid is the probability."""
        return _temper(np.asarray(logits, np.float32), self.temperature, self.is_exclusive)

    def uncalibrated(self, logits: ArrayLike) -> NDArray[np.float32]:
        """Return the model's own logits of what `calibrated` made of them, up to rounding."""
        return _temper(np.asarray(logits, np.float32), 1 / self.temperature, self.is_exclusive)

    def decide(self, logits: ArrayLike) -> NDArray[np.bool_] | None:
        """Return which classes are predicted: one of exclusive ones, else by their thresholds.

        Args:
            logits: The model's own, shape ``(cases, classes)``.

        Returns:
            Same shape; None without thresholds.
        """
        if self.is_exclusive:
            return most_probable(torch.tensor(np.asarray(logits, np.float32))).numpy()
        if self.thresholds is None:
            return None
        probabilities = expit(self.calibrated(logits).astype(np.float64))
        return np.asarray(probabilities >= self.thresholds)

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

    Exclusive labels have no thresholds, and one temperature, which takes ten cases in all.

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
        InputError: If the cases are too few to choose anything, or a false-positive rate is asked
            for of exclusive labels.
    """
    values = np.asarray(logits, dtype=np.float32)
    if exclusive:
        if target_fpr is not None:
            raise InputError(
                f"a false-positive rate of {target_fpr:g} was asked for, but labels are exclusive: "
                f"{MOST_PROBABLE}, and there are no thresholds to choose"
            )
        return _exclusive_rule(labels, values, least_gain)
    temperature, how, scaling = _choose_temperature(labels, values, least_gain)
    calibrated = _temper(values, temperature, exclusive=False)
    try:
        if target_fpr is None:
            floor = min_positives if threshold_rule is ThresholdRule.F1_SHARED else None
            chosen = choose_f1_thresholds(labels, calibrated, min_positives=floor)
        else:
            chosen = choose_fpr_thresholds(labels, calibrated, target_fpr=target_fpr)
    except ValueError as error:
        raise InputError(f"no thresholds can be chosen: {error}") from error
    return DecisionRule(temperature, chosen.probabilities, f"{chosen.describe()}; {how}", scaling)


def _exclusive_rule(
    labels: ArrayLike, logits: NDArray[np.float32], least_gain: float
) -> DecisionRule:
    number = int((np.asarray(labels) == 1).any(axis=1).sum())
    cases = f"{number} validation {'case' if number == 1 else 'cases'}"
    if number < FEWEST_CASES:
        how = f"probabilities are not calibrated: {cases}, fewer than {FEWEST_CASES}"
        return DecisionRule(1.0, None, f"{MOST_PROBABLE}; {how}", is_exclusive=True)
    temperature, how, scaling = _choose_temperature(labels, logits, least_gain, exclusive=True)
    source = f"{MOST_PROBABLE}; on {cases}, {how}"
    return DecisionRule(temperature, None, source, scaling, is_exclusive=True)


def _choose_temperature(
    labels: ArrayLike,
    logits: NDArray[np.float32],
    least_gain: float,
    *,
    exclusive: bool = False,
) -> tuple[float, str, TemperatureScaling]:
    """Return a temperature, 1 where none is worth keeping, and how it was found, in words too."""
    scaling = fit_temperature(labels, logits, exclusive=exclusive)
    if scaling.at_limit:
        how = "probabilities are not calibrated, because no temperature is best"
    elif scaling.loss_after > (1 - least_gain) * scaling.loss_before:
        how = f"probabilities are not calibrated, which would gain less than {least_gain:.0%}"
    else:
        how = f"probabilities are calibrated with the temperature {scaling.temperature:.4g}"
        return scaling.temperature, how, scaling
    return 1.0, how, scaling


def _temper(
    logits: NDArray[np.float32], temperature: float, exclusive: bool
) -> NDArray[np.float32]:
    if not exclusive:
        return logits / np.float32(temperature)
    return np.asarray(temper_log_odds(torch.tensor(logits), temperature))
