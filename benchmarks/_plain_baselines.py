"""The forty lines that a radiology-AI researcher writes instead: plain baselines on any case data.

Every scan gives its middle slice, stretched to [0, 1]; the score of a case is the mean over its
scans. What is chosen (penalty, epoch) is chosen on the validation split.
"""

import itertools
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import datasets
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn
from transformers import AutoModel

from raddiag_hf.data.store.case import decode_case, label_columns

Array = NDArray[np.float64]
PIXELS, RAW_PIXELS, BACKBONE_PIXELS = 96, 64, 224
EPOCHS, BATCH, WIDTH = 40, 16, 24
PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
IMAGENET_MEAN, IMAGENET_DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Slices:
    """The middle slices of a split.

    Attributes:
        pixels: ``(scans, PIXELS, PIXELS)``, in [0, 1].
        labels: Of each scan's case, ``(scans, labels)``, 0 or 1.
        cases: Number of each scan's case, ``(scans,)``.
    """

    pixels: Tensor
    labels: NDArray[np.float32]
    cases: NDArray[np.intp]

    def by_case(self, scores: Array) -> Array:
        """Return the mean over the scans of each case, ``(cases, labels)``."""
        return np.stack([scores[self.cases == case].mean(0) for case in np.unique(self.cases)])


def read_slices(folder: Path, split: str) -> Slices:
    """Read the middle slice of every scan."""
    rows = datasets.load_dataset(str(folder), split=split)
    column, classes = next(iter(label_columns(rows.features).items()))
    pixels, labels, cases = [], [], []
    for number, row in enumerate(rows):
        case = decode_case(row, rows.features)
        for one in case.scans:
            volume = torch.from_numpy(np.asarray(one.scan.volume, np.float32))
            picture = volume[len(volume) // 2][None, None]
            picture = (picture - picture.min()) / (picture.max() - picture.min() + 1e-6)
            pixels.append(_resize(picture, PIXELS)[0, 0])
            labels.append([name in case.labels[column] for name in classes.names])
            cases.append(number)
    return Slices(torch.stack(pixels), np.array(labels, np.float32), np.array(cases))


def mean_auc(labels: NDArray[np.float32], scores: Array) -> float:
    """Return the mean over the labels that have positives and negatives."""
    kept = [c for c in range(labels.shape[1]) if 0 < labels[:, c].sum() < len(labels)]
    return float(np.mean([roc_auc_score(labels[:, c], scores[:, c]) for c in kept]))


def raw_pixels(splits: dict[str, Slices]) -> tuple[Array, float]:
    """Logistic regression on 64 x 64 pixels: test scores of cases, and CPU seconds."""
    start = time.process_time()
    return _logistic(splits, lambda x: _resize(x[:, None], RAW_PIXELS).flatten(1)), _since(start)


def frozen_backbone(splits: dict[str, Slices], backbone: Path) -> tuple[Array, float]:
    """Logistic regression on a frozen backbone: class token and mean of patches, or mean of map."""
    network = AutoModel.from_pretrained(backbone).eval()
    path = backbone / "preprocessor_config.json"
    told = json.loads(path.read_text()) if path.is_file() else {}
    mean, deviation = (
        torch.tensor(told.get(name, default))[:, None, None]
        for name, default in (("image_mean", IMAGENET_MEAN), ("image_std", IMAGENET_DEVIATION))
    )
    start = time.process_time()

    @torch.inference_mode()
    def features(pixels: Tensor) -> Tensor:
        found = []
        for part in pixels.split(BATCH):
            large = F.interpolate(part[:, None], (BACKBONE_PIXELS,) * 2, mode="bilinear")
            tokens = network((large.expand(-1, 3, -1, -1) - mean) / deviation).last_hidden_state
            if tokens.ndim == 4:
                found.append(tokens.mean((2, 3)))
            else:
                found.append(torch.cat([tokens[:, 0], tokens[:, 1:].mean(1)], 1))
        return torch.cat(found)

    return _logistic(splits, features), _since(start)


def plain_resnet(splits: dict[str, Slices], seed: int) -> tuple[Array, float]:
    """A ResNet-10 of width 24 from random weights, one-cycle AdamW, flips and shifts."""
    torch.manual_seed(seed)
    random = np.random.default_rng(seed)
    train, validation, test = splits["train"], splits["validation"], splits["test"]
    start = time.process_time()
    center, spread = train.pixels.mean(), train.pixels.std()
    target = torch.from_numpy(train.labels)
    network = _resnet(target.shape[1])
    steps = EPOCHS * max(1, len(target) // BATCH)
    optimizer = torch.optim.AdamW(network.parameters(), 1e-3, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=steps)
    best_loss, best = np.inf, np.zeros(0)

    @torch.inference_mode()
    def predict(pixels: Tensor) -> Tensor:
        network.eval()
        return torch.cat([network(((p - center) / spread)[:, None]) for p in pixels.split(64)])

    for _ in range(EPOCHS):
        network.train()
        for rows in torch.randperm(len(target))[: len(target) // BATCH * BATCH].split(BATCH):
            pixels = ((train.pixels[rows] - center) / spread)[:, None]
            pixels = pixels.flip(3) if random.random() < 0.5 else pixels
            pad = PIXELS // 8
            down, right = random.integers(0, 2 * pad, 2)
            pixels = F.pad(pixels, (pad,) * 4, mode="reflect")
            pixels = pixels[:, :, down : down + PIXELS, right : right + PIXELS]
            loss = F.binary_cross_entropy_with_logits(network(pixels), target[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        found = predict(validation.pixels)
        value = F.binary_cross_entropy_with_logits(found, torch.from_numpy(validation.labels))
        if value.item() < best_loss:
            best_loss, best = value.item(), predict(test.pixels).numpy()
    return test.by_case(best), _since(start)


def _logistic(splits: dict[str, Slices], features: Callable[[Tensor], Tensor]) -> Array:
    """Fit each label by scikit-learn; the penalty with the best mean AUC on validation."""
    train, validation, test = splits["train"], splits["validation"], splits["test"]
    x, xv, xs = (features(part.pixels).numpy() for part in (train, validation, test))
    scale, best_auc, best = StandardScaler().fit(x), -1.0, np.zeros(0)
    for penalty in PENALTIES:
        scores = [np.zeros((len(part), train.labels.shape[1])) for part in (xv, xs)]
        for c in range(train.labels.shape[1]):
            if 0 < train.labels[:, c].sum() < len(x):
                model = LogisticRegression(C=penalty, max_iter=300)
                model.fit(scale.transform(x), train.labels[:, c])
                for part, into in zip((xv, xs), scores, strict=True):
                    into[:, c] = model.decision_function(scale.transform(part))
        auc = mean_auc(validation.by_case(validation.labels), validation.by_case(scores[0]))
        if not auc <= best_auc:
            best_auc, best = auc, test.by_case(scores[1])
    return best


def _resize(pictures: Tensor, size: int) -> Tensor:
    return F.interpolate(pictures, (size, size), mode="bilinear", antialias=True)


def _since(start: float) -> float:
    return time.process_time() - start


class _Block(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.skip: nn.Module = nn.Identity()
        if stride > 1 or inputs != outputs:
            self.skip = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, pixels: Tensor) -> Tensor:
        return torch.relu(self.body(pixels) + self.skip(pixels))


def _resnet(num_labels: int) -> nn.Module:
    sizes = [WIDTH, WIDTH, 2 * WIDTH, 4 * WIDTH, 8 * WIDTH]
    blocks = [_Block(i, o, 1 + (n > 0)) for n, (i, o) in enumerate(itertools.pairwise(sizes))]
    return nn.Sequential(
        nn.Conv2d(1, WIDTH, 5, 2, 2, bias=False),
        nn.BatchNorm2d(WIDTH),
        nn.ReLU(),
        *blocks,
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8 * WIDTH, num_labels),
    )
