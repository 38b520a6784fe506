"""What knowledge and fusion are worth: classifiers and fusions on phantoms, several seeds each.

Every variant trains the same narrow network on the same long-tailed phantom cases, with the same
number of epochs, learning rate, and slice encoder; a seed sets weights and order. Thresholds come
from validation cases. Some compositions (size, kind and site of a lesion) are in no training or
validation case; a knowledge head is asked for them by name, among all test cases and among those
that share their region, site, or kind, beside oracles that know one of these alone. `random texts`
is the knowledge head with a random vector for each name: what is left of a gain without the
meaning of the words. All heads begin with the frequency of the labels: the linear one with the
log-odds of each label as its bias, the knowledge head with their mean as its one shared bias. It
reads label texts `whitened` (`label_text_whitening`; a ridge of 1 was chosen on validation cases);
without both, `no bias`, it is as the authors have it.

Reported for head, body and tail: the mean over seeds, and the paired difference of variants, each
with intervals over cases (patients resampled), over seeds, and over both. Phantoms are not
patients: this compares designs, it does not say what they reach on real cases.

    python benchmarks/ablation.py --jobs 2     # more than an hour of training, shared by two cores
    python benchmarks/ablation.py --encoder DIR  # also with an encoder that knowledge.py saved
    python benchmarks/ablation.py --kept       # trains nothing: variants whose runs are all there
    python benchmarks/ablation.py --tune       # for choices of design: no look at test cases
    python benchmarks/ablation.py --quick      # a few cases; writes no result

An interrupted run goes on where it was: each (variant, seed) is kept in ``--work``. Kept runs
belong to the code that made them: after a change of the network, its training or the phantoms,
name a new ``--work``.
"""

import argparse
import hashlib
import json
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import PrinterCallback, TrainingArguments
from transformers.utils import logging as transformers_logging

from _ablation_cases import LABELS, NUM_TRAINED, UNSEEN, Cases, CaseSettings, load_cases
from _ablation_comparisons import ORACLES
from _ablation_evaluation import Evaluation
from _ablation_report import Named, write_report
from _ablation_texts import base_encoder_folder, embed_labels
from _machine import describe_machine, machine_slug
from raddiag_hf import RadDiagConfig, RadDiagForImageClassification
from raddiag_hf.core.atomic_files import atomic_write
from raddiag_hf.labels.label_embeddings import LabelEmbeddings
from raddiag_hf.training.trainer import RadDiagTrainer

RESULTS = Path(__file__).parent / "results"
WORK = Path(tempfile.gettempdir()) / "raddiag-ablation"
TRAINED_NAMES = LABELS.names[:NUM_TRAINED]


@dataclass(frozen=True)
class Settings:
    """How much is drawn and trained.

    Attributes:
        cases: What is drawn.
        seeds: Of weights and order; the cases are the same.
        num_epochs: Passes over the training cases.
        learning_rate: For all variants; the better of 1e-3 and 2e-3 for the linear head.
        batch_size: Cases of a step.
        width: Channels of the first stage of the slice encoder; an eighth of the tokens' width.
        resamples: Of the bootstrap.
    """

    cases: CaseSettings = field(default_factory=CaseSettings)
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    num_epochs: int = 8
    learning_rate: float = 2e-3
    batch_size: int = 16
    width: int = 8
    resamples: int = 1000


QUICK = Settings(CaseSettings((96, 48, 96, 48)), seeds=(0, 1), num_epochs=1, resamples=50)


@dataclass(frozen=True)
class Variant:
    """One way of classifying and fusing.

    Attributes:
        classifier: ``linear`` or ``knowledge``.
        fusion: ``transformer``, ``max``, ``mean`` or ``random``.
        texts: Whose embeddings the knowledge head reads: ``base`` or ``fine-tuned`` encoder, or
            ``random`` vectors.
        has_logit_bias: Whether the head begins with the frequency of the labels.
        whitening: Ridge by which label texts are whitened; None to read them as they are.
    """

    classifier: str
    fusion: str
    texts: str = ""
    has_logit_bias: bool = True
    whitening: float | None = None

    @property
    def name(self) -> str:
        """Name in files and tables."""
        texts = f"{self.texts} texts" + (", whitened" if self.whitening else "")
        head = f"{self.classifier} ({texts})" if self.texts else self.classifier
        return f"{head}, {self.fusion}" + ("" if self.has_logit_bias else ", no bias")


