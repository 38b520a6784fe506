"""Evaluates the runs of the ablation: trained labels by frequency, unseen labels beside oracles."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from _ablation_cases import NUM_TRAINED, UNSEEN, Cases
from _ablation_comparisons import ORACLES, Oracle, trained_cases, unseen_cases
from _ablation_statistics import Sampled, sample_metrics
from raddiag_hf.labels.bands import band_columns
from raddiag_hf.metrics import choose_f1_thresholds

HEAD_FROM, TAIL_BELOW = 50, 15
"""Bounds of head and tail in training cases, half of the paper's: there are fewer cases here."""


@dataclass(frozen=True)
class Evaluation:
    """How logits become metrics.

    Attributes:
        cases: The splits.
        split: What is evaluated: ``test``, with the unseen compositions, or ``validation``, without
            them and without metrics that need thresholds, which come from validation cases.
        num_resamples: Of the bootstrap.
    """

    cases: Mapping[str, Cases]
    split: str
    num_resamples: int

    def evaluate(self, logits: dict[str, NDArray[np.float32]]) -> dict[tuple[str, str], Sampled]:
        """Return every metric of one run, by (group, metric)."""
        trained = slice(NUM_TRAINED)
        validation = self.cases["validation"]
        thresholds = None
        if self.split != "validation":
            thresholds = choose_f1_thresholds(
                validation.labels[:, trained], logits["validation"]
            ).probabilities
        found = sample_metrics(
            trained_cases(self.cases[self.split]),
            logits[self.split][:, trained],
            self.groups(),
            thresholds,
            self.num_resamples,
        )
        if self.split == "test" and "unseen" in logits:
            found |= self._evaluate_unseen(np.concatenate([logits["test"], logits["unseen"]]))
        return found

    def evaluate_oracles(self) -> dict[Oracle, dict[tuple[str, str], Sampled]]:
        """Return every metric of the unseen labels for each oracle; none on validation cases."""
        if self.split != "test":
            return {}
        return {
            oracle: self._evaluate_unseen(oracle.scores(self._test_and_unseen).astype(np.float32))
            for oracle in ORACLES
        }

    def _evaluate_unseen(self, scores: NDArray[np.float32]) -> dict[tuple[str, str], Sampled]:
        return sample_metrics(
            unseen_cases(self._test_and_unseen),
            scores[:, NUM_TRAINED:],
            {"unseen": np.arange(len(UNSEEN))},
            None,
            self.num_resamples,
        )

    @cached_property
    def _test_and_unseen(self) -> Cases:
        test, unseen = self.cases["test"], self.cases["unseen"]
        return Cases(
            test.packed + unseen.packed,
            np.concatenate([test.labels, unseen.labels]),
            np.concatenate([test.patient_ids, unseen.patient_ids]),
            np.concatenate([test.anatomies, unseen.anatomies]),
        )

    def groups(self) -> dict[str, NDArray[np.intp]]:
        """Return head, body and tail, without empty ones, and all labels together."""
        counts = self.cases["train"].labels[:, :NUM_TRAINED].sum(0)
        evaluated = np.asarray(self.cases[self.split].labels[:, :NUM_TRAINED].any(0))
        groups = band_columns(counts, head_from=HEAD_FROM, tail_below=TAIL_BELOW)
        groups["all"] = np.arange(NUM_TRAINED)
        return {name: columns for name, columns in groups.items() if evaluated[columns].any()}
