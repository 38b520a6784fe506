"""Explanation of one label of one case: which scans, which slices, which places."""

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import BatchFeature

from raddiag_hf.checkpoints.loaded_model import check_label_texts, find_unreasonable
from raddiag_hf.core.errors import InputError
from raddiag_hf.core.progress import Progress, no_progress
from raddiag_hf.imaging.scan import Scan
from raddiag_hf.inference.case import CaseError, CaseReading, as_case, pack_case
from raddiag_hf.inference.diagnose import calibrated_probabilities, run_provenance
from raddiag_hf.inference.diagnosis import Provenance, ScanContribution
from raddiag_hf.inference.explain.saliency import SaliencyMap, ScoreCamSettings, score_cam
from raddiag_hf.inference.explain.saliency_grid import (
    choose_key_slices,
    saliency_peak,
    saliency_profile,
)
from raddiag_hf.inference.scan_shares import leave_one_out, scan_contributions
from raddiag_hf.model.image_processing_raddiag import RadDiagImageProcessor
from raddiag_hf.model.modeling_raddiag import RadDiagForImageClassification
from raddiag_hf.model.scan_resampling import source_slice

FILE_FORMAT = 1
"""Version of ``explanation.json``."""


class LabelError(InputError):
    """A label that the model does not have."""


@dataclass(frozen=True, eq=False)
class ScanExplanation:
    """One scan and its part in the answer for a label.

    Attributes:
        contribution: Share and effect by leaving the scan out, and attention over its slices; for
            the label that is explained.
        attention_share: Part of the scan in the attention of the case's [CLS] token in the last
            fusion layer, or in attention pooling, mean over heads, among all scans; None where
            fusion has no attention.
        saliency: Where in the scan the score comes from.
        profile: How high the map rises in each encoded slice, the highest being 1.
        peak: Slice, row and column of the map's highest place in the scan as read; None where the
            map is empty.
        key_slices: Slices of the scan as read that show it best, the most telling one first.
    """

    contribution: ScanContribution
    attention_share: float | None
    saliency: SaliencyMap
    profile: tuple[float, ...]
    peak: tuple[int, int, int] | None
    key_slices: tuple[int, ...]

    def why_shown(self, index: int) -> str:
        """Say why a slice is among the key slices; nothing for a picture."""
        if self.contribution.source_slices == 1:
            return ""
        reasons = []
        if self.peak is not None and index == self.peak[0]:
            reasons.append("map highest")
        if index == self.contribution.key_slice:
            reasons.append("most attention")
        if not reasons and self.peak is not None:
            reasons.append("map high")
        return ", ".join(reasons)

    def to_dict(self) -> dict[str, Any]:
        """Return what fits into JSON: all but the map itself."""
        return {
            **asdict(self.contribution),
            "attention_share": self.attention_share,
            "saliency_profile": self.profile,
            "saliency_layer": self.saliency.layer,
            "saliency_masks": self.saliency.num_masks,
            "gain_over_black_scan": self.saliency.gain,
            "peak": self.peak,
            "key_slices": self.key_slices,
        }


@dataclass(frozen=True, eq=False)
class Explanation:
    """Why a case got its answer for one label, as far as the model shows.

    Attributes:
        label: As the model's label set spells it.
        logit: Its raw output.
        probability: Its calibrated probability.
        scans: The case's scans in the order given.
        settings: How thoroughly it was looked for.
        provenance: What computed it.
    """

    label: str
    logit: float
    probability: float
    scans: tuple[ScanExplanation, ...]
    settings: ScoreCamSettings
    provenance: Provenance

    def to_dict(self) -> dict[str, Any]:
        """Return the record as plain values, ready for ``json.dumps``; maps are not in it."""
        return {
            "format": FILE_FORMAT,
            "label": self.label,
            "logit": self.logit,
            "probability": self.probability,
            "method": {"name": "Score-CAM", **asdict(self.settings)},
            "scans": [scan.to_dict() for scan in self.scans],
            "provenance": asdict(self.provenance),
        }


