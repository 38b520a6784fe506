"""Packing: the scans of one case as a batch for the model."""

from collections.abc import Sequence

from transformers import BatchFeature

from raddiag_hf.core.errors import InputError
from raddiag_hf.imaging.scan import Scan
from raddiag_hf.model.image_processing_raddiag import RadDiagImageProcessor
from raddiag_hf.model.modeling_raddiag import RadDiagForImageClassification


class CaseError(InputError):
    """A case that the model cannot answer: which scan is at fault and what was expected."""


def pack_case(
    model: RadDiagForImageClassification, processor: RadDiagImageProcessor, scans: Sequence[Scan]
) -> BatchFeature:
    """Return the scans of one case as a packed batch, on the model's device and in its type.

    Raises:
        CaseError: If there is no scan, or the modality of one is unknown to us or to the model.
    """
    if not scans:
        raise CaseError("the case has no scan")
    for scan in scans:
        if scan.modality is None:
            raise CaseError(f"{scan.scan_id}: the modality is unknown, and nothing in it says")
        if scan.modality not in processor.modality_slots:
            known = ", ".join(processor.modality_slots)
            raise CaseError(
                f"{scan.scan_id}: the model has no slot for {scan.modality.value}, only for {known}"
            )
    batch = processor(
        [scan.volume[0] if scan.is_picture else scan.volume for scan in scans],
        modalities=[scan.modality for scan in scans],
    )
    return batch.to(device=model.device, dtype=model.dtype)
