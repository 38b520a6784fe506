"""A whole pre-training: base encoder and corpus in, encoder and its measured worth out."""

import json
import logging
import math
import os
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from accelerate import PartialState

from raddiag_hf.core.atomic_files import atomic_write
from raddiag_hf.core.errors import InputError
from raddiag_hf.knowledge.corpus.concept import ReportProgress
from raddiag_hf.knowledge.corpus.corpus import KnowledgePair
from raddiag_hf.knowledge.corpus.corpus_file import CorpusError, corpus_digest, read_corpus
from raddiag_hf.knowledge.encoder.pair_batches import PairSampler
from raddiag_hf.knowledge.encoder.pretrain import (
    PretrainingSettings,
    freeze_layers,
    pretrain_encoder,
)
from raddiag_hf.knowledge.encoder.retrieval import compare_retrieval, evaluate_retrieval
from raddiag_hf.knowledge.encoder.text_encoder import TextEncoder
from raddiag_hf.metrics.bootstrap import PairedMeans
from raddiag_hf.vocabulary import Split

logger = logging.getLogger(__name__)

RUN_FILE, METRICS_FILE, CHECKPOINTS = "pretraining.json", "metrics.json", "checkpoints"

Comparisons = Mapping[str, Mapping[str, PairedMeans]]
"""Split -> metric -> base against pre-trained encoder."""


class PretrainingError(InputError):
    """A pre-training that cannot start: which folder or setting, and why."""


@dataclass(frozen=True)
class PretrainingResult:
    """What a pre-training gave.

    Attributes:
        encoder: The pre-trained encoder.
        comparisons: It against its base, on validation and test pairs.
        log: Training log.
    """

    encoder: TextEncoder
    comparisons: Comparisons
    log: Sequence[Mapping[str, float]]


def run_pretraining(
    base: str | Path,
    corpus: Path,
    output: Path,
    settings: PretrainingSettings,
    *,
    max_queries: int = 5000,
    token: str | None = None,
    report_progress: ReportProgress | None = None,
) -> PretrainingResult:
    """Pre-train an encoder, save it, and measure it against its base on held-out concepts.

    ``output`` will hold the encoder, ``pretraining.json`` (base, corpus, settings) and
    ``metrics.json``. A run that was interrupted goes on from its last checkpoint when it is started
    again. Under ``accelerate launch`` every process trains, and the first one measures and writes.

    Args:
        base: Folder or Hub id of the encoder to start from.
        corpus: File written by `write_corpus`.
        output: A folder that is new or empty, or holds this run, interrupted.
        settings: How to train.
        max_queries: Of each kind in the evaluation.
        token: Access token of the Hub; the one that is signed in by default.
        report_progress: Told the steps done.

    Raises:
        PretrainingError: If ``output`` holds something else, the settings do not fit the base or
            the corpus, or processes were started that would not train together.
        TextEncoderError: If the base cannot be had.
        CorpusError: If the corpus is not one.
        PretrainingDivergedError: If loss or weights are no longer numbers.
    """
    _check_processes()
    pairs = _by_split(read_corpus(corpus))
    if not pairs[Split.TRAIN]:
        raise CorpusError(f"{corpus}: has no training pairs")
    encoder = TextEncoder.from_pretrained(base, token=token)
    run = {
        "base": str(base),
        "base_fingerprint": encoder.fingerprint,
        "corpus_sha256": corpus_digest(corpus),
        "settings": asdict(settings),
        "versions": {name: version(name) for name in ("raddiag-hf", "torch", "transformers")},
    }
    _check_settings(encoder, pairs[Split.TRAIN], settings, corpus)
    if PartialState().is_main_process:
        _claim(output, run)
        _tell_left_out(pairs[Split.TRAIN], settings.batch_size)
    PartialState().wait_for_everyone()
    log = pretrain_encoder(
        encoder, pairs[Split.TRAIN], settings, output / CHECKPOINTS, report_progress
    )
    if not PartialState().is_main_process:
        return PretrainingResult(encoder, {}, log)
    encoder.save_pretrained(output)
    before = TextEncoder.from_pretrained(base, token=token)
    comparisons = {
        split.value: compare_encoders(before, encoder, pairs[split], max_queries=max_queries)
        for split in (Split.VALIDATION, Split.TEST)
    }
    metrics = {
        split: {name: asdict(comparison) for name, comparison in compared.items()}
        for split, compared in comparisons.items()
    }
    with atomic_write(output / METRICS_FILE) as temporary:
        content = {"fingerprint": encoder.fingerprint, "training_log": log} | metrics
        text = json.dumps(_without_nan(content), indent=1, allow_nan=False)
        temporary.write_text(text + "\n", "utf-8")
    shutil.rmtree(output / CHECKPOINTS, ignore_errors=True)
    return PretrainingResult(encoder, comparisons, log)