def explain_case(
    model: RadDiagForImageClassification,
    processor: RadDiagImageProcessor,
    scans: Sequence[Scan] | CaseReading,
    *,
    label: str | None = None,
    settings: ScoreCamSettings | None = None,
    model_id: str | None = None,
    model_revision: str | None = None,
    progress: Progress = no_progress,
) -> Explanation:
    """Explain the answer of a model for one label of one case.

    Takes ``settings.max_masks`` times as long as the diagnosis.

    Args:
        model: From `load_model` or ``from_pretrained``, in evaluation mode.
        processor: The model's own.
        scans: The case, or its scans in any order, each of known modality; see `as_case`.
        label: Which label; the most probable one by default.
        settings: How thoroughly; the defaults if None.
        model_id: What to call the model in the record; its folder or Hub id by default.
        model_revision: Its commit, where it has one.
        progress: Called after every few masks.

    Raises:
        CaseError: As `as_case` and `pack_case` do, or if the model's answer is out of reason.
        LabelError: If the model has no such label.
        LabelTextsMissingError: If the model has a knowledge classifier without label texts.

    Example:
        >>> explanation = explain_case(model, processor, scans)
        >>> explanation.label
        'Pneumothorax'
    """
    check_label_texts(model, model_id)
    start = time.perf_counter()
    settings = settings or ScoreCamSettings()
    named = None if label is None else label_index(model, label)
    case = as_case(scans)
    batch = pack_case(model, processor, case.scans)
    counts = batch["slice_counts"].tolist()
    with torch.inference_mode():
        encoded = model.raddiag.encoder(
            batch["pixel_values"], batch["slice_counts"], settings.chunk_size(model), False
        )
        logits = leave_one_out(model, encoded.scan_embeddings, batch["modality_slots"])
    if (found := find_unreasonable(logits)) is not None:
        raise CaseError(f"the model's answer {found}; are its weights damaged: {model_id}?")
    column = int(logits[0].argmax()) if named is None else named
    contributions = scan_contributions(case.scans, counts, logits, encoded.slice_attentions, column)
    attention_shares = _attention_shares(model, encoded.scan_embeddings, batch)
    explained = []
    for number, (scan, contribution) in enumerate(zip(case.scans, contributions, strict=True)):
        saliency = score_cam(
            model,
            batch,
            encoded.scan_embeddings,
            number,
            column,
            settings,
            progress=_of_scan(progress, number, len(case.scans)),
        )
        attention = None if attention_shares is None else attention_shares[number]
        explained.append(_explain_scan(scan, contribution, attention, saliency))
    return Explanation(
        label=model.config.id2label[column],
        logit=logits[0, column].item(),
        probability=calibrated_probabilities(logits[0], model)[column].item(),
        scans=tuple(explained),
        settings=settings,
        provenance=run_provenance(model, model_id, model_revision, time.perf_counter() - start),
    )


def label_index(model: RadDiagForImageClassification, label: str) -> int:
    """Return the column of a label: spelt so exactly, or the only one that differs by case alone.

    Raises:
        LabelError: If there is none, or several differ by case alone.
    """
    names, sought = model.config.id2label, label.casefold()
    exact = [column for column, name in names.items() if name == label]
    columns = exact or [column for column, name in names.items() if name.casefold() == sought]
    if len(columns) == 1:
        return columns[0]
    near = [names[column] for column in columns]
    similar = (near or [name for name in names.values() if sought in name.casefold()])[:3]
    hint = f"; did you mean {' or '.join(map(repr, similar))}?" if similar else ""
    has = f"{len(columns)} labels like" if columns else "no label"
    raise LabelError(f"the model has {has} {label!r} among its {len(names)}{hint}")


def _attention_shares(
    model: RadDiagForImageClassification, scan_embeddings: Tensor, batch: BatchFeature
) -> list[float] | None:
    """Return each scan's part in what the case's [CLS] token attends to among scans."""
    with torch.inference_mode():
        cases = model.raddiag.fuse_scans(
            scan_embeddings, batch["modality_slots"], batch["scan_counts"], output_attentions=True
        )
    if not cases.attentions:
        return None
    last = cases.attentions[-1][0]  # of a transformer with [CLS] first, of a pooling without
    among_scans = (last[:, 0, 1:] if last.ndim == 3 else last).float().mean(0)
    shares: list[float] = (among_scans / among_scans.sum()).tolist()
    return shares


def _of_scan(progress: Progress, number: int, num_scans: int) -> Progress:
    step = f"Explaining scan {number + 1} of {num_scans}: masks"
    return lambda _, done, total: progress(step, done, total)


def _explain_scan(
    scan: Scan,
    contribution: ScanContribution,
    attention_share: float | None,
    saliency: SaliencyMap,
) -> ScanExplanation:
    depth, height, width = scan.volume.shape
    profile = saliency_profile(saliency.values)
    encoded = choose_key_slices(profile, contribution.slice_attention)
    shown = (source_slice(index, depth, len(profile)) for index in encoded)
    return ScanExplanation(
        contribution=contribution,
        attention_share=attention_share,
        saliency=saliency,
        profile=profile,
        peak=saliency_peak(saliency.values, (depth, height, width)),
        key_slices=tuple(dict.fromkeys(shown)),
    )
