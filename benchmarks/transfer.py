"""What fine-tuning gains from pre-training, on real images, by every method.

One run: POCUS, Brain-Tumor and ChestX-ray14 (the shares of patients in the shared folder) are built
by their builders. For each, a small network is pre-trained on the other two, then adapted by
`raddiag_hf.finetune` by linear probe, LoRA and all weights, from that checkpoint and from
the same network with random weights. Splits are by patient (Brain-Tumor names none: there an image
is a case of its own), thresholds and epochs are chosen on validation, test cases are looked at
once; intervals are bootstraps of patients.

The network is a hundredth of the published one and sees 64 pixels: the numbers compare methods with
each other on equal terms, and say nothing about RadDiag.

Every pre-training and every experiment is kept in the work folder, so a run that was interrupted
goes on where it stopped.

    python benchmarks/transfer.py                     # about 10 minutes on two cores
    python benchmarks/transfer.py --quick             # every part once, numbers without meaning
    RADDIAG_SHARED=... python benchmarks/transfer.py  # real images elsewhere than ../shared
"""

import argparse
import json
import os
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets
import torch
from torch import Tensor
from transformers import PrinterCallback, TrainingArguments
from transformers.utils import logging as transformers_logging

from _machine import describe_machine, machine_slug
from raddiag_hf.core.atomic_files import atomic_write
from raddiag_hf.data.opening import open_cases
from raddiag_hf.data.publishers.loading import load_builder
from raddiag_hf.data.store.storage_options import StorageOptions
from raddiag_hf.labels.label_set import LabelSet
from raddiag_hf.model.configuration_raddiag import RadDiagConfig
from raddiag_hf.model.image_processing_raddiag import RadDiagImageProcessor
from raddiag_hf.model.modeling_raddiag import RadDiagForImageClassification
from raddiag_hf.training.finetune_settings import FinetuneSettings, Method
from raddiag_hf.training.finetuning import finetune
from raddiag_hf.training.trainer import RadDiagTrainer
from raddiag_hf.vocabulary import Split

SHARED = Path(os.environ.get("RADDIAG_SHARED", Path(__file__).parents[2] / "shared")) / "data"
RESULTS = Path(__file__).parent / "results"
PACKAGES = ("raddiag-hf", "torch", "transformers", "peft", "monai", "datasets")
DATA_SETS = {"pocus": "POCUS", "brain_tumor": "Brain-Tumor", "cxr14": "ChestX-ray14"}
STARTS = {"pretrained": "the other two sets", "scratch": "random weights"}
METRICS = ("auc", "ap", "f1")
IMAGE_SIZE, MAX_SLICES, SEED = 64, 8, 0
STORAGE = StorageOptions(bits=8, max_side=96, max_slices=MAX_SLICES)


@dataclass(frozen=True)
class Scale:
    """How large everything is.

    Attributes:
        width: Channels of the network's first stage.
        pretraining_epochs: Passes over the other two sets.
        epochs: The most passes over the target.
    """

    width: int
    pretraining_epochs: int
    epochs: int


FULL_SCALE = Scale(width=16, pretraining_epochs=30, epochs=15)
QUICK = Scale(width=4, pretraining_epochs=1, epochs=1)


def build(work: Path, name: str) -> Path:
    """Return the folder of a data set, built on first use."""
    folder = work / "data" / name
    if not folder.is_dir():
        with_all_labels = "with_no_finding" if name == "cxr14" else None
        load_builder(name, with_all_labels, data_dir=SHARED / name, storage=STORAGE).write(folder)
    return folder


def processor() -> RadDiagImageProcessor:
    """Return the image processor of the benchmark's network."""
    return RadDiagImageProcessor(image_size=IMAGE_SIZE, max_slices=MAX_SLICES)


def network(names: LabelSet, scale: Scale) -> RadDiagForImageClassification:
    """Return a network with random weights."""
    torch.manual_seed(SEED)
    config = RadDiagConfig(
        image_size=IMAGE_SIZE,
        max_slices=MAX_SLICES,
        num_channels=1,
        resnet_depth=18,
        resnet_width=scale.width,
        hidden_size=8 * scale.width,
        intermediate_size=8 * scale.width,
        num_attention_heads=4,
        num_fusion_heads=4,
        id2label=names.id2label,
        label2id=names.label2id,
        label_set_fingerprint=names.fingerprint,
    )
    return RadDiagForImageClassification(config)


def save(model: RadDiagForImageClassification, folder: Path) -> None:
    """Save a model with its processor; ``config.json`` comes last."""
    temporary = folder.with_name(f".{folder.name}.incomplete")
    model.save_pretrained(temporary)
    processor().save_pretrained(temporary)
    temporary.rename(folder)


def pretrain(work: Path, target: str, scale: Scale) -> Path:
    """Return a checkpoint that was trained on the other data sets, each with its own labels."""
    folder = work / "models" / f"pretrained-for-{target}"
    if folder.is_dir():
        return folder
    others = [
        open_cases(work / "data" / name).for_training(FinetuneSettings.validation_fraction, SEED)
        for name in DATA_SETS
        if name != target
    ]
    names = LabelSet(
        tuple(
            f"{Path(data.location).name}: {label}"
            for data in others
            for label in data.label_set.names
        )
    )
    cases: list[dict[str, Tensor]] = []
    first = 0
    for data in others:
        for case in data[Split.TRAIN].pack(processor()):
            labels = torch.zeros(1, len(names))
            labels[:, first : first + len(data.label_set)] = case["labels"]
            cases.append({**case, "labels": labels})
        first += len(data.label_set)
    model = network(names, scale)
    trainer = RadDiagTrainer(
        model=model,
        args=TrainingArguments(
            output_dir=str(work / "trainer"),
            use_cpu=not torch.cuda.is_available(),
            per_device_train_batch_size=16,
            num_train_epochs=scale.pretraining_epochs,
            learning_rate=2e-3,
            lr_scheduler_type="cosine",
            warmup_steps=0.1,
            weight_decay=0.05,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            seed=SEED,
            dataloader_pin_memory=False,
        ),
        train_dataset=cases,
    )
    trainer.remove_callback(PrinterCallback)
    trainer.train()
    save(model.cpu(), folder)
    return folder


