"""A model that a method has fitted: how it predicts, and how it is saved."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from raddiag_hf.model.modeling_raddiag import RadDiagForImageClassification
from raddiag_hf.training.methods.scan_embeddings import ScanEmbeddings
from raddiag_hf.vocabulary import Split


@dataclass(frozen=True)
class FittedModel:
    """What every method returns; all processes of a training have one and call it together.

    Attributes:
        model: The fitted model itself; with adapters, these are not merged.
        predict: Returns the logits of the cases of a split, ``(cases, labels)``, float.
        selection: What was chosen on validation, and how, in words.
        save: Writes weights and configuration to a folder.
        embed_scans: Returns the scan embeddings of cases of a split, of all or some of them.
        fusion: Whether scans are fused, in words, where the method decided; else None.
    """

    model: RadDiagForImageClassification
    predict: Callable[[Split], NDArray[np.floating[Any]]]
    selection: str
    save: Callable[[Path], None]
    embed_scans: Callable[[Split], ScanEmbeddings]
    fusion: str | None = None
