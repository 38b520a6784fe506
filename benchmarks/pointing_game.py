"""How often the highest place of a saliency map lies in the lesion, on phantoms.

On phantoms the place of every lesion is known. For each held-out case, each of its disorders and
each scan that shows it, the map of that label is made; it hits if its peak lies within the lesion's
bounding ellipsoid (Zhang et al., Top-down neural attention, 2018). Beside it, on the same scans:

- `centre`: the middle of the middle slice, the guess of somebody who has not looked.
- `random point`: the part of the scan that the lesion takes up: what a blind guess hits on average.
- `random weights`: the same network before training, its maps made in the same way.

`tolerant` counts a peak within 4 pixels of the lesion, in its slice, as a hit as well, for all
alike: a pixel of the maps is 4 pixels wide at 48 x 48. `slice` asks only for a slice that the
lesion meets, `mass` is the part of the map that lies in the lesion. Intervals are 95 %, by 2,000
bootstrap resamples of cases. Differences to the centre are paired.

    python benchmarks/pointing_game.py            # trains the demo's model; about 15 minutes
    python benchmarks/pointing_game.py --quick    # less training, fewer cases: about 3 minutes
    python benchmarks/pointing_game.py --model demo-output/model    # another phantom model
"""

import argparse
import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from _machine import describe_machine, machine_slug
from raddiag_hf import RadDiagForImageClassification, RadDiagImageProcessor
from raddiag_hf.checkpoints.loading import load_model
from raddiag_hf.demo.demo_run import NUM_DISORDERS, run_demo
from raddiag_hf.demo.demo_settings import DemoSettings
from raddiag_hf.inference.case import pack_case
from raddiag_hf.inference.diagnose import calibrated_probabilities
from raddiag_hf.inference.explain.saliency import ScoreCamSettings, score_cam
from raddiag_hf.inference.explain.saliency_grid import saliency_peak, saliency_slices
from raddiag_hf.phantoms.cases import NORMAL, PhantomCase, draw_case, phantom_disorders

RESULTS = Path(__file__).parent / "results"
SEED, TEST_SEED = 0, 902
TOLERANCE_PIXELS = 4
RESAMPLES = 2000
Place = tuple[int, int, int]


@dataclass(frozen=True)
class Target:
    """One lesion in one scan that shows it."""

    case: int
    scan: int
    label: int
    mask: NDArray[np.bool_]
    detected: bool


def train(quick: bool) -> tuple[RadDiagForImageClassification, RadDiagImageProcessor]:
    """Train the demo's model as the demo does; with --quick on a third of the cases."""
    cases = {"train_cases": 250, "validation_cases": 60} if quick else {}
    settings = DemoSettings(**cases, test_cases=20, seed=SEED)
    with tempfile.TemporaryDirectory() as scratch:
        result = run_demo(
            Path(scratch),
            settings,
            lambda step, done, total: print(f"\r{step} {done}/{total}", end=""),
        )
        loaded = load_model(str(result.model_dir), device="cpu")
    print()
    return loaded.model, loaded.processor


def randomised(model: RadDiagForImageClassification) -> RadDiagForImageClassification:
    """The same network with the weights that training began with, or others like them."""
    torch.manual_seed(SEED)
    return RadDiagForImageClassification(model.config).eval()


def held_out(processor: RadDiagImageProcessor, num_cases: int) -> Iterator[PhantomCase]:
    """Cases of patients that no training saw, with a lesion."""
    for index in range(num_cases):
        case = draw_case(
            TEST_SEED,
            index,
            image_size=processor.image_size,
            max_slices=processor.max_slices,
            disorders=phantom_disorders()[:NUM_DISORDERS],
        )
        if case.disorders != (NORMAL,):
            yield case


def targets_of(
    case: PhantomCase, number: int, logits: torch.Tensor, model: RadDiagForImageClassification
) -> Iterator[Target]:
    """Every lesion of a case in every scan that shows it."""
    columns = {name: column for column, name in model.config.id2label.items()}
    probabilities = calibrated_probabilities(logits, model)
    thresholds = model.config.decision_thresholds or [1.0] * len(columns)  # none is reached
    for place, disorder in enumerate(case.disorders):
        label = columns[disorder]
        detected = bool(probabilities[label] >= thresholds[label])
        for scan, (read, lesions) in enumerate(zip(case.scans, case.lesions, strict=True)):
            mask = lesions[place].mask(read.volume.shape)
            if lesions[place].visible and mask.any():
                yield Target(number, scan, label, mask, detected)


def score_peak(peak: Place | None, mask: NDArray[np.bool_]) -> dict[str, float]:
    """Whether a point lies in the lesion, near it, and in a slice of it; an empty map misses."""
    if peak is None:
        return {"hit": 0.0, "tolerant": 0.0, "slice": 0.0}
    in_slice = mask[peak[0]]
    distance = distance_transform_edt(~in_slice)[peak[1:]] if in_slice.any() else np.inf
    return {
        "hit": float(mask[peak]),
        "tolerant": float(distance <= TOLERANCE_PIXELS),
        "slice": float(in_slice.any()),
    }


def score_random_point(mask: NDArray[np.bool_]) -> dict[str, float]:
    """What a blind guess gets on average."""
    near = np.stack(
        [
            distance_transform_edt(~plane) <= TOLERANCE_PIXELS if plane.any() else plane
            for plane in mask
        ]
    )
    return {
        "hit": float(mask.mean()),
        "tolerant": float(near.mean()),
        "slice": float(mask.any(axis=(1, 2)).mean()),
        "mass": float(mask.mean()),
    }


