"""What a configuration says, checked: sizes, kind of labels, loss parameters, training counts."""

import math
from typing import Any

MULTI_LABEL, SINGLE_LABEL = "multi_label_classification", "single_label_classification"
PROBLEM_TYPES = (MULTI_LABEL, SINGLE_LABEL)
LARGEST_SIZES = {
    "image_size": 8192,
    "max_slices": 65_536,
    "num_channels": 256,
    "resnet_width": 4096,
    "patch_size": 8192,
    "cube_depth": 65_536,
    "patch_mlp_layers": 1000,
    "hidden_size": 131_072,
    "num_hidden_layers": 1000,
    "num_fusion_layers": 1000,
    "intermediate_size": 524_288,
    "label_embedding_size": 131_072,
    "encoder_chunk_size": 2**31,
    "num_modality_slots": 65_536,
}
"""Field of `RadDiagConfig` -> its largest value, beyond any network, below what hangs a machine."""


def check_sizes(config: Any) -> None:
    """Refuse sizes below one, or beyond any network.

    Raises:
        ValueError: If so; the message names the field.
    """
    for field, most in LARGEST_SIZES.items():
        value = getattr(config, field)
        if value is not None and value < 1:
            raise ValueError(f"{field} is {value}, expected at least 1")
        if value is not None and value > most:
            raise ValueError(f"{field} is {value}, expected at most {most:,}")
    if config.num_modality_slots < 2:
        raise ValueError(
            f"num_modality_slots is {config.num_modality_slots}, expected at least 2: slot 0 "
            "means none"
        )


def check_problem_type(config: Any) -> None:
    """Refuse exclusive labels where their probabilities would be none.

    Raises:
        ValueError: If so; the message names the field.
    """
    problem_type = config.problem_type
    if problem_type not in PROBLEM_TYPES:
        raise ValueError(f"problem_type is {problem_type!r}, expected one of {PROBLEM_TYPES}")
    if not config.has_exclusive_labels:
        return
    if config.classification_loss != "bce":
        raise ValueError(
            f"classification_loss is {config.classification_loss!r}, but problem_type is "
            f"{problem_type!r}, whose loss is the cross-entropy of a softmax: expected 'bce'"
        )
    if config.fusion_type == "max":
        raise ValueError(
            f"fusion_type is 'max', but problem_type is {problem_type!r}: the highest "
            "probabilities of several scans are no distribution over the labels"
        )


def check_loss_parameters(config: Any) -> None:
    """Refuse parameters outside the range in which their loss is one.

    Raises:
        ValueError: If so; the message names the field.
    """
    for field, below in (
        ("focal_gamma", math.inf),
        ("focal_alpha", 1),
        ("asymmetric_gamma_positive", math.inf),
        ("asymmetric_gamma_negative", math.inf),
        ("asymmetric_margin", 1),
        ("class_balanced_beta", 1),
        ("logit_adjustment_strength", math.inf),
    ):
        value = getattr(config, field)
        if value is not None and not 0 <= value < below:
            raise ValueError(f"{field} is {value}, expected at least 0 and below {below}")


def check_train_counts(config: Any) -> None:
    """Refuse counts that do not belong to the labels, or that a loss needs and are missing.

    Raises:
        ValueError: If so; the message names the field.
    """
    remembered = config.trained_label_counts
    if remembered is not None and len(remembered) != len(config.trained_labels or ()):
        raise ValueError(
            f"trained_label_counts has {len(remembered)} values, but there are "
            f"{len(config.trained_labels or ())} trained_labels"
        )
    counts, num_cases = config.train_label_counts, config.num_train_cases
    needed = {
        "class_balanced": ("train_label_counts",),
        "logit_adjusted": ("train_label_counts", "num_train_cases"),
    }
    for field in needed.get(config.classification_loss, ()):
        if getattr(config, field) is None:
            raise ValueError(
                f"classification_loss is {config.classification_loss!r}, which needs {field}"
            )
    if counts is None:
        return
    known = config.train_known_counts
    if known is not None and (
        len(known) != len(counts)
        or not all(0 <= n <= k for n, k in zip(counts, known, strict=True))
        or (num_cases is not None and max(known, default=0) > num_cases)
    ):
        raise ValueError(
            f"train_known_counts is {known}, expected {len(counts)} values, each from that of "
            f"train_label_counts to num_train_cases, which is {num_cases}"
        )
    if config.id2label is not None and len(counts) != len(config.id2label):
        raise ValueError(
            f"train_label_counts has {len(counts)} values, but there are "
            f"{len(config.id2label)} labels"
        )
    if min(counts, default=0) < 0 or (num_cases is not None and max(counts) > num_cases):
        raise ValueError(
            f"train_label_counts goes from {min(counts)} to {max(counts)}, expected 0 to "
            f"num_train_cases, which is {num_cases}"
        )