LINEAR = Variant("linear", "transformer")
LINEAR_MAX = Variant("linear", "max")
KNOWLEDGE = Variant("knowledge", "transformer", "base", whitening=1.0)
NOT_WHITENED = replace(KNOWLEDGE, whitening=None)
AS_PUBLISHED = replace(NOT_WHITENED, has_logit_bias=False)
RANDOM_TEXTS = replace(NOT_WHITENED, texts="random")
FINE_TUNED = replace(KNOWLEDGE, texts="fine-tuned")
FINE_TUNED_NOT_WHITENED = replace(NOT_WHITENED, texts="fine-tuned")
POOLED = [replace(KNOWLEDGE, fusion=fusion) for fusion in ("max", "mean", "random")]
VARIANTS = [
    LINEAR,
    KNOWLEDGE,
    NOT_WHITENED,
    AS_PUBLISHED,
    RANDOM_TEXTS,
    LINEAR_MAX,
    *POOLED,
    FINE_TUNED,
    FINE_TUNED_NOT_WHITENED,
]
COMPARISONS: list[tuple[Named, Named]] = [
    (KNOWLEDGE, LINEAR),
    (POOLED[0], LINEAR_MAX),
    (KNOWLEDGE, NOT_WHITENED),
    (KNOWLEDGE, RANDOM_TEXTS),
    (NOT_WHITENED, AS_PUBLISHED),
    (NOT_WHITENED, RANDOM_TEXTS),
    (NOT_WHITENED, LINEAR),
    (AS_PUBLISHED, LINEAR),
    (FINE_TUNED, LINEAR),
    (FINE_TUNED, KNOWLEDGE),
    (FINE_TUNED_NOT_WHITENED, NOT_WHITENED),
    *((KNOWLEDGE, pooled) for pooled in POOLED),
    (LINEAR, LINEAR_MAX),
    *((KNOWLEDGE, oracle) for oracle in ORACLES),
]


@dataclass(frozen=True)
class Experiment:
    """All runs of one setting.

    Attributes:
        settings: How much.
        texts: Embeddings of all names, by the kind of text encoder.
        work: Where runs are kept.
        trains: Whether missing runs are made; otherwise their variants are left out.
    """

    settings: Settings
    texts: dict[str, LabelEmbeddings]
    work: Path
    trains: bool = True

    @cached_property
    def cases(self) -> dict[str, Cases]:
        """The splits."""
        return load_cases(self.settings.cases, self.work)

    def variants(self) -> list[Variant]:
        """Return the variants whose text encoder is there, and whose runs are or can be made."""
        possible = [each for each in VARIANTS if not each.texts or each.texts in self.texts]
        return [
            variant
            for variant in possible
            if self.trains or all(self._kept(variant, s).is_file() for s in self.settings.seeds)
        ]

    def run(self, variant: Variant, seed: int) -> dict[str, NDArray[np.float32]]:
        """Return logits of validation, test and unseen cases, training where nobody has yet."""
        path = self._kept(variant, seed)
        if not path.is_file():
            result = self._train_and_predict(variant, seed)
            with atomic_write(path) as temporary, temporary.open("wb") as file:
                np.savez(file, **result)
        with np.load(path, allow_pickle=False) as stored:
            return dict(stored)

    def _kept(self, variant: Variant, seed: int) -> Path:
        """Return where a run is kept, by all that it depends on but the code."""
        done = asdict(replace(self.settings, seeds=(), resamples=0)) | asdict(variant)
        if variant.whitening is None:
            del done["whitening"]
        if variant.texts:
            done["fingerprint"] = self.texts[variant.texts].fingerprint
        digest = hashlib.sha256(json.dumps(done, sort_keys=True).encode()).hexdigest()[:12]
        return self.work / f"run-{digest}-seed{seed}.npz"

    def _train_and_predict(self, variant: Variant, seed: int) -> dict[str, NDArray[np.float32]]:
        begin = time.perf_counter()
        torch.manual_seed(seed)
        model = RadDiagForImageClassification(self._config(variant))
        if variant.texts:
            model.set_label_texts(TRAINED_NAMES, self.texts[variant.texts])
        else:
            model.classifier.fc2.bias.data.copy_(self._log_odds())
        training = self.cases["train"]
        labels = torch.from_numpy(training.labels[:, :NUM_TRAINED]).float()
        with tempfile.TemporaryDirectory() as scratch:
            trainer = RadDiagTrainer(
                model=model,
                args=self._training_arguments(scratch, seed),
                train_dataset=[
                    {"labels": row[None], **case}
                    for row, case in zip(labels, training.packed, strict=True)
                ],
            )
            trainer.remove_callback(PrinterCallback)
            loss = trainer.train().training_loss
            logits = {"validation": self._predict(trainer, "validation")}
            if variant.texts:
                model.set_label_texts(LABELS.names, self.texts[variant.texts])
                logits["unseen"] = self._predict(trainer, "unseen")
            logits["test"] = self._predict(trainer, "test")
        numbers = {"loss": loss, "seconds": time.perf_counter() - begin}
        return logits | {name: np.array(value, np.float32) for name, value in numbers.items()}

    def _predict(self, trainer: RadDiagTrainer, split: str) -> NDArray[np.float32]:
        predicted = trainer.predict(self.cases[split].packed).predictions
        return np.asarray(predicted, dtype=np.float32)

    def _log_odds(self) -> Tensor:
        """Return the log-odds of each trained label, shape ``(labels,)``."""
        labels = torch.from_numpy(self.cases["train"].labels[:, :NUM_TRAINED])
        return ((labels.sum(0) + 1) / (len(labels) + 2)).logit()

    def _config(self, variant: Variant) -> RadDiagConfig:
        hidden_size = 8 * self.settings.width
        return RadDiagConfig(
            image_size=self.settings.cases.image_size,
            max_slices=self.settings.cases.max_slices,
            num_channels=1,
            resnet_depth=10,
            resnet_width=self.settings.width,
            hidden_size=hidden_size,
            intermediate_size=hidden_size,
            num_attention_heads=4,
            num_fusion_heads=4,
            # As large for this width as the default is for the published one; smaller weights
            # leave the tokens nearly the same for all cases, and training begins late.
            initializer_range=hidden_size**-0.5,
            fusion_type=variant.fusion,
            classifier_type=variant.classifier,
            knowledge_logit_bias=float(self._log_odds().mean()) if variant.has_logit_bias else None,
            label_text_whitening=variant.whitening,
            label_embedding_size=self.texts[variant.texts or "base"].embeddings.shape[1],
            id2label=dict(enumerate(TRAINED_NAMES)),
            label2id={name: column for column, name in enumerate(TRAINED_NAMES)},
        )

    def _training_arguments(self, folder: str, seed: int) -> TrainingArguments:
        return TrainingArguments(
            output_dir=folder,
            per_device_train_batch_size=self.settings.batch_size,
            per_device_eval_batch_size=32,
            num_train_epochs=self.settings.num_epochs,
            learning_rate=self.settings.learning_rate,
            lr_scheduler_type="cosine",
            warmup_steps=0.1,
            weight_decay=0.05,
            logging_strategy="no",
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            seed=seed,
            use_cpu=True,
            dataloader_pin_memory=False,
        )


