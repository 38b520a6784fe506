"""RadDiag as a `transformers` model: all scans of a case in, one logit per label out.

It reads like the paper's Figure 7: encode every scan, fuse the scans of a case, classify the case.
Notable:

- Packed batches: every real slice is there once, no padding slice is ever encoded (`packing`).
- 2D and 3D scans of up to 15 modality slots in one case, in any order (`fusion`).
- Slices are encoded in chunks, so that a case of any size fits; the gradients are the same.
- Encoder families, and transformer, attention or late fusion (`visual_encoders`, `fusion`).
- Slice features of a frozen encoder are computed once and fused ever after (`encode_slices`).
- Linear heads, or label texts as classifier: labels can change without training (`heads`).
- Scans are encoded once and classified in any combination (`classify_scans`).
- An inference mode with folded batch norms and one input channel (`optimize_for_inference`).
"""

from collections.abc import Sequence

from torch import Tensor, nn
from transformers.utils import can_return_tuple

from .chunking import choose_chunk_size, encode_in_chunks
from .configuration_raddiag import SLICE_ENCODER_TYPES, RadDiagConfig
from .exclusive_labels import softmax_log_odds
from .fusion import (
    FUSIONS,
    CaseEncoding,
    draw_scans,
    pool_embeddings,
    pool_predictions,
)
from .heads import HEADS, KnowledgeHead
from .label_texts import LabelTextEncoder, LabelTextError, replace_label_texts
from .losses import classification_loss, key_slice_loss
from .outputs import RadDiagClassifierOutput, RadDiagModelOutput
from .packing import check_counts
from .pretrained_raddiag import RadDiagPreTrainedModel
from .slice_encoder import ScanEncoding, SliceEncoder
from .visual_encoders import ENCODERS


