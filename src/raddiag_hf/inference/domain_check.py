"""Domain check: whether the scans of a case are of the kinds that a model was trained on."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from raddiag_hf.checkpoints.training_domain import TrainingDomain
from raddiag_hf.checkpoints.training_kinds import describe_kind
from raddiag_hf.imaging.scan import Scan
from raddiag_hf.inference.case import CaseError
from raddiag_hf.inference.diagnosis import DomainCheck, ScanKind, TrainingDistance
from raddiag_hf.metrics.embedding_distribution import EmbeddingDistribution


class UnseenKindError(CaseError):
    """A scan of a kind that the model never saw in training, where nothing else was wanted."""


def check_domain(
    domain: TrainingDomain, scans: Sequence[Scan], scan_embeddings: Tensor | None = None
) -> DomainCheck:
    """Compare the scans of a case, each of known modality, with what a model was trained on.

    Args:
        domain: What that was.
        scans: Of one case.
        scan_embeddings: The model's, ``(scans, hidden)``; None compares kinds alone.
    """
    kinds = []
    for scan in scans:
        assert scan.modality is not None
        kinds.append(
            ScanKind(
                scan.scan_id,
                describe_kind(scan.modality, scan.anatomy),
                was_seen=domain.kinds.was_seen(scan.modality, scan.anatomy),
                training_scans=domain.kinds.num_scans(scan.modality, scan.anatomy),
            )
        )
    distance = None
    if domain.embeddings is not None and scan_embeddings is not None:
        distance = _distance(domain.embeddings, scans, scan_embeddings.float().cpu().numpy())
    return DomainCheck(str(domain.kinds), tuple(kinds), distance, domain.warnings)


def _distance(
    known: EmbeddingDistribution, scans: Sequence[Scan], embeddings: NDArray[np.float32]
) -> TrainingDistance:
    distances = known.distances(embeddings)
    (p_value,) = known.p_values(distances.max(keepdims=True))
    return TrainingDistance(
        p_value=float(p_value),
        distance=float(distances.max()),
        limit=known.limit,
        is_far=bool(distances.max() > known.limit),
        farthest_scan=scans[int(distances.argmax())].scan_id,
        num_validation_cases=known.num_cases,
    )


def refuse_unseen_kinds(
    domain: TrainingDomain | None, scans: Sequence[Scan], model_id: str | None
) -> None:
    """Refuse a case with a scan of a kind that the model never saw in training.

    Raises:
        UnseenKindError: The message names the scan, its kind and what the model was trained on; or
            the model does not say what that was.
    """
    if domain is None:
        raise UnseenKindError(
            f"{model_id or 'the model'}: does not say what it was trained on, so that nothing "
            "tells whether it ever saw scans like these"
        )
    check = check_domain(domain, scans)
    if check.unseen:
        raise UnseenKindError(check.unseen_statement())