def play(
    model: RadDiagForImageClassification,
    processor: RadDiagImageProcessor,
    num_cases: int,
    settings: dict[str, ScoreCamSettings],
) -> list[tuple[Target, dict[str, dict[str, float]]]]:
    """Every target with what each way of pointing at it scores."""
    untrained = randomised(model)
    rounds = []
    for number, case in enumerate(held_out(processor, num_cases)):
        print(f"\rcase {number + 1}", end="", flush=True)
        batch = pack_case(model, processor, case.scans)
        with torch.inference_mode():
            embeddings = [
                network.encode_scans(batch["pixel_values"], batch["slice_counts"]).scan_embeddings
                for network in (model, untrained)
            ]
            logits = model.classify_scans(
                embeddings[0], batch["modality_slots"], batch["scan_counts"]
            )[0]
        for target in targets_of(case, number, logits, model):
            depth, height, width = shape = target.mask.shape
            scores = {
                "centre": score_peak((depth // 2, height // 2, width // 2), target.mask),
                "random point": score_random_point(target.mask),
            }
            maps = {
                name: score_cam(model, batch, embeddings[0], target.scan, target.label, given)
                for name, given in settings.items()
            }
            maps["random weights"] = score_cam(
                untrained, batch, embeddings[1], target.scan, target.label
            )
            for name, saliency in maps.items():
                volume = np.stack(list(saliency_slices(saliency.values, shape)))
                scores[name] = score_peak(saliency_peak(saliency.values, shape), target.mask)
                scores[name]["mass"] = float(volume[target.mask].sum() / max(volume.sum(), 1e-9))
            rounds.append((target, scores))
    print()
    return rounds


def summarise(rounds: list[tuple[Target, dict[str, dict[str, float]]]]) -> dict[str, Any]:
    """Means with intervals over cases, and paired differences to the centre."""
    cases = np.array([target.case for target, _ in rounds])
    draws = np.random.default_rng(SEED).integers(
        0, len(unique := np.unique(cases)), (RESAMPLES, len(unique))
    )
    counts = np.stack([np.bincount(draw, minlength=len(unique)) for draw in draws])
    weights = counts[:, np.searchsorted(unique, cases)]  # (resamples, targets)

    def mean(values: NDArray[np.float64]) -> dict[str, float]:
        resampled = (weights * values).sum(1) / weights.sum(1)
        low, high = np.percentile(resampled, (2.5, 97.5))
        return {"mean": float(values.mean()), "low": float(low), "high": float(high)}

    table: dict[str, Any] = {}
    for way in rounds[0][1]:
        table[way] = {}
        for metric in rounds[0][1][way]:
            values = np.array([scores[way][metric] for _, scores in rounds])
            table[way][metric] = mean(values)
            if way != "centre" and metric in rounds[0][1]["centre"]:
                centre = np.array([scores["centre"][metric] for _, scores in rounds])
                table[way][f"{metric} minus centre"] = mean(values - centre)
    return {"lesions in scans": len(rounds), "cases": len(unique), "ways": table}


def show(title: str, summary: dict[str, Any]) -> None:
    """Print one table."""
    print(f"\n{title}: {summary['lesions in scans']} lesions in scans of {summary['cases']} cases")
    for way, metrics in summary["ways"].items():
        cells = (
            f"{metric} {value['mean']:.3f} ({value['low']:.3f} to {value['high']:.3f})"
            for metric, value in metrics.items()
            if "minus" not in metric
        )
        print(f"  {way:22s} {'  '.join(cells)}")


def main() -> None:
    """Train or load, play, and keep the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="less training and fewer cases")
    parser.add_argument(
        "--model", help="folder of a model trained on phantoms; trains one if absent"
    )
    parser.add_argument("--cases", type=int, help="held-out cases to draw")
    options = parser.parse_args()
    num_cases = options.cases or (60 if options.quick else 400)
    if options.model:
        loaded = load_model(options.model, device="cpu")
        model, processor = loaded.model, loaded.processor
    else:
        model, processor = train(options.quick)
    settings = {
        "Score-CAM": ScoreCamSettings(),
        "8 masks": ScoreCamSettings(max_masks=8),
        "plain increase": ScoreCamSettings(weighting="increase"),
        "deeper: layer2": ScoreCamSettings(layer="layer2"),
        "deepest: layer4": ScoreCamSettings(layer="layer4"),
    }
    rounds = play(model, processor, num_cases, settings)
    detected = [entry for entry in rounds if entry[0].detected]
    result = {
        "machine": describe_machine(("torch", "transformers", "monai")),
        "quick": options.quick,
        "model": "given" if options.model else "trained here as the demo trains its own",
        "image_size": processor.image_size,
        "tolerance_pixels": TOLERANCE_PIXELS,
        "all lesions": summarise(rounds),
        "lesions whose label reaches its threshold": summarise(detected) if detected else None,
    }
    show("All", result["all lesions"])
    if detected:
        show("Label reaches its threshold", result["lesions whose label reaches its threshold"])
    RESULTS.mkdir(exist_ok=True)
    suffix = "_quick" if options.quick else ""
    path = RESULTS / f"pointing_game_{machine_slug()}{suffix}.json"
    path.write_text(json.dumps(result, indent=2) + "\n")
    print(f"\n{path}")


if __name__ == "__main__":
    main()