class RadDiagModel(RadDiagPreTrainedModel):
    """Scans in, one embedding per case out: visual encoder and fusion, no classifier."""

    gradient_checkpointing = False
    has_folded_weights = False

    def __init__(self, config: RadDiagConfig) -> None:
        super().__init__(config)
        self.encoder = ENCODERS[config.encoder_type](config)
        fusion = FUSIONS.get(config.fusion_type)
        self.fusion = None if fusion is None else fusion(config)
        self.post_init()

    def train(self, mode: bool = True) -> "RadDiagModel":
        """Set training mode; frozen batch norms stay in evaluation mode."""
        super().train(mode)
        if self.config.freeze_batch_norm:
            for module in self.modules():
                if isinstance(module, nn.modules.batchnorm._BatchNorm):
                    module.eval()
        return self

    def encode_scans(
        self, pixel_values: Tensor, slice_counts: Tensor, output_attentions: bool = False
    ) -> ScanEncoding:
        """Encode scans one by one: an embedding of a scan needs no case around it.

        Args:
            pixel_values: Slices of all scans in order, ``(slices, 1, H, W)`` floats in [0, 1]; or
                with channels of their own, as many as ``config.accepted_channels`` says.
            slice_counts: Slices of each scan, int64, ``(scans,)``, summing to ``slices``.
            output_attentions: Also return the attention probabilities of every layer.

        Raises:
            ValueError: If shapes and counts disagree, or a scan has more slices than the model has
                positions; or in training, if chunks would change batch statistics.
        """
        self._check_pixels(pixel_values)
        self._check_slice_counts(slice_counts, len(pixel_values), "slices in pixel_values")
        return self.encoder(pixel_values, slice_counts, self._chunk_size(), output_attentions)

    def encode_slices(self, pixel_values: Tensor) -> Tensor:
        """Encode slices one by one, as far as a slice needs no scan around it.

        Args:
            pixel_values: ``(slices, 1, H, W)`` floats in [0, 1].

        Returns:
            Slice features ``(slices, hidden)``, in the dtype that the encoder computes in;
            `fuse_slices` and ``forward(slice_features=...)`` go on from there.

        Raises:
            ValueError: If the shape is wrong, or the encoder has no slice features; or in training,
                if chunks would change batch statistics.
        """
        encoder = self._slice_encoder()
        self._check_pixels(pixel_values)
        return encode_in_chunks(encoder, encoder.encode_slices, pixel_values, self._chunk_size())

    def fuse_slices(
        self, slice_features: Tensor, slice_counts: Tensor, output_attentions: bool = False
    ) -> ScanEncoding:
        """Fuse encoded slices into scans: with `encode_slices` before it, all of `encode_scans`.

        Args:
            slice_features: Slices of all scans in order, ``(slices, hidden)``.
            slice_counts: Slices of each scan, int64, ``(scans,)``, summing to ``slices``.
            output_attentions: Also return the attention probabilities of every layer.

        Raises:
            ValueError: If shapes and counts disagree, or the encoder has no slice features.
        """
        encoder, hidden = self._slice_encoder(), self.config.hidden_size
        if slice_features.ndim != 2 or slice_features.shape[1] != hidden:
            raise ValueError(
                f"slice_features has shape {tuple(slice_features.shape)}, expected (slices, "
                f"{hidden})"
            )
        self._check_slice_counts(slice_counts, len(slice_features), "slices in slice_features")
        return encoder.fuse_slices(slice_features, slice_counts, output_attentions)

    def fuse_scans(
        self,
        scan_embeddings: Tensor,
        modality_slots: Tensor,
        scan_counts: Tensor,
        output_attentions: bool = False,
    ) -> CaseEncoding:
        """Fuse encoded scans into cases.

        Args:
            scan_embeddings: Scans of all cases in order, ``(scans, hidden)``.
            modality_slots: Modality slot of each scan, int64, ``(scans,)``.
            scan_counts: Scans of each case, int64, ``(cases,)``, summing to ``scans``.
            output_attentions: Also return the attention probabilities of every layer.

        Returns:
            Case embeddings and attentions. Late fusion pools predictions, not embeddings; its case
            embedding is the same pooling of scan embeddings.

        Raises:
            ValueError: If shapes and counts disagree.
        """
        check_counts("scan_counts", scan_counts, len(scan_embeddings), "scans")
        num_slots = self.config.num_modality_slots
        if modality_slots.shape != scan_embeddings.shape[:1]:
            raise ValueError(
                f"modality_slots has shape {tuple(modality_slots.shape)}, but there are "
                f"{len(scan_embeddings)} scans"
            )
        if int(modality_slots.min()) < 0 or int(modality_slots.max()) >= num_slots:
            raise ValueError(
                f"modality_slots has {modality_slots.tolist()}, expected 0 to {num_slots - 1}"
            )
        if self.fusion is None:
            how, draw = self.config.fusion_type, draw_scans(scan_embeddings, self.training)
            return CaseEncoding(pool_embeddings(scan_embeddings, scan_counts, how, draw), None)
        return self.fusion(scan_embeddings, modality_slots, scan_counts, output_attentions)

    @can_return_tuple
    def forward(
        self,
        pixel_values: Tensor | None = None,
        *,
        slice_counts: Tensor,
        scan_counts: Tensor,
        modality_slots: Tensor,
        slice_features: Tensor | None = None,
        output_attentions: bool | None = None,
    ) -> RadDiagModelOutput:
        """Embed a packed batch of cases; `RadDiagForImageClassification.forward` has the shapes.

        Raises:
            ValueError: If shapes and counts disagree.
        """
        if output_attentions is None:
            output_attentions = bool(self.config.output_attentions)
        if pixel_values is not None and slice_features is None:
            scans = self.encode_scans(pixel_values, slice_counts, output_attentions)
        elif slice_features is not None and pixel_values is None:
            scans = self.fuse_slices(slice_features, slice_counts, output_attentions)
        else:
            raise ValueError("expected either pixel_values or slice_features")
        cases = self.fuse_scans(
            scans.scan_embeddings, modality_slots, scan_counts, output_attentions
        )
        return RadDiagModelOutput(
            pooler_output=cases.case_embeddings,
            scan_embeddings=scans.scan_embeddings,
            slice_attentions=scans.slice_attentions,
            slice_scores=scans.slice_scores,
            encoder_attentions=scans.attentions,
            fusion_attentions=cases.attentions,
        )

    def _slice_encoder(self) -> SliceEncoder:
        if not isinstance(self.encoder, SliceEncoder):
            raise ValueError(
                f"encoder_type is {self.config.encoder_type!r}, which has no slice features; "
                f"expected one of {SLICE_ENCODER_TYPES}"
            )
        return self.encoder

    def _check_pixels(self, pixel_values: Tensor) -> None:
        size, channels = self.config.image_size, self.config.accepted_channels
        if tuple(pixel_values.shape[1:]) not in [(count, size, size) for count in channels]:
            raise ValueError(
                f"pixel_values has shape {tuple(pixel_values.shape)}, expected (slices, "
                f"{' or '.join(map(str, channels))}, {size}, {size}): use the model's own image "
                "processor"
            )

    def _check_slice_counts(self, slice_counts: Tensor, total: int, what: str) -> None:
        check_counts("slice_counts", slice_counts, total, what)
        if (largest := int(slice_counts.max())) > self.config.max_slices:
            raise ValueError(
                f"a scan has {largest} slices, the model takes at most {self.config.max_slices}: "
                "resample with the image processor"
            )

    def _chunk_size(self) -> int | None:
        return choose_chunk_size(
            self.encoder,
            self.config.encoder_chunk_size,
            is_folded=self.has_folded_weights,
            checkpoints=self.gradient_checkpointing,
        )


