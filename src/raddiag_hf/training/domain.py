"""Domain of a trained model: the kinds of its scans, and where their embeddings lie."""

import logging
from collections.abc import Mapping
from typing import Any

from raddiag_hf.checkpoints.training_domain import TrainingDomain
from raddiag_hf.data.case_splits import CaseSplits
from raddiag_hf.metrics.embedding_distribution import ALARM_RATE, EmbeddingDistribution
from raddiag_hf.training.methods.fitted_model import FittedModel
from raddiag_hf.vocabulary import Split

logger = logging.getLogger(__name__)


def learn_domain(
    fitted: FittedModel, data: CaseSplits, *, with_score: bool
) -> tuple[TrainingDomain, Mapping[str, Any] | None]:
    """Return what a model was trained on, and what its out-of-distribution score is worth.

    The distribution is fitted to training scans, its limit to validation cases; how many test cases
    count as far, which are like these, is measured. Without a score the latter is None; where one
    was wanted, the log says why there is none.

    Args:
        fitted: The model.
        data: What it was trained on.
        with_score: Whether embeddings are to be compared, which takes encoding some of the cases.
    """
    kinds = data[Split.TRAIN].metadata.scan_kinds()
    if not with_score:
        return TrainingDomain(kinds), None
    if Split.VALIDATION not in data:
        logger.warning("no out-of-distribution score: there are no validation cases")
        return TrainingDomain(kinds), None
    training, validation = fitted.embed_scans(Split.TRAIN), fitted.embed_scans(Split.VALIDATION)
    try:
        distribution = EmbeddingDistribution.fit(
            training.embeddings.numpy(),
            validation.embeddings.numpy(),
            validation.scan_counts.numpy(),
        )
    except ValueError as error:
        logger.warning("no out-of-distribution score: %s", error)
        return TrainingDomain(kinds), None
    worth: dict[str, Any] = {
        "training_scans": distribution.num_scans,
        "validation_cases": distribution.num_cases,
        "alarm_rate": ALARM_RATE,
    }
    if Split.TEST in data:
        test = fitted.embed_scans(Split.TEST)
        distances = distribution.case_distances(test.embeddings.numpy(), test.scan_counts.numpy())
        worth["test_cases"] = len(distances)
        worth["test_alarms"] = int((distances > distribution.limit).sum())
    return TrainingDomain(kinds, distribution), worth
