"""The confusion matrix of a thresholded prediction, and the metrics that read it."""

from dataclasses import dataclass

import numpy as np

from raddiag_hf.metrics.curve_counts import Counts


@dataclass(frozen=True)
class ConfusionCounts:
    """True and false positives among positives and negatives; arrays of one shape."""

    true_positives: Counts
    false_positives: Counts
    positives: Counts
    negatives: Counts

    def f1(self) -> Counts:
        """Harmonic mean of precision and recall; NaN where nothing is positive or predicted."""
        return _ratio(
            2 * self.true_positives,
            self.positives + self.true_positives + self.false_positives,
        )

    def mcc(self) -> Counts:
        """Matthews correlation coefficient; 0 where every case gets the same prediction.

        Source:
            The paper, section 4.3.4; the value 0 for 0/0 is scikit-learn's.
        """
        predicted = self.true_positives + self.false_positives
        total = self.positives + self.negatives
        # (tp tn - fp fn) over the root of the four margins, with tn and fn written out.
        covariance = self.true_positives * total - predicted * self.positives
        scale = np.sqrt(predicted * (total - predicted)) * np.sqrt(self.positives * self.negatives)
        return np.divide(covariance, scale, out=np.zeros_like(scale), where=scale > 0)

    def accuracy(self) -> Counts:
        """Share of cases that are predicted correctly."""
        right = self.true_positives + self.negatives - self.false_positives
        return _ratio(right, self.positives + self.negatives)


def _ratio(numerator: Counts, denominator: Counts) -> Counts:
    return np.divide(
        numerator, denominator, out=np.full_like(denominator, np.nan), where=denominator > 0
    )
