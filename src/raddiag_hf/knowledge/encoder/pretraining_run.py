"""Pre-training run: base encoder and corpus in, encoder and its measured worth out."""

import json
import logging
import math
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from accelerate import PartialState

from raddiag_hf.core.errors import InputError
from raddiag_hf.core.fingerprint import file_fingerprint
from raddiag_hf.core.processes import started_processes
from raddiag_hf.core.progress import Progress, no_progress
from raddiag_hf.core.run_folder import RunFolder
from raddiag_hf.knowledge.corpus.corpus_file import CorpusError, read_corpus
from raddiag_hf.knowledge.corpus.pairs import KnowledgePair
from raddiag_hf.knowledge.encoder.pair_batches import PairSampler
from raddiag_hf.knowledge.encoder.pretrain import (
    freeze_layers,
    pretrain_encoder,
)
from raddiag_hf.knowledge.encoder.pretraining_settings import PretrainingSettings
from raddiag_hf.knowledge.encoder.retrieval import compare_retrieval, evaluate_retrieval
from raddiag_hf.knowledge.encoder.text_encoder import TextEncoder
from raddiag_hf.metrics.bootstrap import PairedMeans
from raddiag_hf.vocabulary import Split

logger = logging.getLogger(__name__)

DESCRIPTION_FILE, METRICS_FILE = "pretraining.json", "metrics.json"
CHECKPOINTS = "checkpoints"
"""Folder of unfinished work in the output."""

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
    progress: Progress = no_progress,
) -> PretrainingResult:
    """Pre-train an encoder, save it, and measure it against its base on held-out concepts.

    ``output`` will hold the encoder, ``pretraining.json`` (base, corpus, settings) and
    ``metrics.json``. An interrupted run resumes from its last checkpoint when it is started again.
    Under ``accelerate launch`` every process trains, and the first one measures and writes.

    Args:
        base: Folder or Hub id of the encoder to start from.
        corpus: File written by `write_corpus`.
        output: A folder that is new or empty, or holds this run, interrupted.
        settings: How to train.
        max_queries: Of each kind in the evaluation.
        token: Access token of the Hub; the one that is signed in by default.
        progress: Told the steps done.

    Raises:
        RunFolderError: If ``output`` holds something else, or another run is at work there.
        PretrainingError: If ``output`` is finished, the settings do not fit the base or the corpus,
            or processes were started that would not train together.
        TextEncoderError: If the base is not available.
        CorpusError: If the corpus is not one.
        TrainingDivergedError: If loss or weights are no longer numbers.
    """
    _check_processes()
    pairs = _by_split(read_corpus(corpus))
    if not pairs[Split.TRAIN]:
        raise CorpusError(f"{corpus}: has no training pairs")
    encoder = TextEncoder.from_pretrained(base, token=token)
    _check_settings(encoder, pairs[Split.TRAIN], settings, corpus)
    if (output / METRICS_FILE).exists():
        raise PretrainingError(f"{output}: holds a pre-trained encoder already; name a new folder")
    identity = {
        "base": str(base),
        "base_fingerprint": encoder.fingerprint,
        "corpus_sha256": file_fingerprint(corpus),
        "settings": asdict(settings),
    }
    folder = RunFolder(output, work=output / CHECKPOINTS)
    with folder.claim(identity):
        if PartialState().is_main_process:
            _tell_left_out(pairs[Split.TRAIN], settings.batch_size)
        PartialState().wait_for_everyone()
        log = pretrain_encoder(encoder, pairs[Split.TRAIN], settings, folder.work, progress)
        if not PartialState().is_main_process:
            return PretrainingResult(encoder, {}, log)
        before = TextEncoder.from_pretrained(base, token=token)
        comparisons = {
            split.value: compare_encoders(before, encoder, pairs[split], max_queries=max_queries)
            for split in (Split.VALIDATION, Split.TEST)
        }
        with folder.results(last=METRICS_FILE) as results:
            encoder.save_pretrained(results)
            versions = {name: version(name) for name in ("raddiag-hf", "torch", "transformers")}
            _write_json(results / DESCRIPTION_FILE, identity | {"versions": versions})
            metrics = {
                split: {name: asdict(comparison) for name, comparison in compared.items()}
                for split, compared in comparisons.items()
            }
            content = {"fingerprint": encoder.fingerprint, "training_log": log} | metrics
            _write_json(results / METRICS_FILE, _without_nan(content))
        shutil.rmtree(folder.work)
    return PretrainingResult(encoder, comparisons, log)


def compare_encoders(
    base: TextEncoder, tuned: TextEncoder, pairs: Sequence[KnowledgePair], *, max_queries: int
) -> dict[str, PairedMeans]:
    """Return the retrieval metrics of two encoders on the same held-out pairs."""
    return compare_retrieval(
        evaluate_retrieval(base, pairs, max_queries=max_queries),
        evaluate_retrieval(tuned, pairs, max_queries=max_queries),
    )


def _write_json(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", "utf-8")


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
    started, together = started_processes(), PartialState().num_processes
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