def train_all(experiment: Experiment, num_jobs: int) -> None:
    """Train every variant with every seed, several at once, each on one core."""
    load_cases(experiment.settings.cases, experiment.work)  # drawn here, once
    # Seed by seed, so that an interrupted benchmark leaves whole comparisons behind.
    tasks = [
        (variant, seed) for seed in experiment.settings.seeds for variant in experiment.variants()
    ]
    with ProcessPoolExecutor(num_jobs, get_context("spawn"), _use_one_core) as workers:
        runs = workers.map(experiment.run, *zip(*tasks, strict=True))
        for (variant, seed), run in zip(tasks, runs, strict=True):
            print(
                f"seed {seed}: {variant.name}: training loss {run['loss']:.4f}, "
                f"{run['seconds']:.0f} s",
                flush=True,
            )


def _use_one_core() -> None:
    torch.set_num_threads(1)
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()


def evaluate_all(
    experiment: Experiment, evaluation: Evaluation
) -> dict[Variant, list[dict[str, Any]]]:
    """Return the runs of every variant, one per seed: ``loss``, ``seconds`` and ``metrics``."""
    results = {}
    for variant in experiment.variants():
        runs = [experiment.run(variant, seed) for seed in experiment.settings.seeds]
        results[variant] = [
            {
                "loss": float(run["loss"]),
                "seconds": float(run["seconds"]),
                "metrics": evaluation.evaluate(run),
            }
            for run in runs
        ]
    return results


def main() -> None:
    """Run everything and write the result of this machine."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="a few cases; writes no result")
    parser.add_argument("--kept", action="store_true", help="train nothing")
    parser.add_argument("--tune", action="store_true", help="validation cases; writes no result")
    parser.add_argument("--base-encoder", type=Path, help="instead of MiniLM from its package")
    parser.add_argument("--encoder", type=Path, help="a fine-tuned text encoder")
    parser.add_argument("--seeds", type=int, help="how many; 5 by default")
    parser.add_argument("--epochs", type=int, help="passes over the training cases")
    parser.add_argument("--jobs", type=int, default=1, help="trainings at once, a core each")
    parser.add_argument("--work", type=Path, default=WORK, help=f"kept runs; {WORK} by default")
    arguments = parser.parse_args()
    _use_one_core()
    settings = QUICK if arguments.quick else Settings()
    if arguments.seeds:
        settings = replace(settings, seeds=tuple(range(arguments.seeds)))
    if arguments.epochs:
        settings = replace(settings, num_epochs=arguments.epochs)
    texts = embed_labels(arguments.base_encoder or base_encoder_folder(), arguments.encoder)
    experiment = Experiment(settings, texts, arguments.work, trains=not arguments.kept)
    train_all(experiment, arguments.jobs)
    split = "validation" if arguments.tune else "test"
    evaluation = Evaluation(experiment.cases, split, settings.resamples)
    results = evaluate_all(experiment, evaluation)
    oracles = {  # the same for every seed: they have no weights to draw
        oracle: [{"metrics": metrics}] * len(settings.seeds)
        for oracle, metrics in evaluation.evaluate_oracles().items()
    }
    about = {
        "machine": describe_machine(["torch", "transformers", "monai"]),
        "settings": asdict(settings),
        "text_encoders": {kind: found.fingerprint for kind, found in texts.items()},
        "labels_in_group": {name: len(c) for name, c in evaluation.groups().items()}
        | ({"unseen": len(UNSEEN)} if oracles else {}),
    }
    writes = not (arguments.quick or arguments.tune)
    path = RESULTS / f"ablation_{machine_slug()}.json" if writes else None
    print(write_report(about, results, oracles, COMPARISONS, path))


if __name__ == "__main__":
    main()