class RadDiagForImageClassification(RadDiagPreTrainedModel):
    """RadDiag with its classifier: a case in, one logit per label out."""

    def __init__(self, config: RadDiagConfig) -> None:
        super().__init__(config)
        self.raddiag = RadDiagModel(config)
        self.classifier = HEADS[config.classifier_type](config)
        self.post_init()

    def encode_scans(
        self, pixel_values: Tensor, slice_counts: Tensor, output_attentions: bool = False
    ) -> ScanEncoding:
        """Encode scans one by one; see `RadDiagModel.encode_scans`."""
        return self.raddiag.encode_scans(pixel_values, slice_counts, output_attentions)

    def encode_slices(self, pixel_values: Tensor) -> Tensor:
        """Encode slices one by one; see `RadDiagModel.encode_slices`."""
        return self.raddiag.encode_slices(pixel_values)

    def classify_scans(
        self, scan_embeddings: Tensor, modality_slots: Tensor, scan_counts: Tensor
    ) -> Tensor:
        """Fuse and classify encoded scans: logits ``(cases, labels)``.

        Cheap beside encoding, so the same scans can be classified in many combinations; see
        `RadDiagModel.fuse_scans` for the shapes.
        """
        cases = self.raddiag.fuse_scans(scan_embeddings, modality_slots, scan_counts)
        return self._classify(cases.case_embeddings, scan_embeddings, scan_counts)[0]

    def set_label_texts(
        self,
        names: Sequence[str],
        encoder: LabelTextEncoder | None = None,
        for_training: bool = False,
    ) -> None:
        """Score these labels from here on, known from training or not (paper, equations 5 and 6).

        Logits, ``config.id2label``, ``label_set_fingerprint`` and ``text_encoder_fingerprint``
        follow, and all of it is saved with the model. Decision thresholds are dropped, with a
        warning in the log: they belong to other labels. The labels of the training are remembered:
        they can be named again without an encoder, and give the logits that they gave.

        How many labels were not trained is logged; `raddiag_hf.set_open_labels` does the same and
        tells how near each lies to the trained ones. Under ``torch.no_grad`` the projected labels
        are kept from one forward pass to the next; with gradients every pass projects them again.

        Args:
            names: Label names, in the order of the logits.
            encoder: What embeds names that the model does not hold, such as a ``TextEncoder`` or
                stored ``LabelEmbeddings``: anything with ``encode`` and ``fingerprint``.
            for_training: The weights are to be trained with these labels: the present ones are
                forgotten, and with an encoder all names are embedded anew. Labels of a model
                without label texts are always those of its training.

        Raises:
            LabelTextError: If the classifier is not ``knowledge``, a name is not one line of text
                without spaces around it, two differ at most in case and Unicode form, an encoder is
                missing, or it is not the one that the model was trained with.

        Example:
            >>> from raddiag_hf import TextEncoder
            >>> model = RadDiagForImageClassification.from_pretrained("knowledge-model")
            >>> encoder = TextEncoder.from_pretrained("knowledge-encoder")
            >>> model.set_label_texts(["Normal", "Hand-Schuller-Christian disease"], encoder)
            >>> model.config.num_labels
            2
        """
        if not isinstance(self.classifier, KnowledgeHead):
            raise LabelTextError(
                f"classifier_type is {self.config.classifier_type!r}: its labels are fixed by its "
                "weights; only a 'knowledge' classifier reads label texts"
            )
        replace_label_texts(self.config, self.classifier, names, encoder, for_training)

    @can_return_tuple
    def forward(
        self,
        pixel_values: Tensor | None = None,
        *,
        slice_counts: Tensor,
        scan_counts: Tensor,
        modality_slots: Tensor,
        slice_features: Tensor | None = None,
        key_slices: Tensor | None = None,
        labels: Tensor | None = None,
        output_attentions: bool | None = None,
    ) -> RadDiagClassifierOutput:
        """Diagnose a packed batch of cases.

        Args:
            pixel_values: All real slices of all scans of all cases in order, ``(slices, 1, H, W)``
                floats in [0, 1].
            slice_features: What `encode_slices` made of them, ``(slices, hidden)``: given instead,
                the slice encoder is skipped.
            slice_counts: Slices of each scan, int64, ``(scans,)``, from 1 to ``max_slices``.
            scan_counts: Scans of each case, int64, ``(cases,)``, at least 1.
            modality_slots: Modality slot of each scan, int64, ``(scans,)``.
            key_slices: Index of each scan's key slice among its slices, int64, ``(scans,)``, -1
                where unknown; read by the loss only.
            labels: Multi-hot floats, ``(cases, labels)``, NaN where unknown, which the loss leaves
                out; without them no loss is computed.
            output_attentions: Also return all attention probabilities.

        Raises:
            ValueError: If shapes and counts disagree.
        """
        cases = self.raddiag(
            pixel_values,
            slice_counts=slice_counts,
            scan_counts=scan_counts,
            modality_slots=modality_slots,
            slice_features=slice_features,
            output_attentions=output_attentions,
            return_dict=True,
        )
        logits, scores = self._classify(cases.pooler_output, cases.scan_embeddings, scan_counts)
        if key_slices is not None and key_slices.shape != slice_counts.shape:
            raise ValueError(
                f"key_slices has shape {tuple(key_slices.shape)}, but there are "
                f"{len(slice_counts)} scans"
            )
        loss = loss_classification = loss_key_slice = None
        if labels is not None:
            if self.config.learns_single_scans:  # each with the labels of its case
                labels = labels.repeat_interleave(scan_counts, 0)
            learnt = scores if self.config.learns_single_scans else logits
            loss = loss_classification = classification_loss(learnt, labels, self.config)
            weight = self.config.key_slice_loss_weight
            if key_slices is not None and cases.slice_scores is not None and weight:
                loss_key_slice = weight * key_slice_loss(
                    cases.slice_scores, slice_counts, key_slices, self.config.max_slices
                )
                loss = loss_classification + loss_key_slice
        return RadDiagClassifierOutput(
            loss=loss,
            logits=logits,
            loss_classification=loss_classification,
            loss_key_slice=loss_key_slice,
            **cases,
        )

    def _classify(
        self, case_embeddings: Tensor, scan_embeddings: Tensor, scan_counts: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return the logits of cases, and what they are of: those of scans in late fusion."""
        if not self.config.is_late_fusion:
            return (logits := self._score(case_embeddings)), logits
        how, draw = self.config.fusion_type, draw_scans(scan_embeddings, self.training)
        scores = self._score(scan_embeddings)
        return pool_predictions(scores, scan_counts, how, draw), scores

    def _score(self, embeddings: Tensor) -> Tensor:
        scores = self.classifier(embeddings)
        return softmax_log_odds(scores) if self.config.has_exclusive_labels else scores
