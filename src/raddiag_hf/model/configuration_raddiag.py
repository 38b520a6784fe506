"""Configuration of RadDiag: one flat record, a preset for every network of the paper."""

import math
from typing import Any, ClassVar

from huggingface_hub.dataclasses import strict
from transformers import AutoConfig
from transformers.configuration_utils import PreTrainedConfig

from .configuration_checks import (
    MULTI_LABEL,
    SINGLE_LABEL,
    check_loss_parameters,
    check_problem_type,
    check_sizes,
    check_train_counts,
)
from .presets import PRESETS

ENCODER_TYPES = ("resnet_vit", "resnet", "vit", "backbone")
SLICE_ENCODER_TYPES = ("resnet_vit", "backbone")
"""Encoders with one token for each slice."""
BACKBONE_POOLINGS = ("class", "mean", "class_mean", "pooled")
SLICE_FUSION_TYPES = ("transformer", "attention")
LATE_FUSION_TYPES = ("max", "mean", "random")
LATE_FUSION_TRAININGS = ("scans", "pooled")
FUSION_TYPES = ("transformer", "attention", *LATE_FUSION_TYPES)
CLASSIFIER_TYPES = ("linear", "probe", "knowledge")
CLASSIFICATION_LOSSES = ("bce", "focal", "asymmetric", "class_balanced", "logit_adjusted")
RESNET_BLOCKS = {
    10: ("basic", (1, 1, 1, 1)),
    18: ("basic", (2, 2, 2, 2)),
    34: ("basic", (3, 4, 6, 3)),
    50: ("bottleneck", (3, 4, 6, 3)),
    101: ("bottleneck", (3, 4, 23, 3)),
}
"""Depth of a ResNet -> its kind of block and the blocks of its four stages (He et al. 2016)."""
BLOCK_EXPANSION = {"basic": 1, "bottleneck": 4}


