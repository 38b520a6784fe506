"""The package's metrics as a module for ``evaluate.load``.

``evaluate`` copies this file and reads its imports line by line: one module in each ``import``
statement, absolute names only.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import datasets
import evaluate
import numpy as np

from raddiag_hf.metrics.class_metrics import evaluate_predictions

_CITATION = """\
@article{zheng2024large,
  title = {Large-scale long-tailed disease diagnosis on radiology images},
  author = {Zheng, Qiaoyu and Zhao, Weike and Wu, Chaoyi and Zhang, Xiaoman and others},
  journal = {Nature Communications},
  year = {2024}
}
"""


class RadDiagMetrics(evaluate.Metric):
    """AUC, AP, F1, MCC, accuracy and recall at false-positive rates of multi-label logits.

    ``references`` are 0 or 1 and ``predictions`` are logits, one row per case and one value per
    class. Classes without positives or negatives are left out of the means and counted.

    Example:
        >>> from importlib.resources import files
        >>> metrics = evaluate.load(str(files("raddiag_hf.evaluation") / "raddiag_metrics"))
        >>> logits = [[2.0, -1.0], [0.5, -2.0], [-1.0, -3.0]]
        >>> metrics.compute(references=[[1, 0], [0, 1], [0, 0]], predictions=logits)["auc"]
        0.75
    """

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description="Multi-label diagnosis: means over classes, and over groups of classes.",
            citation=_CITATION,
            inputs_description="references: 0 or 1; predictions: logits; (cases, classes) both.",
            features=datasets.Features(
                {
                    "predictions": datasets.Sequence(datasets.Value("float32")),
                    "references": datasets.Sequence(datasets.Value("int8")),
                }
            ),
        )

    def _compute(
        self,
        predictions: Sequence[Sequence[float]],
        references: Sequence[Sequence[int]],
        *,
        thresholds: Sequence[float] | Literal["oracle"] | None = None,
        mode: Literal["standard", "official"] = "standard",
        groups: Mapping[str, Sequence[int]] | None = None,
    ) -> dict[str, Any]:
        """Return the means over all classes, and with the group's name in front, over each group.

        Args:
            predictions: Logits, shape ``(cases, classes)``.
            references: 0 or 1, shape ``(cases, classes)``.
            thresholds: As in `evaluate_predictions`.
            mode: As in `evaluate_predictions`.
            groups: Columns of each group.
        """
        result = evaluate_predictions(
            np.asarray(references),
            np.asarray(predictions, dtype=np.float32),
            thresholds=thresholds,
            mode=mode,
            groups=groups,
        )
        values: dict[str, Any] = {}
        for name, group in result.groups.items():
            prefix = "" if name == "all" else f"{name}_"
            values |= {f"{prefix}{metric}": value for metric, value in group.values.items()}
            values[f"{prefix}evaluated_classes"] = group.evaluated
            values[f"{prefix}classes_without_positives"] = group.without_positives
            values[f"{prefix}classes_without_negatives"] = group.without_negatives
        return values
