"""The paper's Figure 4b: heat maps over the slices by which cases were diagnosed rightly."""

from pathlib import Path

import numpy as np

from raddiag_hf.checkpoints.loading import load_model
from raddiag_hf.core.atomic_files import atomic_write
from raddiag_hf.data.opening import open_cases
from raddiag_hf.data.store.case import decode_case
from raddiag_hf.evaluation.evaluation_folder import PREDICTIONS_FILE
from raddiag_hf.evaluation.prediction_table import PredictionTable
from raddiag_hf.inference.explain.explanation import explain_case
from raddiag_hf.inference.explain.overlays import overlay_figure
from raddiag_hf.labels.normal_labels import normal_columns
from raddiag_hf.vocabulary import Split

MOST_EXAMPLES = 6


def write_saliency_examples(
    model: Path, evaluation: Path, dataset: str, folder: Path
) -> list[Path]:
    """Write ``<number>.png`` for a few cases, and return the paths; earlier ones are removed.

    Each shows the scan that adds most to the answer, at its key slice where the data know it.

    Args:
        model: Folder of the model.
        evaluation: Folder of its evaluation on the test cases.
        dataset: Folder or Hub id of the cases.
        folder: Of the pictures; made where it is not.

    Source:
        Paper, Figure 4b: Score-CAM on key slices, of several modalities and regions.
    """
    loaded = load_model(str(model))
    table = PredictionTable.read(evaluation / PREDICTIONS_FILE)
    column = table.provenance["label_column"]
    opened = open_cases(
        dataset,
        [Split.TEST],
        label_column=column,
        config=loaded.model.config,
        check_patients=False,
    )
    cases = opened[Split.TEST]
    rows = {case: row for row, case in enumerate(cases.metadata.case_ids)}
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(1, MOST_EXAMPLES + 1):
        (folder / f"{number}.png").unlink(missing_ok=True)
    paths = []
    for number, (case_id, label) in enumerate(choose_examples(table), start=1):
        case = decode_case(cases.rows[rows[case_id]], cases.features)
        scans = [one.scan for one in case.scans]
        found = explain_case(loaded.model, loaded.processor, scans, label=label)
        shares = [one.contribution.share for one in found.scans]
        shown = int(np.argmax(shares))
        explained, key_slice = found.scans[shown], case.scans[shown].key_slice
        index = key_slice if key_slice >= 0 else explained.key_slices[0]
        note = "key slice of the case" if key_slice >= 0 else explained.why_shown(index)
        paths.append(folder / f"{number}.png")
        with atomic_write(paths[-1]) as temporary:
            picture = overlay_figure(
                scans[shown], explained.saliency.values, index, found.label, note
            )
            temporary.write_bytes(picture)
    return paths


def choose_examples(table: PredictionTable) -> list[tuple[str, str]]:
    """Return cases and the label of each that was told most surely, the surest case first.

    Of each combination of modalities and region there is one case at most. A normal case has
    nothing to show.
    """
    scores = np.where(table.labels, table.logits, -np.inf)
    scores[:, normal_columns(table.label_names)] = -np.inf
    chosen: dict[tuple[object, ...], tuple[str, str]] = {}
    best = scores.max(axis=1)
    for row in np.argsort(-best, kind="stable").tolist():
        kind = (table.modalities[row], table.anatomies[row])
        if np.isfinite(best[row]) and kind not in chosen:
            chosen[kind] = (table.case_ids[row], table.label_names[int(scores[row].argmax())])
    return list(chosen.values())[:MOST_EXAMPLES]
