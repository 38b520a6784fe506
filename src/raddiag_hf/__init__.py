"""RadDiag for the Hugging Face ecosystem: case-level, long-tailed diagnosis on radiology images.

Importing this package registers RadDiag with the Auto classes of transformers. Only the command
line puts that off until it needs a model: its help and shell completion answer without torch.
"""

import importlib
import sys
from pathlib import Path
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "RadDiagConfig": "raddiag_hf.model.configuration_raddiag",
    "RadDiagForImageClassification": "raddiag_hf.model.modeling_raddiag",
    "RadDiagImageProcessor": "raddiag_hf.model.image_processing_raddiag",
    "RadDiagModel": "raddiag_hf.model.modeling_raddiag",
    "RadDiagTrainer": "raddiag_hf.training.trainer",
    "Scan": "raddiag_hf.imaging.scan",
    "ScanReadError": "raddiag_hf.imaging.scan",
    "TextEncoder": "raddiag_hf.knowledge.encoder.text_encoder",
    "diagnose_case": "raddiag_hf.inference.diagnose",
    "embed_case": "raddiag_hf.inference.embedding",
    "embed_file": "raddiag_hf.inference.embedding",
    "embed_scans": "raddiag_hf.inference.embedding",
    "evaluate_model": "raddiag_hf.evaluation.evaluate_model",
    "explain_case": "raddiag_hf.inference.explain.explanation",
    "finetune": "raddiag_hf.training.finetune",
    "load_dataset": "raddiag_hf.data.publishers.loading",
    "load_model": "raddiag_hf.checkpoints.loading",
    "open_labels_of": "raddiag_hf.labels.open_labels",
    "read_case": "raddiag_hf.inference.case",
    "read_scan": "raddiag_hf.imaging.reading",
    "read_scans": "raddiag_hf.imaging.reading",
    "set_open_labels": "raddiag_hf.labels.open_labels",
}
"""Public names and the modules that define them, imported at first use."""

__all__ = [*_HOMES, "__version__"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


if not sys.argv or Path(sys.argv[0]).name not in ("raddiag", "raddiag.exe"):
    from raddiag_hf.model.registration import register_auto_classes

    register_auto_classes()
