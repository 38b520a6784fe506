"""Embeddings of one scan or one case, for other uses."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from raddiag_hf.imaging.scan import Scan
from raddiag_hf.inference.case import CaseReading, as_case, pack_case, read_case
from raddiag_hf.model.image_processing_raddiag import RadDiagImageProcessor
from raddiag_hf.model.modeling_raddiag import RadDiagForImageClassification
from raddiag_hf.vocabulary import Modality


def embed_scans(
    model: RadDiagForImageClassification, processor: RadDiagImageProcessor, scans: Sequence[Scan]
) -> Tensor:
    """Embed scans one by one, ``(scans, hidden)`` float32 on the CPU.

    An embedding does not depend on the other scans, except with a processor that rescales scans
    of one study together.

    Raises:
        CaseError: As `pack_case` does.
    """
    batch = pack_case(model, processor, scans)
    with torch.inference_mode():
        output = model.encode_scans(batch["pixel_values"], batch["slice_counts"])
    return output.scan_embeddings.float().cpu()


def embed_case(
    model: RadDiagForImageClassification,
    processor: RadDiagImageProcessor,
    scans: Sequence[Scan] | CaseReading,
) -> Tensor:
    """Embed one case, all its scans fused: ``(hidden,)`` float32 on the CPU.

    Raises:
        CaseError: As `as_case` and `pack_case` do.
    """
    batch = pack_case(model, processor, as_case(scans).scans)
    batch.pop("key_slices")
    with torch.inference_mode():
        output = model.base_model(**batch)
    return output.pooler_output[0].float().cpu()


def embed_file(
    model: RadDiagForImageClassification,
    processor: RadDiagImageProcessor,
    path: Path | str,
    modality: Modality | None = None,
) -> Tensor:
    """Embed every scan of one patient's file or folder: ``(scans, hidden)`` float32 on the CPU.

    Args:
        model: From `load_model` or ``from_pretrained``.
        processor: The model's own.
        path: A DICOM file, series or study folder, NIfTI, picture or array.
        modality: What made it; needed where the files do not say.

    Raises:
        ScanReadError: If nothing there can be read as a scan.
        CaseError: As `read_case` and `pack_case` do.

    Example:
        >>> embed_file(model, processor, "knee.npy", Modality.MRI).shape
        torch.Size([1, 32])
    """
    return embed_scans(model, processor, read_case(path, modality).scans)