@strict
class RadDiagConfig(PreTrainedConfig):
    """Shape and behaviour of a RadDiag model.

    The defaults are the published network (paper, section 4.4): ResNet-50 on every slice, one
    transformer layer over the slices of a scan, two over the scans of a case. All fields but
    ``backbone_config`` are flat: attention reads its implementation from this very object.

    Fields that need more than their name:
        problem_type: ``multi_label_classification``: a sigmoid for each label, as in the paper.
            ``single_label_classification``: every case has exactly one label; logits are the
            log-odds of a softmax (`exclusive_labels`), so that their sigmoid is its probability,
            and the most probable label is predicted, whatever ``decision_thresholds`` says.
        encoder_type: ``resnet_vit`` encodes slices with a 2D ResNet and mixes them with a
            transformer; ``resnet`` has a 2D and a 3D stem and a shared trunk; ``vit`` embeds 2D
            patches and 3D cubes separately and shares its layers (paper, section 4.2.1);
            ``backbone`` encodes slices with any vision model that `AutoModel` knows.
        image_size: Height and width of every slice, in pixels.
        max_slices: The most slices of one scan; the slice transformer has this many positions.
        num_channels: Input channels of the slice encoder; the grey channel is repeated into them,
            unless the image processor gives each channel its own (``ct_channel_windows``).
        resnet_depth: Depth of the slice ResNet (``resnet_vit``) or of the shared trunk
            (``resnet``): 10, 18, 34, 50 or 101.
        stem_depth: Depth of the separate 2D and 3D ResNets whose first two stages are the stems
            (``resnet`` only).
        resnet_width: Channels of the first stage; 64 in every published network.
        patch_size, cube_depth, patch_mlp_layers: Pixels of a square patch, slices of a 3D cube,
            and layers of the MLPs that embed them (``vit`` only).
        backbone_config: The backbone's own configuration (``backbone`` only, as all that follow);
            its weights are among ours.
        backbone: Hub id or name that it came from; for people to read.
        backbone_pooling: What of its answer is a slice's feature vector: the ``class`` token, the
            ``mean`` of patch tokens (without register tokens) or of the last feature map, both
            one behind the other (``class_mean``), or what its own head made (``pooled``).
        backbone_mean, backbone_std: Of its input channels, by which grey in [0, 1] is normalised.
        hidden_size: Width of every token: slice, scan and case embeddings.
        num_hidden_layers, num_attention_heads, intermediate_size: The transformer over slices
            (``resnet_vit``) or over patches and cubes (``vit``).
        normalize_attention_input: True: pre-norm layers. False: attention reads its input as it
            is, as the authors' checkpoints do.
        slice_fusion: How slices become a scan, where the encoder has slice tokens. ``transformer``
            is the paper's. ``attention`` is a weighted mean with ``num_attention_heads`` heads that
            knows no order of slices (`attention_pooling`); it starts as the mean, so that good
            features are of use from the first step, and has a hundredth of the weights.
        fusion_type: ``transformer`` fuses scan embeddings, and so does ``attention``, the weighted
            mean with ``num_fusion_heads`` heads; ``max``, ``mean`` and ``random`` pool the
            predictions of single scans (paper, section 11.2).
        late_fusion_training: What a model of late fusion learns from. ``scans``: single scans, each
            with the labels of its case, so that one classifier serves every pooling, as in the
            paper. ``pooled``: the pooled predictions of a case, a classifier for each pooling.
        num_modality_slots: Rows of the modality embedding; slot 0 means none.
        classifier_type: ``linear`` is Linear-GELU-Linear; ``probe`` is one linear layer;
            ``knowledge`` is a dot product with projected label-text embeddings.
        label_embedding_size: Width of the text encoder that made the label embeddings.
        knowledge_logit_bias: Start of one learnt bias that all logits of a ``knowledge`` classifier
            share, such as the log-odds of a label of average frequency, from which recipes start;
            None for no bias, as in the authors' checkpoints. Without it the product itself has to
            learn first that labels are rare: training begins late with a few labels
            (``benchmarks/ablation.py``), and with thousands it does not begin.
        label_text_whitening: Ridge by which the label embeddings of a ``knowledge`` classifier are
            centred and whitened before they are projected (`heads.whiten`), such as 1;
            None to read them as they are, as the authors' checkpoints do. Without it the classifier
            learns the labels it has seen more slowly than from random vectors
            (``benchmarks/ablation.py``).
        text_encoder_fingerprint: Digest of the text encoder that made the label embeddings, so that
            another one is refused; None where nobody said.
        trained_labels: The labels of the training, in order, where the label texts were replaced
            since; None where the labels are those of the training.
        trained_label_counts: The ``train_label_counts`` of ``trained_labels``, by which they come
            back; None where there are none.
        label_set_fingerprint: Digest of the ordered label names, so that a data set with other
            labels is refused.
        key_slice_loss_weight: Weight of the key-slice attention loss beside the classification
            loss; 0 turns it off.
        classification_loss: ``bce`` is the paper's; ``focal``, ``asymmetric``, ``class_balanced``
            and ``logit_adjusted`` are for long-tailed labels, see `long_tail_losses` for what
            the fields that begin with their names mean.
        train_label_counts, num_train_cases: Training cases of each label and in all. A new
            ``linear`` or ``probe`` classifier starts at the log-odds that they give; the losses
            ``class_balanced`` (the counts) and ``logit_adjusted`` (both) need them.
        train_known_counts: Training cases of which it is known whether they have each label, among
            which it is as frequent as the counts say; None: all.
        encoder_chunk_size: Slices that go through the encoder at once (None: all). Bounds memory
            for cases of any size; in training each chunk's activations are recomputed, and batch
            norms that are not frozen take their statistics of one chunk (`chunking`).
        freeze_batch_norm: Keep batch-norm statistics and use them in training too: then chunks
            change nothing.
        calibration_temperature: Divides the logits before the sigmoid, wherever probabilities are
            told; fitted on validation data. 1 leaves them as they are. The model's forward pass
            does not apply it.
        decision_thresholds: Probability, so calibrated, from which each label counts as present,
            chosen on validation data; None where nobody chose.
        decision_threshold_source: Where the thresholds come from, in words.

    Raises:
        ValueError: If fields contradict each other; the message quotes both values.
    """

    model_type = "raddiag"
    sub_configs: ClassVar[dict[str, type]] = {"backbone_config": AutoConfig}
    keys_to_ignore_at_inference: ClassVar[list[str]] = [
        "loss_classification",
        "loss_key_slice",
        "pooler_output",
        "scan_embeddings",
        "slice_attentions",
        "slice_scores",
        "encoder_attentions",
        "fusion_attentions",
    ]

    problem_type: str | None = MULTI_LABEL

    encoder_type: str = "resnet_vit"
    image_size: int = 256
    max_slices: int = 32
    num_channels: int = 3

    resnet_depth: int = 50
    stem_depth: int = 34
    resnet_width: int = 64

    patch_size: int = 32
    cube_depth: int = 4
    patch_mlp_layers: int = 2

    backbone_config: dict[str, Any] | PreTrainedConfig | None = None
    backbone: str | None = None
    backbone_pooling: str = "class_mean"
    backbone_mean: list[float] | None = None
    backbone_std: list[float] | None = None

    hidden_size: int = 2048
    num_hidden_layers: int = 1
    num_attention_heads: int = 1
    intermediate_size: int = 2048
    hidden_act: str = "relu"
    normalize_attention_input: bool = True
    layer_norm_eps: float | int = 1e-12
    initializer_range: float | int = 0.02

    slice_fusion: str = "transformer"
    fusion_type: str = "transformer"
    late_fusion_training: str = "scans"
    num_fusion_layers: int = 2
    num_fusion_heads: int = 4
    num_modality_slots: int = 16

    classifier_type: str = "linear"
    label_embedding_size: int = 768
    knowledge_logit_bias: float | int | None = None
    label_text_whitening: float | int | None = None
    text_encoder_fingerprint: str | None = None
    trained_labels: list[str] | None = None
    trained_label_counts: list[int] | None = None
    label_set_fingerprint: str | None = None

    key_slice_loss_weight: float | int = 0.001

    classification_loss: str = "bce"
    focal_gamma: float | int = 2.0
    focal_alpha: float | int | None = 0.25
    asymmetric_gamma_positive: float | int = 0.0
    asymmetric_gamma_negative: float | int = 4.0
    asymmetric_margin: float | int = 0.05
    class_balanced_beta: float | int = 0.9999
    logit_adjustment_strength: float | int = 1.0
    train_label_counts: list[int] | None = None
    train_known_counts: list[int] | None = None
    num_train_cases: int | None = None

    encoder_chunk_size: int | None = None
    freeze_batch_norm: bool = False

    calibration_temperature: float | int = 1.0
    decision_thresholds: list[float] | None = None
    decision_threshold_source: str | None = None

    def __post_init__(self, **kwargs: Any) -> None:
        if isinstance(self.backbone_config, dict):
            self.backbone_config = AutoConfig.for_model(**self.backbone_config)
        super().__post_init__(**kwargs)

    @property
    def has_exclusive_labels(self) -> bool:
        """Whether every case has exactly one label."""
        return self.problem_type == SINGLE_LABEL

    @property
    def is_late_fusion(self) -> bool:
        """Whether scans are classified one by one and their predictions pooled."""
        return self.fusion_type in LATE_FUSION_TYPES

    @property
    def learns_single_scans(self) -> bool:
        """Whether training compares the predictions of scans, not of cases, with the labels."""
        return self.is_late_fusion and self.late_fusion_training == "scans"

    @classmethod
    def from_preset(cls, name: str, **overrides: Any) -> "RadDiagConfig":
        """Return the configuration of a network that the paper names.

        Args:
            name: ``"raddiag"``, the published network; ``"small"``, for some hundred cases and
                no weights to start from; or a row of the paper's Table 1:
                ``"vit6-mlp2"``, ``"vit6-mlp4"``, ``"vit12-mlp2"``, ``"vit12-mlp4"`` (shared ViT
                layers, embedding MLP layers), ``"resnet18-resnet34"`` and so on (stems, trunk),
                ``"resnet34-vit6"``, ``"resnet50-vit12"`` and so on (slice ResNet, layers over
                slices).
            overrides: Any field, ``num_labels`` for one.

        Raises:
            ValueError: If there is no such preset.

        Example:
            >>> RadDiagConfig.from_preset("resnet50-vit6", num_labels=200).num_hidden_layers
            6

        Source:
            Paper, Table 1. What Table 1 does not tell (widths and heads of the transformers, patch
            sizes, where a ResNet is cut into stem and trunk) is ours: 64 channels a head,
            32-pixel patches, cubes of 4 slices, a cut after the second stage.
        """
        if name not in PRESETS:
            raise ValueError(f"there is no preset {name!r}; expected one of {sorted(PRESETS)}")
        return cls(**(PRESETS[name] | overrides))

    @property
    def accepted_channels(self) -> tuple[int, ...]:
        """Channels that ``pixel_values`` may have: one grey, or one for each of the encoder's.

        Encoders that see a scan as a volume take grey alone.
        """
        takes_colour = self.encoder_type in SLICE_ENCODER_TYPES and self.num_channels > 1
        return (1, self.num_channels) if takes_colour else (1,)

    def validate_choices(self) -> None:
        """Refuse values outside the closed lists."""
        for field, allowed in (
            ("encoder_type", ENCODER_TYPES),
            ("backbone_pooling", BACKBONE_POOLINGS),
            ("slice_fusion", SLICE_FUSION_TYPES),
            ("fusion_type", FUSION_TYPES),
            ("late_fusion_training", LATE_FUSION_TRAININGS),
            ("classifier_type", CLASSIFIER_TYPES),
            ("classification_loss", CLASSIFICATION_LOSSES),
            ("resnet_depth", tuple(RESNET_BLOCKS)),
            ("stem_depth", tuple(RESNET_BLOCKS)),
        ):
            if getattr(self, field) not in allowed:
                raise ValueError(f"{field} is {getattr(self, field)!r}, expected one of {allowed}")

    def validate_counts(self) -> None:
        """Refuse sizes below one, or beyond any network."""
        check_sizes(self)

    def validate_widths(self) -> None:
        """Refuse widths that do not fit together."""
        for field in ("num_attention_heads", "num_fusion_heads"):
            if getattr(self, field) < 1 or self.hidden_size % getattr(self, field):
                raise ValueError(
                    f"hidden_size is {self.hidden_size}, which {field}={getattr(self, field)} "
                    "does not divide"
                )
        block, _ = RESNET_BLOCKS.get(self.resnet_depth, ("basic", ()))
        if self.encoder_type in ("resnet_vit", "resnet"):
            features = 8 * self.resnet_width * BLOCK_EXPANSION[block]
            if features != self.hidden_size:
                raise ValueError(
                    f"hidden_size is {self.hidden_size}, but a ResNet-{self.resnet_depth} of width "
                    f"{self.resnet_width} gives {features} features"
                )
        if self.encoder_type == "resnet" and RESNET_BLOCKS[self.stem_depth][0] != block:
            raise ValueError(
                f"stem_depth is {self.stem_depth} and resnet_depth is {self.resnet_depth}: stem "
                "and trunk need the same kind of block (10, 18, 34 basic; 50, 101 bottleneck)"
            )
        if self.encoder_type == "vit" and self.image_size % self.patch_size:
            raise ValueError(
                f"image_size is {self.image_size}, which patch_size={self.patch_size} does not "
                "divide"
            )

    def validate_backbone(self) -> None:
        """Refuse a backbone without a configuration, or a normalisation that it cannot have."""
        if self.encoder_type != "backbone":
            return
        if self.backbone_config is None:
            raise ValueError("encoder_type is 'backbone', which needs backbone_config")
        for field in ("backbone_mean", "backbone_std"):
            values = getattr(self, field)
            if values is None or len(values) != self.num_channels:
                raise ValueError(
                    f"{field} is {values}, expected a number for each of the {self.num_channels} "
                    "channels"
                )
        if min(self.backbone_std or ()) <= 0:
            raise ValueError(f"backbone_std is {self.backbone_std}, expected positive numbers")

    def validate_slice_fusion(self) -> None:
        """Refuse a slice fusion where there are no slice tokens to fuse."""
        if self.slice_fusion != "transformer" and self.encoder_type not in SLICE_ENCODER_TYPES:
            raise ValueError(
                f"slice_fusion is {self.slice_fusion!r}, but encoder_type is "
                f"{self.encoder_type!r}, which has no slice tokens; only {SLICE_ENCODER_TYPES} have"
            )

    def validate_temperature(self) -> None:
        """Refuse a temperature that would turn the order of probabilities round, or say nothing."""
        if not 0 < self.calibration_temperature < math.inf:
            raise ValueError(
                f"calibration_temperature is {self.calibration_temperature}, expected a positive "
                "number"
            )

    def validate_whitening(self) -> None:
        """Refuse a ridge that would blow up directions in which no labels differ."""
        ridge = self.label_text_whitening
        if ridge is not None and not 0 < ridge < math.inf:
            raise ValueError(f"label_text_whitening is {ridge}, expected a positive number or None")

    def validate_loss(self) -> None:
        """Refuse a loss that is none for these labels, parameters or training cases."""
        check_problem_type(self)
        check_loss_parameters(self)
        check_train_counts(self)

    def validate_thresholds(self) -> None:
        """Refuse thresholds that do not belong to the labels."""
        thresholds = self.decision_thresholds
        if thresholds is None or self.id2label is None:
            return
        if len(thresholds) != len(self.id2label):
            raise ValueError(
                f"decision_thresholds has {len(thresholds)} values, but there are "
                f"{len(self.id2label)} labels"
            )