def start(work: Path, target: str, where: str, scale: Scale) -> Path:
    """Return the checkpoint that an experiment starts from."""
    if where == "pretrained":
        return pretrain(work, target, scale)
    folder = work / "models" / "scratch"
    if not folder.is_dir():
        save(network(LabelSet(("anything",)), scale), folder)
    return folder


def settings(method: Method, where: str, scale: Scale) -> FinetuneSettings:
    """Return how to fine-tune: equal for both starts but for what has no meaning at random."""
    shared: dict[str, Any] = {"num_workers": 0, "seed": SEED}
    if method is Method.LINEAR_PROBE:
        return FinetuneSettings(method, **shared)
    shared |= {"num_epochs": scale.epochs, "patience": 5, "batch_size": 16, "learning_rate": 2e-3}
    if method is Method.FULL:
        is_new = where == "scratch"
        shared |= {"layer_decay": 1.0 if is_new else 0.8, "train_batch_norm": is_new}
    return FinetuneSettings(method, **shared)


def experiment(work: Path, target: str, where: str, method: Method, scale: Scale) -> dict[str, Any]:
    """Run one experiment, or read what it found; return a row of the table."""
    path = work / "experiments" / f"{target}-{where}-{method}.json"
    if path.is_file():
        row: dict[str, Any] = json.loads(path.read_text("utf-8"))
        return row
    model = start(work, target, where, scale)
    began = time.perf_counter()
    record = finetune(
        str(model),
        work / "data" / target,
        work / "runs" / path.stem,
        settings(method, where, scale),
    )
    if record.metrics is None:
        raise ValueError(f"{target} has no test split")
    groups = record.metrics["groups"]
    row = {
        "target": target,
        "start": where,
        "method": str(method),
        "seconds": round(time.perf_counter() - began, 1),
        "fusion": record.fusion,
        "selection": record.selection,
        "thresholds": record.threshold_source,
        "cases": {name: split["cases"] for name, split in record.data["splits"].items()},
        "patients": {name: split["patients"] for name, split in record.data["splits"].items()},
        "metrics": {
            name: [groups[column][-1] for column in (name, f"{name}_low", f"{name}_high")]
            for name in METRICS
            if name in groups
        },
        "labels": dict(
            zip(record.metrics["classes"]["class"], record.metrics["classes"]["auc"], strict=True)
        ),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(row, indent=1) + "\n", "utf-8")
    return row


def markdown(rows: list[dict[str, Any]], machine: Mapping[str, Any]) -> str:
    """Return the results as a Markdown table."""
    lines = [
        "# Fine-tuning a small network on real images",
        "",
        f"{machine['cpu']}, {machine['date']}. Mean over labels on test cases of patients that "
        "were never seen (Brain-Tumor names no patients: images), with 95 % bootstrap intervals. A "
        "network of a hundredth of the published size at 64 pixels: compare rows, not with the "
        "paper. F1 is undefined where validation holds too few positives to choose thresholds.",
        "",
        "| data set | test cases | starts from | method | AUC | AP | F1 | seconds |",
        "| --- | ---: | --- | --- | --- | --- | --- | ---: |",
    ]
    for row in rows:
        cells = [
            DATA_SETS[row["target"]],
            str(row["cases"]["test"]),
            STARTS[row["start"]],
            row["method"],
            *(cell(row["metrics"].get(name)) for name in METRICS),
            f"{row['seconds']:.0f}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def cell(found: list[float | None] | None) -> str:
    """Return a value with its interval, where it has one."""
    value, low, high = found or (None, None, None)
    if value is None:
        return "undefined"
    return f"{value:.3f}" if low is None else f"{value:.3f} [{low:.3f}, {high:.3f}]"


def main() -> None:
    """Run what is missing, and write JSON and table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--quick", action="store_true", help="one epoch of a tiny network")
    parser.add_argument("--work", type=Path, help="where experiments are kept between runs")
    options = parser.parse_args()
    scale = QUICK if options.quick else FULL_SCALE
    work = options.work or Path(tempfile.gettempdir()) / "raddiag-transfer"
    work /= "quick" if options.quick else "full"
    (work / "models").mkdir(parents=True, exist_ok=True)
    datasets.disable_progress_bars()
    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_error()
    for name in DATA_SETS:
        build(work, name)
    rows = []
    for target in DATA_SETS:
        for where in STARTS:
            for method in Method:
                row = experiment(work, target, where, method, scale)
                rows.append(row)
                auc = cell(row["metrics"].get("auc"))
                print(f"{target:12} {where:10} {method:12} AUC {auc}  {row['seconds']:6.1f} s")
    machine = describe_machine(PACKAGES)
    folder = work if options.quick else RESULTS
    stem = folder / f"transfer_{machine_slug()}"
    content = {"machine": machine, "scale": vars(scale), "experiments": rows}
    stem.with_suffix(".json").write_text(json.dumps(content, indent=1) + "\n", "utf-8")
    stem.with_suffix(".md").write_text(markdown(rows, machine), "utf-8")
    print(stem.with_suffix(".md"))


if __name__ == "__main__":
    main()
