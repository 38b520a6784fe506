"""From logits to decisions: a temperature and thresholds, chosen on validation cases."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from raddiag_hf.core.errors import InputError
from raddiag_hf.metrics.calibration import TemperatureScaling, fit_temperature
from raddiag_hf.metrics.thresholds import choose_f1_thresholds, choose_fpr_thresholds
from raddiag_hf.model.configuration_raddiag import RadDiagConfig


@dataclass(frozen=True)
class DecisionRule:
    """How probabilities and decisions follow from logits.

    Attributes:
        temperature: Divides the logits before the sigmoid.
        thresholds: Calibrated probability from which each class counts as predicted, shape
            ``(classes,)``; None where nobody chose.
        source: Where both come from, in words; None where nobody chose.
        scaling: How the temperature was found; None where it was not found here.
    """

    temperature: float
    thresholds: NDArray[np.float64] | None
    source: str | None
    scaling: TemperatureScaling | None = None

    @classmethod
    def of_model(cls, config: RadDiagConfig) -> "DecisionRule":
        """Return what is stored with a model."""
        thresholds = config.decision_thresholds
        return cls(
            temperature=float(config.calibration_temperature),
            thresholds=None if thresholds is None else np.asarray(thresholds, dtype=np.float64),
            source=config.decision_threshold_source,
        )

    def calibrated(self, logits: ArrayLike) -> NDArray[np.float32]:
        """Return the logits that the thresholds are for: their sigmoid is the probability."""
        return np.asarray(logits, np.float32) / np.float32(self.temperature)

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
    min_positives: int = 10,
    least_gain: float = 0.0,
) -> DecisionRule:
    """Choose a temperature, and then thresholds on the calibrated probabilities.

    Args:
        labels: 0 or 1, shape ``(cases, classes)``, of validation cases.
        logits: Shape ``(cases, classes)``.
        target_fpr: The highest false-positive rate of each class; by default thresholds have the
            highest F1.
        min_positives: Positives that a class needs for an F1 threshold of its own.
        least_gain: Share of the cross-entropy that a temperature has to save to be kept.

    Raises:
        InputError: If the cases are too few to choose anything.
    """
    values = np.asarray(logits, dtype=np.float32)
    scaling = fit_temperature(labels, values)
    is_useful = scaling.loss_after <= (1 - least_gain) * scaling.loss_before
    is_kept = is_useful and not scaling.at_limit
    temperature = scaling.temperature if is_kept else 1.0
    calibrated = values / np.float32(temperature)
    try:
        if target_fpr is None:
            chosen = choose_f1_thresholds(labels, calibrated, min_positives=min_positives)
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
    )