def compare_encoders(
    base: TextEncoder, tuned: TextEncoder, pairs: Sequence[KnowledgePair], *, max_queries: int
) -> dict[str, PairedMeans]:
    """Return the retrieval metrics of two encoders on the same held-out pairs."""
    return compare_retrieval(
        evaluate_retrieval(base, pairs, max_queries=max_queries),
        evaluate_retrieval(tuned, pairs, max_queries=max_queries),
    )


def _without_nan(value: Any) -> Any:
    """Return what JSON can hold: null for what is not a finite number."""
    if isinstance(value, Mapping):
        return {key: _without_nan(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_without_nan(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _by_split(pairs: Sequence[KnowledgePair]) -> dict[Split, list[KnowledgePair]]:
    split_pairs: dict[Split, list[KnowledgePair]] = {split: [] for split in Split}
    for pair in pairs:
        split_pairs[pair.split].append(pair)
    return split_pairs


def _check_processes() -> None:
    """Refuse processes that do not know of each other and would write over each other's files."""
    started, together = int(os.environ.get("WORLD_SIZE", "1")), PartialState().num_processes
    if started != together:
        raise PretrainingError(
            f"{started} processes were started, but {together} would train together; set "
            "ACCELERATE_USE_CPU=true where there are not as many GPUs"
        )


def _check_settings(
    encoder: TextEncoder,
    pairs: Sequence[KnowledgePair],
    settings: PretrainingSettings,
    corpus: Path,
) -> None:
    if settings.max_steps is None and not 0 < settings.num_epochs < math.inf:
        raise PretrainingError(f"epochs are {settings.num_epochs}, expected more than 0")
    for name in ("learning_rate", "temperature"):
        value = getattr(settings, name)
        if not 0 < value <= 1:
            raise PretrainingError(f"{name} is {value}, expected more than 0, at most 1")
    try:
        freeze_layers(encoder, settings.frozen_layers)
    except ValueError as error:
        raise PretrainingError(str(error)) from None
    try:
        PairSampler(pairs, settings.batch_size)
    except ValueError as error:
        raise PretrainingError(f"{corpus}: {error}") from None


def _tell_left_out(pairs: Sequence[KnowledgePair], batch_size: int) -> None:
    """Warn of the kinds that `PairSampler` leaves out."""
    counts = Counter(pair.kind.value for pair in pairs)
    few = [
        f"{kind} ({count:,} pairs)" for kind, count in sorted(counts.items()) if count < batch_size
    ]
    if few:
        logger.warning(
            "not trained, with fewer pairs than a batch of %d: %s; a smaller batch takes them in",
            batch_size,
            ", ".join(few),
        )


def _claim(output: Path, run: dict[str, Any]) -> None:
    """Write what the run is, or see that an interrupted one is the same."""
    path = output / RUN_FILE
    if (output / METRICS_FILE).exists():
        raise PretrainingError(f"{output}: holds a pre-trained encoder already; name a new folder")
    if path.is_file() and any((output / CHECKPOINTS).glob("checkpoint-*")):
        try:
            stored = json.loads(path.read_text("utf-8"))
        except json.JSONDecodeError as error:
            raise PretrainingError(f"{path}: is not JSON: {error}") from None
        differing = [key for key in run if stored.get(key) != run[key] and key != "versions"]
        if differing:
            raise PretrainingError(
                f"{output}: holds an interrupted run with another {' and '.join(differing)}; "
                "name a new folder, or give the same command to go on"
            )
        _remove(_unfinished_files(output))
        return
    unfinished = _unfinished_files(output)
    others = set(output.iterdir() if output.is_dir() else ()) - set(unfinished)
    if output.is_file() or others - {path, output / CHECKPOINTS}:
        raise PretrainingError(f"{output}: expected a new or empty folder")
    _remove(unfinished)
    output.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(run, indent=1) + "\n", "utf-8")


def _unfinished_files(output: Path) -> list[Path]:
    """Return what a killed run left half-written beside its files."""
    patterns = (f".{RUN_FILE}.*.tmp", f".{METRICS_FILE}.*.tmp", ".saving-*")
    return [path for pattern in patterns for path in output.glob(pattern)]


def _remove(paths: Sequence[Path]) -> None:
    for path in paths:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
