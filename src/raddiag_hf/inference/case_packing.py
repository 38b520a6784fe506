"""The scans of one case, packed for the model; and the way back from packed to source slices."""

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


def source_slice(encoded_slice: int, source_slices: int, encoded_slices: int) -> int:
    """Return the index in the scan as read of one of its encoded slices.

    Uniform resampling keeps ``floor(i * depth / max_slices)``; the same rule leaves a scan that was
    not resampled as it is, and sends the equal slices that a picture may become to the picture.
    """
    return encoded_slice * source_slices // encoded_slices
